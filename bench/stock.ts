/** Our fused kernels written with stock tfjs ops: what a model costs on WebGPU without kernels of its own. */
import { tf } from "../core/tf.ts";
import type { Tensor, TensorInfo } from "../core/tf.ts";
import { type AdamEntry, threefry } from "../core/ops/mod.ts";

type KernelConfig = Parameters<typeof tf.registerKernel>[0];

// deno-lint-ignore no-explicit-any
type Any = any;
type Composed = (inputs: Record<string, Any>, attrs: Any) => Tensor | Tensor[];

/** [N, …, C] as [N, pixels, groups, channels of a group]. */
function grouped(x: Tensor, groups: number): Tensor {
  const n = x.shape[0], c = x.shape.at(-1)!;
  return tf.reshape(x, [n, x.size / n / c, groups, c / groups]);
}

/** [N,G] as [N,1,G,1], to broadcast over {@link grouped}. */
const column = (x: Tensor): Tensor => tf.reshape(x, [x.shape[0], 1, x.shape[1]!, 1]);

/** [B,T,C] as [B,heads,T,C/heads]. */
function split(x: Tensor, heads: number): Tensor {
  const [b, t, c] = x.shape;
  return tf.transpose(tf.reshape(x, [b, t, heads, c / heads]), [0, 2, 1, 3]);
}

/** [B,heads,T,d] as [B,T,heads·d]. */
function merge(x: Tensor): Tensor {
  const [b, h, t, d] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [b, t, h * d]);
}

const siluGrad = (x: Tensor): Tensor => {
  const s = tf.sigmoid(x);
  return tf.mul(s, tf.add(1, tf.mul(x, tf.sub(1, s))));
};

const allButLast = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, i) => i);

/** Labels [N] as rows of 0 and 1 in the shape of logits. */
const oneHot = (labels: Tensor, logits: Tensor): Tensor =>
  tf.cast(tf.oneHot(labels as Any, logits.shape[1]!), "float32");

/** 1/(pixels of a block) for the blocks of an image, which are fewer at the ends; [1,⌈h/factor⌉,⌈w/factor⌉,1]. */
function blockShares(h: number, w: number, factor: number): Tensor {
  const [ho, wo] = [h, w].map((n) => Math.ceil(n / factor));
  const share = (of: number, size: number) => 1 / Math.min(factor, size - of * factor);
  const shares = Float32Array.from(
    { length: ho * wo },
    (_, i) => share(Math.floor(i / wo), h) * share(i % wo, w),
  );
  return tf.tensor(shares, [1, ho, wo, 1]);
}

