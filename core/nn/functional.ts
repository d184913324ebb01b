/**
 * Operations as functions: what layers call, and what a model may call by itself. Images are NHWC. Inputs are float32
 * unless something else is said (another dtype is a TypeError that names it), and stay the caller's; the result is the
 * caller's too, and gradients flow through all.
 */
import "../autograd/gradients.ts";
import { constant } from "../device/constants.ts";
import { requireIndices, requireProbability, requireShape } from "../ops/check.ts";
import * as ops from "../ops/mod.ts";
import { defaultGenerator, type Generator } from "../random.ts";
import { hostValues, tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

/** Whole numbers and truth values as float32: pixels that are bytes, labels as targets. */
function toFloat(x: Tensor): Tensor {
  return x.dtype === "float32" ? x : tf.cast(x, "float32");
}

/** Options of {@link conv2d}. */
export interface Conv2dOptions {
  /** Pixels between windows in both directions, a whole number of at least 1; default 1. */
  stride?: number;
  /** Zeros on every side, a whole number of at least 0; default 0. */
  padding?: number;
  /** Added to the output, [N,H',W',Cout]; at no cost of its own. Default none. */
  residual?: Tensor;
}

/**
 * Cross-correlation, as PyTorch's `conv2d`.
 * @param x [N,H,W,Cin]; whole numbers are taken as float32
 * @param filter [kh,kw,Cin,Cout]
 * @param bias [Cout], or none
 * @returns [N,H',W',Cout] with H' = ⌊(H + 2·padding − kh)/stride⌋ + 1
 * @throws Error if shapes do not fit, or the filter is larger than the padded image; RangeError for a stride or padding
 *   out of range.
 */
export function conv2d(
  x: Tensor,
  filter: Tensor,
  bias?: Tensor | null,
  { stride = 1, padding = 0, residual }: Conv2dOptions = {},
): Tensor {
  const inputs = { x: toFloat(x), filter, bias: bias ?? undefined, residual };
  return ops.run(ops.Conv2d, inputs, { stride, padding }).y;
}

/**
 * x·weightᵀ + bias (+ residual) over the last axis.
 * @param x […,in]; whole numbers are taken as float32
 * @param weight [out,in]
 * @param bias [out], or none
 * @param residual […,out], added at no cost of its own; default none
 * @returns […,out]
 * @throws Error if shapes do not fit.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null, residual?: Tensor): Tensor {
  const [outs, ins] = weight.shape as [number, number];
  const outer = x.shape.slice(0, -1);
  if (x.shape.at(-1) !== ins) {
    throw new Error(
      `Linear: x has shape [${x.shape}], the weight of shape [${weight.shape}] takes […,${ins}]`,
    );
  }
  requireShape("Linear", "residual", residual, [...outer, outs], "the output");
  const rows = (t: Tensor, columns: number) => outer.length === 1 ? t : tf.reshape(t, [-1, columns]);
  const { y } = ops.run(ops.Linear, {
    x: rows(toFloat(x), ins),
    weight,
    bias: bias ?? undefined,
    residual: residual && rows(residual, outs),
  }, {});
  return outer.length === 1 ? y : tf.reshape(y, [...outer, outs]);
}

/** Options of {@link groupNorm}. */
export interface GroupNormOptions {
  /** Added to the variance, above 0; default 1e-5. */
  eps?: number;
  /** Whether SiLU follows; default false. */
  silu?: boolean;
}

/**
 * Group normalisation (Wu & He 2018), then SiLU where asked: each group of channels of each item by its own mean and
 * biased variance, times gamma plus beta.
 * @param x [N,…,C]
 * @param groups how many the channels are divided into, neighbours together; a positive whole number
 * @param gamma [C]
 * @param beta [C]
 * @returns x's shape
 * @throws Error if the groups do not divide the channels, or shapes do not fit; RangeError for groups or eps out of range.
 */
export function groupNorm(
  x: Tensor,
  groups: number,
  gamma: Tensor,
  beta: Tensor,
  { eps = 1e-5, silu = false }: GroupNormOptions = {},
): Tensor {
  return ops.run(ops.GroupNorm, { x, gamma, beta }, { groups, eps, silu }).y;
}

/**
 * Batch normalisation (Ioffe & Szegedy 2015) by the batch's own statistics over all axes but the last.
 * @param x […,C], more than one value a channel
 * @param gamma [C]
 * @param beta [C]
 * @param eps added to the variance, above 0; default 1e-5
 * @returns the output, and the batch's mean and biased variance [C], through which no gradient flows
 * @throws Error if shapes do not fit, or there is one value a channel; RangeError for another eps.
 */
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  eps = 1e-5,
): { y: Tensor; mean: Tensor; variance: Tensor } {
  return ops.run(ops.BatchNorm, { x, gamma, beta }, { eps });
}

