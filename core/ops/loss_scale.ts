/** Dynamic loss scaling without reading anything back (Micikevicius et al. 2018), in place. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import type { Parameter } from "../autograd/tape.ts";
import { requireShape, requireType, requireWhole } from "./check.ts";
import type { None, Op } from "./op.ts";

/** The scale never falls below the first nor rises above the second. */
export const MIN_SCALE = 1, MAX_SCALE = 2 ** 24;

/** @throws unless each is one float32 number. */
function requireNumbers(op: string, numbers: Record<string, Tensor>): void {
  requireType(op, numbers);
  for (const [name, x] of Object.entries(numbers)) requireShape(op, name, x, [], "one number has");
}

/** Whether any element is infinite or not a number, as 1 or 0. */
const anyBad = (x: Tensor): Tensor =>
  tf.cast(tf.logicalNot(tf.all(tf.lessEqual(tf.abs(x), 3.4028234663852886e38))), "float32");

/**
 * Divides the gradients of parameters (those that have one, each in memory of its own) by the scale; `bad` becomes 1
 * where one of them is infinite or not a number.
 */
export const UnscaleGrads: Op<None, { params: Parameter[]; scale: tf.Variable; bad: tf.Variable }, None> = {
  name: "UnscaleGrads",
  outputs: [],
  check(_, { params, scale, bad }) {
    requireNumbers("UnscaleGrads", { scale, bad });
    for (const { grad } of params) if (grad) requireType("UnscaleGrads", { grad });
  },
  reference(_, { params, scale, bad }) {
    const inverse = tf.div(1, scale);
    for (const p of params) {
      if (!p.grad) continue;
      const grad = tf.mul(p.grad, inverse);
      bad.assign(tf.maximum(bad, anyBad(grad)));
      p.setGrad(grad);
    }
    return {};
  },
  gradient: null,
};

/**
 * After a bad step the scale halves, after `every` good ones in a row it doubles; `good` counts those, `bad` becomes
 * 0 again.
 */
export const UpdateLossScale: Op<
  None,
  { scale: tf.Variable; good: tf.Variable; bad: tf.Variable; every: number },
  None
> = {
  name: "UpdateLossScale",
  outputs: [],
  check(_, { scale, good, bad, every }) {
    requireNumbers("UpdateLossScale", { scale, good, bad });
    requireWhole("UpdateLossScale", "every", every);
  },
  reference(_, { scale, good, bad, every }) {
    const wasBad = tf.notEqual(bad, 0);
    const count = tf.where(wasBad, tf.zerosLike(good), tf.add(good, 1));
    const enough = tf.greaterEqual(count, every);
    const doubled = tf.where(enough, tf.minimum(tf.mul(scale, 2), MAX_SCALE), scale);
    scale.assign(tf.where(wasBad, tf.maximum(tf.mul(scale, 0.5), MIN_SCALE), doubled));
    good.assign(tf.where(enough, tf.zerosLike(count), count));
    bad.assign(tf.zerosLike(bad));
    return {};
  },
  gradient: null,
};
