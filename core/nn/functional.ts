/** Operations as functions: what layers call, and what a model may call by itself. Images are NHWC. */
import { constant } from "../device/constants.ts";
import "../autograd/gradients.ts";
import * as ops from "../ops/mod.ts";
import { runKernel, tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { defaultGenerator, type Generator } from "../random.ts";

export { requireGroups } from "../ops/mod.ts";

/** Options of {@link conv2d}. */
export interface Conv2dOptions {
  /** Step in both directions; default 1. */
  stride?: number;
  /** Zeros on every side; default 0. */
  padding?: number;
  /** Added to the output, of its shape; at no cost of its own. */
  residual?: Tensor;
}

/**
 * Cross-correlation, as PyTorch's `conv2d`.
 * @param x [N,H,W,Cin]
 * @param filter [kh,kw,Cin,Cout]
 * @param bias [Cout], or none
 * @returns [N,H',W',Cout] with H' = ⌊(H + 2·padding − kh)/stride⌋ + 1
 * @throws Error if the channels of x and filter differ.
 */
export function conv2d(
  x: Tensor,
  filter: Tensor,
  bias?: Tensor | null,
  { stride = 1, padding = 0, residual }: Conv2dOptions = {},
): Tensor {
  if (x.shape.length !== 4) {
    throw new Error(`conv2d takes [N,H,W,C], not a tensor of shape [${x.shape}]`);
  }
  if (x.shape[3] !== filter.shape[2]) {
    throw new Error(
      `conv2d got ${x.shape[3]} channels for a filter of ${filter.shape[2]}; images are NHWC`,
    );
  }
  const attrs = {
    strides: [stride, stride],
    pad: padding,
    dataFormat: "NHWC",
    dilations: [1, 1],
    dimRoundingMode: "floor",
  };
  if (residual) {
    const side = (n: number, k: number) => Math.floor((n + 2 * padding - k) / stride) + 1;
    const [n, h, w] = x.shape, [kh, kw, , co] = filter.shape;
    requireShape("conv2d", residual, [n, side(h, kh), side(w!, kw!), co!]);
    return runKernel("Conv2DAdd", { x, filter, bias: bias ?? undefined, residual }, attrs);
  }
  if (!bias) return runKernel("Conv2D", { x, filter }, attrs);
  return runKernel("FusedConv2D", { x, filter, bias }, { ...attrs, activation: "linear" });
}

/** @throws Error unless a residual has the output's shape. */
function requireShape(name: string, residual: Tensor, shape: number[]): void {
  if (tf.util.arraysEqual(residual.shape, shape)) return;
  throw new Error(`${name}: the residual has shape [${residual.shape}], the output [${shape}]`);
}

/**
 * x·weightᵀ + bias (+ residual) over the last axis.
 * @param x […,in]
 * @param weight [out,in]
 * @param bias [out], or none
 * @param residual […,out], added at no cost of its own
 * @throws Error if features or shapes differ.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null, residual?: Tensor): Tensor {
  const [outs, ins] = weight.shape;
  if (x.shape.at(-1) !== ins) {
    throw new Error(`linear takes ${ins} features, not a tensor of shape [${x.shape}]`);
  }
  const a = x.shape.length === 2 ? x : tf.reshape(x, [-1, ins]);
  const attrs = { transposeA: false, transposeB: true };
  const shape = [...x.shape.slice(0, -1), outs];
  if (residual) {
    requireShape("linear", residual, shape);
    const rows = tf.reshape(residual, [-1, outs]);
    return tf.reshape(
      runKernel("MatMulAdd", { a, b: weight, bias: bias ?? undefined, residual: rows }),
      shape,
    );
  }
  const y = bias
    ? runKernel("_FusedMatMul", { a, b: weight, bias }, { ...attrs, activation: "linear" })
    : runKernel("BatchMatMul", { a, b: weight }, attrs);
  return a === x ? y : tf.reshape(y, shape);
}

/**
 * Group normalisation (Wu & He 2018) over […, C], then SiLU where asked.
 * @param x [N,…,C]
 * @param gamma [C]
 * @param beta [C]
 * @throws Error if the groups do not divide the channels.
 */
export function groupNorm(
  x: Tensor,
  groups: number,
  gamma: Tensor,
  beta: Tensor,
  { eps = 1e-5, silu = false }: { eps?: number; silu?: boolean } = {},
): Tensor {
  return ops.run(ops.GroupNorm, { x, gamma, beta }, { groups, eps, silu }).y;
}

/**
 * Batch normalisation (Ioffe & Szegedy 2015) by the batch's own statistics over all axes but the last.
 * @param x […,C], more than one value a channel
 * @returns the output, and the batch's mean and biased variance [C], through which no gradient flows
 */
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  eps = 1e-5,
): { y: Tensor; mean: Tensor; variance: Tensor } {
  return ops.run(ops.BatchNorm, { x, gamma, beta }, { eps });
}

