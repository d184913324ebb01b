/** Batch normalisation (Ioffe & Szegedy 2015) over all axes but the last, and the affine map of its evaluation. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireChannels, requireEps, requireShape, requireType } from "./check.ts";
import { gradient, type None, type Op, run, together } from "./op.ts";

/** 1/√(variance + eps): NaN where a variance is more than a float holds, which would make zeros of all. */
export function inverseRoot(variance: Tensor, eps: number): Tensor {
  return tf.add(tf.rsqrt(tf.add(variance, eps)), tf.sub(variance, variance));
}

const allButLast = (x: Tensor): number[] => x.shape.slice(0, -1).map((_, i) => i);

/**
 * (x − mean)·rstd·gamma + beta with the batch's mean and biased variance. x and y […,C], all others [C].
 * No gradient flows through mean, variance and rstd, which are for the running statistics.
 */
export const BatchNorm: Op<
  { x: Tensor; gamma: Tensor; beta: Tensor },
  { eps: number },
  { y: Tensor; mean: Tensor; variance: Tensor; rstd: Tensor }
> = {
  name: "BatchNorm",
  outputs: ["y", "mean", "variance", "rstd"],
  check({ x, gamma, beta }, { eps }) {
    requireType("BatchNorm", { x, gamma, beta });
    requireChannels("BatchNorm", x, { gamma, beta });
    requireEps("BatchNorm", eps);
    if (x.size / gamma.size < 2) {
      throw new Error(`BatchNorm: x of shape [${x.shape}] needs more than one value a channel in training`);
    }
  },
  reference({ x, gamma, beta }, { eps }) {
    const axes = allButLast(x);
    const mean = tf.mean(x, axes);
    const variance = tf.mean(tf.square(tf.sub(x, mean)), axes);
    const rstd = inverseRoot(variance, eps);
    return { y: tf.add(tf.mul(tf.mul(tf.sub(x, mean), rstd), gamma), beta), mean, variance, rstd };
  },
  gradient: gradient(["x", "gamma", "mean", "rstd"], (dy, { x, gamma, mean, rstd }) => {
    const grads = together(() => run(BatchNormGrad, { x, gamma, mean, rstd, dy }, {}));
    return { x: grads("dx"), gamma: grads("dGamma"), beta: grads("dBeta") };
  }),
};

/** The gradient of {@link BatchNorm}. */
export const BatchNormGrad: Op<
  { x: Tensor; gamma: Tensor; mean: Tensor; rstd: Tensor; dy: Tensor },
  None,
  { dx: Tensor; dGamma: Tensor; dBeta: Tensor }
> = {
  name: "BatchNormGrad",
  outputs: ["dx", "dGamma", "dBeta"],
  check({ x, gamma, mean, rstd, dy }) {
    requireType("BatchNormGrad", { x, gamma, mean, rstd, dy });
    requireChannels("BatchNormGrad", x, { gamma, mean, rstd });
    requireShape("BatchNormGrad", "dy", dy, x.shape, "x");
  },
  reference({ x, gamma, mean, rstd, dy }) {
    const axes = allButLast(x), rows = x.size / gamma.size;
    const hat = tf.mul(tf.sub(x, mean), rstd);
    const dGamma: Tensor = tf.sum(tf.mul(dy, hat), axes), dBeta: Tensor = tf.sum(dy, axes);
    const rest = tf.div(tf.add(dBeta, tf.mul(hat, dGamma)), rows);
    return { dx: tf.mul(tf.mul(gamma, rstd), tf.sub(dy, rest)), dGamma, dBeta };
  },
  gradient: null,
};

/** x·scale + shift a channel. x and y […,C], scale and shift [C]. */
export const ChannelAffine: Op<{ x: Tensor; scale: Tensor; shift: Tensor }, None, { y: Tensor }> = {
  name: "ChannelAffine",
  outputs: ["y"],
  check({ x, scale, shift }) {
    requireType("ChannelAffine", { x, scale, shift });
    requireChannels("ChannelAffine", x, { scale, shift });
  },
  reference: ({ x, scale, shift }) => ({ y: tf.add(tf.mul(x, scale), shift) }),
  gradient: gradient(["x", "scale"], (dy, { x, scale }) => ({
    x: () => run(ChannelAffine, { x: dy, scale, shift: tf.zerosLike(scale) }, {}).y,
    scale: () => tf.sum(tf.mul(dy, x), allButLast(dy)),
    shift: () => tf.sum(dy, allButLast(dy)),
  })),
};