/**
 * x·scale + shift a channel.
 * @param x […,C]
 * @param scale [C]
 * @param shift [C]
 * @returns x's shape
 * @throws Error if shapes do not fit.
 */
export function channelAffine(x: Tensor, scale: Tensor, shift: Tensor): Tensor {
  return ops.run(ops.ChannelAffine, { x, scale, shift }, {}).y;
}

/**
 * softmax(scale·QKᵀ)V, heads side by side in the channels (Vaswani et al. 2017, eq. 1). There are as many keys and
 * values as queries.
 * @param q [B,T,C]
 * @param k [B,T,C]
 * @param v [B,T,C]
 * @param heads a positive whole number that divides C
 * @param scale finite; default 1/√(C/heads)
 * @returns [B,T,C]
 * @throws Error if the shapes differ or the heads do not divide C; RangeError for heads or scale out of range.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, heads: number, scale?: number): Tensor {
  const attrs = { heads, scale: scale ?? 1 / Math.sqrt(q.shape.at(-1)! / heads) };
  return ops.run(ops.Attention, { q, k, v }, attrs).y;
}

/**
 * Adds a number a channel to every pixel of its image.
 * @param x [N,H,W,C]
 * @param b [N,C]
 * @returns x's shape
 * @throws Error if shapes do not fit.
 */
export function addChannels(x: Tensor, b: Tensor): Tensor {
  return ops.run(ops.AddChannels, { x, b }, {}).y;
}

/**
 * x·sigmoid(x) (Hendrycks & Gimpel 2016).
 * @param x of any shape
 */
export function silu(x: Tensor): Tensor {
  return ops.run(ops.Silu, { x }, {}).y;
}

/**
 * x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016); by the error function, as PyTorch's default.
 * @param x of any shape
 */
export function gelu(x: Tensor): Tensor {
  return ops.run(ops.Gelu, { x }, {}).y;
}

/**
 * x·tanh(log(1 + eˣ)) (Misra 2020), as PyTorch's `mish`.
 * @param x of any shape
 */
export function mish(x: Tensor): Tensor {
  // tanh(log(1 + u)) is n / (n + 2) with n = u(u + 2), and 1 in float32 from 20 on, where u² would grow too large.
  const u = tf.exp(tf.minimum(x, 20)), n = tf.mul(u, tf.add(u, 2));
  return tf.mul(x, tf.div(n, tf.add(n, 2)));
}

/**
 * max(x, 0); its gradient at 0 is 0.
 * @param x of any shape; whole numbers stay whole
 */
export function relu(x: Tensor): Tensor {
  return tf.relu(x);
}

/**
 * x where it is above 0, leak·x elsewhere, minus sub: a leaky ReLU whose outputs can have mean 0.
 * Source: miniai 12_activations.
 * @param x of any shape
 * @param leak slope below 0 and its gradient at 0, finite; default 0
 * @param sub subtracted from all, finite; default 0
 * @throws RangeError for a leak or sub that is not finite.
 */
export function generalRelu(x: Tensor, leak = 0, sub = 0): Tensor {
  return ops.run(ops.GeneralRelu, { x }, { leak, sub }).y;
}

