/** Group normalisation (Wu & He 2018), with SiLU after it where asked. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { inverseRoot } from "./batchnorm.ts";
import { requireChannels, requireEps, requireShape, requireType, requireWhole } from "./check.ts";
import { siluSlope } from "./elementwise.ts";
import { gradient, type Op, run, together } from "./op.ts";

/** [N, …, C] as [N, pixels, groups, channels of a group]. */
function grouped(x: Tensor, groups: number): Tensor {
  const n = x.shape[0], c = x.shape.at(-1)!;
  return tf.reshape(x, [n, x.size / n / c, groups, c / groups]);
}

/** [N,G] as [N,1,G,1], to broadcast over {@link grouped}. */
const column = (x: Tensor): Tensor => tf.reshape(x, [x.shape[0], 1, x.shape[1]!, 1]);

/**
 * Checks that groups divide channels.
 * @throws Error unless `groups` is a positive whole number that divides `channels`.
 */
export function requireGroups(groups: number, channels: number, op = "GroupNorm"): void {
  requireWhole(op, "the number of groups (norm_num_groups)", groups);
  if (channels % groups === 0) return;
  throw new Error(
    `${op}: ${channels} channels do not divide into ${groups} groups: ` +
      `the number of groups (norm_num_groups) must divide the channels`,
  );
}

/**
 * (x − mean)·rstd·gamma + beta with the statistics of an image's group of channels, then SiLU where asked.
 * x and y [N,…,C], gamma and beta [C], mean and rstd [N,groups].
 */
export const GroupNorm: Op<
  { x: Tensor; gamma: Tensor; beta: Tensor },
  { groups: number; eps: number; silu: boolean },
  { y: Tensor; mean: Tensor; rstd: Tensor }
> = {
  name: "GroupNorm",
  outputs: ["y", "mean", "rstd"],
  check({ x, gamma, beta }, { groups, eps }) {
    requireType("GroupNorm", { x, gamma, beta });
    if (x.shape.length < 2) throw new Error(`GroupNorm: x is [N,…,C], not of shape [${x.shape}]`);
    requireChannels("GroupNorm", x, { gamma, beta });
    requireGroups(groups, x.shape.at(-1)!);
    requireEps("GroupNorm", eps);
  },
  reference({ x, gamma, beta }, { groups, eps, silu }) {
    const v = grouped(x, groups);
    const mean = tf.mean(v, [1, 3], true);
    const variance = tf.mean(tf.square(tf.sub(v, mean)), [1, 3], true);
    const rstd = inverseRoot(variance, eps);
    const hat = tf.reshape(tf.mul(tf.sub(v, mean), rstd), x.shape);
    const z = tf.add(tf.mul(hat, gamma), beta);
    const stats = [x.shape[0], groups];
    return {
      y: silu ? tf.mul(z, tf.sigmoid(z)) : z,
      mean: tf.reshape(mean, stats),
      rstd: tf.reshape(rstd, stats),
    };
  },
  gradient: gradient(
    ["x", "gamma", "beta", "mean", "rstd"],
    (dy, { x, gamma, beta, mean, rstd }, { groups, silu }) => {
      const grads = together(() => run(GroupNormGrad, { x, gamma, beta, mean, rstd, dy }, { groups, silu }));
      return { x: grads("dx"), gamma: grads("dGamma"), beta: grads("dBeta") };
    },
  ),
};

/** The gradient of {@link GroupNorm}. */
export const GroupNormGrad: Op<
  { x: Tensor; gamma: Tensor; beta: Tensor; mean: Tensor; rstd: Tensor; dy: Tensor },
  { groups: number; silu: boolean },
  { dx: Tensor; dGamma: Tensor; dBeta: Tensor }
> = {
  name: "GroupNormGrad",
  outputs: ["dx", "dGamma", "dBeta"],
  check({ x, gamma, beta, mean, rstd, dy }, { groups }) {
    requireType("GroupNormGrad", { x, gamma, beta, mean, rstd, dy });
    requireChannels("GroupNormGrad", x, { gamma, beta });
    requireGroups(groups, x.shape.at(-1)!, "GroupNormGrad");
    for (const [name, stat] of Object.entries({ mean, rstd })) {
      requireShape("GroupNormGrad", name, stat, [x.shape[0], groups], "images and groups are");
    }
    requireShape("GroupNormGrad", "dy", dy, x.shape, "x");
  },
  reference({ x, gamma, beta, mean, rstd, dy }, { groups, silu }) {
    const r = column(rstd);
    const hat = tf.mul(tf.sub(grouped(x, groups), column(mean)), r);
    const flat = tf.reshape(hat, x.shape);
    const g = silu ? tf.mul(dy, siluSlope(tf.add(tf.mul(flat, gamma), beta))) : dy;
    const scaled = grouped(tf.mul(g, gamma), groups);
    const m1 = tf.mean(scaled, [1, 3], true);
    const m2 = tf.mean(tf.mul(scaled, hat), [1, 3], true);
    const dx = tf.mul(r, tf.sub(tf.sub(scaled, m1), tf.mul(hat, m2)));
    const outer = x.shape.slice(0, -1).map((_, i) => i);
    return {
      dx: tf.reshape(dx, x.shape),
      dGamma: tf.sum(tf.mul(g, flat), outer),
      dBeta: tf.sum(g, outer),
    };
  },
  gradient: null,
};