/** x·scale + shift a channel; x […,C], scale and shift [C]. */
export function channelAffine(x: Tensor, scale: Tensor, shift: Tensor): Tensor {
  return ops.run(ops.ChannelAffine, { x, scale, shift }, {}).y;
}

/**
 * softmax(scale·QKᵀ)V, heads side by side in the channels (Vaswani et al. 2017, eq. 1).
 * @param q [B,T,C], as k and v
 * @param scale default 1/√(C/heads)
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, heads: number, scale?: number): Tensor {
  return ops.run(ops.Attention, { q, k, v }, {
    heads,
    scale: scale ?? 1 / Math.sqrt(q.shape.at(-1)! / heads),
  }).y;
}

/** Adds a number a channel to every pixel of its image: x [N,H,W,C] + b [N,C]. */
export function addChannels(x: Tensor, b: Tensor): Tensor {
  return ops.run(ops.AddChannels, { x, b }, {}).y;
}

/** x·sigmoid(x) (Hendrycks & Gimpel 2016). */
export function silu(x: Tensor): Tensor {
  return ops.run(ops.Silu, { x }, {}).y;
}

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return tf.relu(x);
}

/** max(x, leak·x) − sub: a leaky ReLU whose outputs can have mean 0; source: miniai 12_activations. */
export function generalRelu(x: Tensor, leak = 0, sub = 0): Tensor {
  return ops.run(ops.GeneralRelu, { x }, { leak, sub }).y;
}

/**
 * Means of factor × factor blocks; blocks at the end take the mean of what is left (PyTorch's `ceil_mode`).
 * @param x [N,H,W,C]
 * @returns [N,⌈H/factor⌉,⌈W/factor⌉,C]
 */
export function averagePool(x: Tensor, factor = 2): Tensor {
  return ops.run(ops.AveragePool, { x }, { factor }).y;
}

/** Repeats each pixel factor × factor times. [N,H,W,C] to [N,H·factor,W·factor,C]. */
export function upsampleNearest(x: Tensor, factor = 2): Tensor {
  return ops.run(ops.Upsample, { x }, { factor }).y;
}

/**
 * Zeroes elements with probability p and scales the rest by 1/(1−p) (Srivastava et al. 2014).
 * @param axes axes that share one draw, for example the pixels of a channel; default none
 */
export function dropout(
  x: Tensor,
  p: number,
  axes: number[] = [],
  generator: Generator = defaultGenerator,
): Tensor {
  if (p === 0) return tf.clone(x);
  const shape = x.shape.map((n, i) => axes.includes(i) ? 1 : n);
  const rate = constant(`dropout ${p}`, () => tf.scalar(p));
  const keep = tf.cast(tf.greaterEqual(generator.uniform(shape), rate), "float32");
  return tf.mul(x, tf.mul(keep, 1 / (1 - p)));
}

/** Mean of (input − target)² over all elements; a scalar. @throws Error if the shapes differ. */
export function mseLoss(input: Tensor, target: Tensor): Tensor {
  return ops.run(ops.MseLoss, { input, target }, {}).loss;
}

/**
 * Mean negative log-likelihood of whole-number labels.
 * @param logits [N,classes]
 * @param labels [N], int32 in [0, classes)
 * @throws Error for other shapes.
 */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  const whole = labels.dtype === "int32" ? labels : tf.cast(labels, "int32");
  return ops.run(ops.CrossEntropy, { logits, labels: whole }, {}).loss;
}
