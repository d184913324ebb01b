/** Adam's step, in place. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import type { Parameter } from "../autograd/tape.ts";
import type { Buffer } from "../nn/module.ts";
import { requireShape, requireType } from "./check.ts";
import type { None, Op } from "./op.ts";

/** One parameter's share of a step. */
export interface AdamEntry {
  /** What is moved. */
  param: Parameter;
  /** Of the parameter's shape, as m and v. */
  grad: Tensor;
  /** First moment. */
  m: Buffer;
  /** Second moment. */
  v: Buffer;
  /** Learning rate. */
  lr: number;
  /** Share of the first moment that stays. */
  beta1: number;
  /** Share of the second moment that stays. */
  beta2: number;
  /** Added to the denominator. */
  eps: number;
  /** √(1 − β2ᵗ). */
  rootCorrection2: number;
  /** lr/(1 − β1ᵗ). */
  rate: number;
  /** Decoupled weight decay. */
  decay: number;
  /** L2 penalty. */
  l2: number;
}

/**
 * m ← β1·m + (1−β1)·g, v ← β2·v + (1−β2)·g², p ← p·(1 − lr·decay) − rate·m/(√v/√(1−β2ᵗ) + eps), g with an L2 penalty
 * (Kingma & Ba 2015, algorithm 1). Nothing changes where `skip`, a number on the device, is not 0.
 */
export const AdamStep: Op<None, { entries: AdamEntry[]; skip: Tensor | null }, None> = {
  name: "AdamStep",
  outputs: [],
  check(_, { entries, skip }) {
    if (skip) requireType("AdamStep", { skip });
    if (skip) requireShape("AdamStep", "skip", skip, [], "one number has");
    for (const { param, grad, m, v } of entries) {
      requireType("AdamStep", { param, grad, m: m.value, v: v.value });
      for (const [name, x] of Object.entries({ grad, m: m.value, v: v.value })) {
        requireShape("AdamStep", name, x, param.shape, "its parameter");
      }
    }
  },
  reference(_, { entries, skip }) {
    const go = skip && tf.equal(skip, 0);
    /** The next value, or the one of now where the step is to change nothing. */
    const next = (then: Tensor, now: Tensor) => go ? tf.where(go, then, now) : then;
    for (const e of entries) {
      const g = e.l2 ? tf.add(e.grad, tf.mul(e.param, e.l2)) : e.grad;
      const m = tf.add(tf.mul(e.m.value, e.beta1), tf.mul(g, 1 - e.beta1));
      const v = tf.add(tf.mul(e.v.value, e.beta2), tf.mul(tf.square(g), 1 - e.beta2));
      const denominator = tf.add(tf.div(tf.sqrt(v), e.rootCorrection2), e.eps);
      const update = tf.mul(tf.div(m, denominator), e.rate);
      e.param.assign(next(tf.sub(tf.mul(e.param, 1 - e.lr * e.decay), update), e.param));
      e.m.value = next(m, e.m.value);
      e.v.value = next(v, e.v.value);
    }
    return {};
  },
  gradient: null,
};
