/** Scaled dot-product attention (Vaswani et al. 2017, eq. 1), heads side by side in the channels. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireFinite, requireLayout, requireShape, requireType, requireWhole } from "./check.ts";
import { gradient, type Op, run, together } from "./op.ts";

/** [B,T,C] as [B,heads,T,C/heads]. */
function split(x: Tensor, heads: number): Tensor {
  const [b, t, c] = x.shape;
  return tf.transpose(tf.reshape(x, [b, t!, heads, c! / heads]), [0, 2, 1, 3]);
}

/** [B,heads,T,d] as [B,T,heads·d]. */
function merge(x: Tensor): Tensor {
  const [b, h, t, d] = x.shape;
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [b, t!, h! * d!]);
}

/** @throws unless q, k and v have one shape [B,T,C] that the heads divide. */
function requireHeads(
  op: string,
  { q, k, v }: { q: Tensor; k: Tensor; v: Tensor },
  heads: number,
  scale: number,
): void {
  requireType(op, { q, k, v });
  requireLayout(op, "q", q.shape, "[B,T,C]");
  requireShape(op, "k", k, q.shape, "q");
  requireShape(op, "v", v, q.shape, "q");
  requireWhole(op, "the number of heads", heads);
  if (q.shape[2]! % heads !== 0) {
    throw new Error(`${op}: ${q.shape[2]} channels do not divide into ${heads} attention heads`);
  }
  requireFinite(op, "scale", scale);
}

/**
 * softmax(scale·QKᵀ)V a head. q, k, v and y [B,T,C]; stats [B,heads,T,2] are each query's largest score and the inverse
 * of its sum of exponentials.
 */
export const Attention: Op<
  { q: Tensor; k: Tensor; v: Tensor },
  { heads: number; scale: number },
  { y: Tensor; stats: Tensor }
> = {
  name: "Attention",
  outputs: ["y", "stats"],
  check: (inputs, { heads, scale }) => requireHeads("Attention", inputs, heads, scale),
  reference({ q, k, v }, { heads, scale }) {
    const [Q, K, V] = [q, k, v].map((x) => split(x, heads));
    const scores = tf.mul(tf.matMul(Q, K, false, true), scale);
    const max = tf.max(scores, -1, true);
    const e = tf.exp(tf.sub(scores, max));
    const inverse = tf.reciprocal(tf.sum(e, -1, true));
    return { y: merge(tf.matMul(tf.mul(e, inverse), V)), stats: tf.concat([max, inverse], -1) };
  },
  gradient: gradient(["q", "k", "v", "y", "stats"], (dy, { q, k, v, y, stats }, attrs) => {
    const grads = together(() => run(AttentionGrad, { q, k, v, y, stats, dy }, attrs));
    return { q: grads("dq"), k: grads("dk"), v: grads("dv") };
  }),
};

/** The gradient of {@link Attention}. */
export const AttentionGrad: Op<
  { q: Tensor; k: Tensor; v: Tensor; y: Tensor; stats: Tensor; dy: Tensor },
  { heads: number; scale: number },
  { dq: Tensor; dk: Tensor; dv: Tensor }
> = {
  name: "AttentionGrad",
  outputs: ["dq", "dk", "dv"],
  check({ y, stats, dy, ...inputs }, { heads, scale }) {
    requireHeads("AttentionGrad", inputs, heads, scale);
    requireType("AttentionGrad", { y, stats, dy });
    const [b, t] = inputs.q.shape;
    requireShape("AttentionGrad", "y", y, inputs.q.shape, "q");
    requireShape("AttentionGrad", "dy", dy, inputs.q.shape, "q");
    requireShape("AttentionGrad", "stats", stats, [b, heads, t!, 2], "two numbers a head and query are");
  },
  reference({ q, k, v, y, stats, dy }, { heads, scale }) {
    const [Q, K, V, O, dO] = [q, k, v, y, dy].map((x) => split(x, heads));
    const [max, inverse] = tf.split(stats, 2, -1);
    const scores = tf.mul(tf.matMul(Q, K, false, true), scale);
    const P = tf.mul(tf.exp(tf.sub(scores, max)), inverse);
    const dP = tf.matMul(dO, V, false, true);
    const dS = tf.mul(tf.mul(P, tf.sub(dP, tf.sum(tf.mul(dO, O), -1, true))), scale);
    return {
      dq: merge(tf.matMul(dS, K)),
      dk: merge(tf.matMul(dS, Q, true)),
      dv: merge(tf.matMul(P, dO, true)),
    };
  },
  gradient: null,
};