/**
 * Means of factor × factor blocks; blocks at the end take the mean of what is left (PyTorch's `ceil_mode`).
 * @param x [N,H,W,C]; whole numbers are taken as float32
 * @param factor a positive whole number; default 2
 * @returns [N,⌈H/factor⌉,⌈W/factor⌉,C]
 * @throws Error for another shape; RangeError for another factor.
 */
export function averagePool(x: Tensor, factor = 2): Tensor {
  return ops.run(ops.AveragePool, { x: toFloat(x) }, { factor }).y;
}

/**
 * Repeats each pixel factor × factor times.
 * @param x [N,H,W,C]; whole numbers are taken as float32
 * @param factor a positive whole number; default 2
 * @returns [N,H·factor,W·factor,C]
 * @throws Error for another shape; RangeError for another factor.
 */
export function upsampleNearest(x: Tensor, factor = 2): Tensor {
  return ops.run(ops.Upsample, { x: toFloat(x) }, { factor }).y;
}

/**
 * Zeroes elements with probability p and multiplies the rest by 1/(1−p) (Srivastava et al. 2014); the layers call it in
 * training alone.
 * @param x of any shape; whole numbers are taken as float32
 * @param p in [0, 1]; 0 leaves x as it is, 1 gives zeros
 * @param axes axes that share one draw, for example [1, 2], the pixels of a channel; default none
 * @param generator where the draws come from; default the shared one
 * @throws RangeError for another p, or an axis that x does not have.
 */
export function dropout(
  x: Tensor,
  p: number,
  axes: number[] = [],
  generator: Generator = defaultGenerator,
): Tensor {
  requireProbability("dropout", "p", p);
  const wrong = axes.find((axis) => !Number.isInteger(axis) || axis < 0 || axis >= x.shape.length);
  if (wrong !== undefined) throw new RangeError(`dropout: x of shape [${x.shape}] has no axis ${wrong}`);
  if (p === 0) return tf.clone(toFloat(x));
  if (p === 1) return tf.mul(x, 0);
  const shape = x.shape.map((n, i) => axes.includes(i) ? 1 : n);
  const rate = constant(`dropout ${p}`, () => tf.scalar(p));
  const keep = tf.cast(tf.greaterEqual(generator.uniform(shape), rate), "float32");
  return tf.mul(x, tf.mul(keep, 1 / (1 - p)));
}

/**
 * Mean of (input − target)² over all elements, as PyTorch's; a scalar.
 * @param input of any shape; whole numbers are taken as float32
 * @param target of the same
 * @throws Error if the shapes differ.
 */
export function mseLoss(input: Tensor, target: Tensor): Tensor {
  return ops.run(ops.MseLoss, { input: toFloat(input), target: toFloat(target) }, {}).loss;
}

/**
 * Mean over the items of −log softmax(logits) at the label, as PyTorch's `cross_entropy`; a scalar.
 * @param logits [N,classes]
 * @param labels [N], whole numbers in [0, classes) of any dtype, through which no gradient flows
 * @throws Error for other shapes; RangeError for a label that is no whole number or outside of the classes. Labels that
 *   only a GPU has are not waited for: one that is wrong makes the loss NaN.
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  if (labels.dtype === "int32") return ops.run(ops.CrossEntropy, { logits, labels }, {}).loss;
  const fraction = hostValues(labels)?.find((label) => !Number.isInteger(label));
  if (fraction !== undefined) {
    throw new RangeError(`crossEntropy: labels are whole numbers, not ${fraction}`);
  }
  requireIndices("crossEntropy", "labels", labels, logits.shape.at(-1)!);
  const whole = tf.cast(labels, "int32");
  const { loss } = ops.run(ops.CrossEntropy, { logits, labels: whole }, {});
  if (hostValues(labels)) return loss;
  // A GPU has the labels: the loss is NaN where one is no whole number.
  const wrong = tf.any(tf.notEqual(tf.cast(labels, "float32"), tf.cast(whole, "float32")));
  return tf.add(
    loss,
    tf.where(wrong, constant("NaN", () => tf.scalar(NaN)), constant("zero", () => tf.scalar(0))),
  );
}