/** The kernels by name; inputs and attributes as `nn/functional.ts` passes them. */
const COMPOSED: Record<string, Composed> = {
  GroupNorm({ x, gamma, beta }, { groups, eps, silu }) {
    const v = grouped(x, groups);
    const mean = tf.mean(v, [1, 3], true);
    const variance = tf.mean(tf.square(tf.sub(v, mean)), [1, 3], true);
    const rstd = tf.rsqrt(tf.add(variance, eps));
    const hat = tf.reshape(tf.mul(tf.sub(v, mean), rstd), x.shape);
    const z = tf.add(tf.mul(hat, gamma), beta);
    const stats = [x.shape[0], groups];
    return [
      silu ? tf.mul(z, tf.sigmoid(z)) : z,
      tf.reshape(mean, stats),
      tf.reshape(rstd, stats),
    ];
  },
  GroupNormGrad({ x, gamma, beta, mean, rstd, dy }, { groups, silu }) {
    const r = column(rstd);
    const hat = tf.mul(tf.sub(grouped(x, groups), column(mean)), r);
    const flat = tf.reshape(hat, x.shape);
    const g = silu ? tf.mul(dy, siluGrad(tf.add(tf.mul(flat, gamma), beta))) : dy;
    const scaled = grouped(tf.mul(g, gamma), groups);
    const m1 = tf.mean(scaled, [1, 3], true);
    const m2 = tf.mean(tf.mul(scaled, hat), [1, 3], true);
    const dx = tf.mul(r, tf.sub(tf.sub(scaled, m1), tf.mul(hat, m2)));
    const outer = x.shape.slice(0, -1).map((_: number, i: number) => i);
    return [tf.reshape(dx, x.shape), tf.sum(tf.mul(g, flat), outer), tf.sum(g, outer)];
  },

  Attention({ q, k, v }, { heads, scale }) {
    const [Q, K, V] = [q, k, v].map((t) => split(t, heads));
    const scores = tf.mul(tf.matMul(Q, K, false, true), scale);
    const max = tf.max(scores, -1, true);
    const e = tf.exp(tf.sub(scores, max));
    const inverse = tf.reciprocal(tf.sum(e, -1, true));
    return [merge(tf.matMul(tf.mul(e, inverse), V)), tf.concat([max, inverse], -1)];
  },
  AttentionGrad({ q, k, v, y, stats, dy }, { heads, scale }) {
    const [Q, K, V, O, dO] = [q, k, v, y, dy].map((t) => split(t, heads));
    const [max, inverse] = tf.split(stats, 2, -1);
    const scores = tf.mul(tf.matMul(Q, K, false, true), scale);
    const P = tf.mul(tf.exp(tf.sub(scores, max)), inverse);
    const dP = tf.matMul(dO, V, false, true);
    const dS = tf.mul(tf.mul(P, tf.sub(dP, tf.sum(tf.mul(dO, O), -1, true))), scale);
    return [
      merge(tf.matMul(dS, K)),
      merge(tf.matMul(dS, Q, true)),
      merge(tf.matMul(P, dO, true)),
    ];
  },

  Silu: ({ x }) => tf.mul(x, tf.sigmoid(x)),
  SiluGrad: ({ x, dy }) => tf.mul(dy, siluGrad(x)),

  Conv2DAdd({ x, filter, bias, residual }, attrs) {
    const y = tf.conv2d(x, filter, attrs.strides, attrs.pad, "NHWC", 1, attrs.dimRoundingMode);
    return tf.add(bias ? tf.add(y, bias) : y, residual);
  },
  MatMulAdd({ a, b, bias, residual }) {
    const y = tf.matMul(a, b, false, true);
    return tf.add(bias ? tf.add(y, bias) : y, residual);
  },

  GeneralRelu: ({ x }, { leak, sub }) => tf.sub(tf.where(tf.greater(x, 0), x, tf.mul(x, leak)), sub),
  GeneralReluGrad: ({ x, dy }, { leak }) => tf.where(tf.greater(x, 0), dy, tf.mul(dy, leak)),
  AveragePool({ x }, { factor }) {
    const [, h, w] = x.shape, shares = blockShares(h, w, factor);
    const [, ho, wo] = shares.shape;
    const whole = tf.pad(x, [[0, 0], [0, ho * factor - h], [0, wo! * factor - w], [0, 0]]);
    return tf.mul(tf.avgPool(whole as Any, factor, factor, "valid"), tf.mul(shares, factor * factor));
  },
  AveragePoolGrad({ dy }, { factor, shape }) {
    const [, ho, wo] = dy.shape, [n, h, w, c] = shape;
    const g = tf.mul(dy, blockShares(h, w, factor));
    return tf.slice(tf.image.resizeNearestNeighbor(g as Any, [ho * factor, wo * factor]), 0, [n, h, w, c]);
  },

  AddChannels: ({ x, b }) => tf.add(x, tf.reshape(b, [b.shape[0], 1, 1, b.shape[1]])),
  SumPixels: ({ x }) => tf.sum(x, [1, 2]),

  Upsample({ x }, { factor }) {
    return tf.image.resizeNearestNeighbor(x, [x.shape[1] * factor, x.shape[2] * factor]);
  },
  UpsampleGrad({ dy }, { factor }) {
    return tf.mul(tf.avgPool(dy, factor, factor, "valid"), factor * factor);
  },

  BatchNorm({ x, gamma, beta }, { eps }) {
    const axes = allButLast(x);
    const mean = tf.mean(x, axes);
    const variance = tf.mean(tf.square(tf.sub(x, mean)), axes);
    const rstd = tf.rsqrt(tf.add(variance, eps));
    return [tf.add(tf.mul(tf.mul(tf.sub(x, mean), rstd), gamma), beta), mean, variance, rstd];
  },
  BatchNormGrad({ x, gamma, mean, rstd, dy }) {
    const axes = allButLast(x), rows = x.size / gamma.size;
    const hat = tf.mul(tf.sub(x, mean), rstd);
    const dGamma = tf.sum(tf.mul(dy, hat), axes), dBeta = tf.sum(dy, axes);
    const rest = tf.div(tf.add(dBeta, tf.mul(hat, dGamma)), rows);
    return [tf.mul(tf.mul(gamma, rstd), tf.sub(dy, rest)), dGamma, dBeta];
  },
  ChannelAffine: ({ x, scale, shift }) => tf.add(tf.mul(x, scale), shift),

  SoftmaxGrad({ y, dy }) {
    const g = tf.mul(dy, y);
    return tf.sub(g, tf.mul(tf.sum(g, -1, true), y));
  },
  LogSoftmaxGrad: ({ y, dy }) => tf.sub(dy, tf.mul(tf.sum(dy, -1, true), tf.exp(y))),
  MseLoss: ({ input, target }) => tf.mean(tf.square(tf.sub(input, target))),
  MseLossGrad: ({ input, target, dy }) => tf.mul(tf.sub(input, target), tf.mul(dy, 2 / input.size)),
  CrossEntropy({ logits, labels }) {
    const logSums = tf.logSumExp(logits, -1);
    const picked = tf.sum(tf.mul(logits, oneHot(labels, logits)), -1);
    return [tf.mean(tf.sub(logSums, picked)), logSums];
  },
  CrossEntropyGrad({ logits, labels, logSums, dy }) {
    const p = tf.exp(tf.sub(logits, tf.expandDims(logSums, -1)));
    return tf.mul(tf.sub(p, oneHot(labels, logits)), tf.div(dy, logits.shape[0]));
  },

  AdamStep(_, { entries }: { entries: AdamEntry[] }) {
    for (const e of entries) {
      const d = e.l2 ? tf.add(e.grad, tf.mul(e.param, e.l2)) : e.grad;
      e.m.value = tf.add(tf.mul(e.m.value, e.beta1), tf.mul(d, 1 - e.beta1));
      e.v.value = tf.add(tf.mul(e.v.value, e.beta2), tf.mul(tf.square(d), 1 - e.beta2));
      const denominator = tf.add(tf.div(tf.sqrt(e.v.value), e.rootCorrection2), e.eps);
      const update = tf.mul(tf.div(e.m.value, denominator), e.rate);
      e.param.assign(tf.sub(tf.mul(e.param, 1 - e.lr * e.decay), update));
    }
    return [];
  },

  Random(_, { shape, key, counter, normal }) {
    return tf.tensor(threefry(tf.util.sizeFromShape(shape), key, counter, normal), shape);
  },
};

/**
 * Replaces our WebGPU kernels by tfjs's own and by these. Call it after `useDevice("webgpu")`, with what the package
 * had registered before.
 */
export function useStockKernels(packageKernels: KernelConfig[]): void {
  const backendName = "webgpu";
  for (const { kernelName } of tf.getKernelsForBackend(backendName)) {
    tf.unregisterKernel(kernelName, backendName);
  }
  packageKernels.forEach((k) => tf.registerKernel(k));
  for (const [kernelName, compose] of Object.entries(COMPOSED)) {
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs }) =>
        tf.tidy(() => compose(inputs, attrs) as Tensor) as TensorInfo | TensorInfo[],
    });
  }
}
