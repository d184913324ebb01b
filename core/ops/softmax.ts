/** The gradients of tfjs's softmax and logarithm of it, over the last axis. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireShape, requireType } from "./check.ts";
import type { None, Op } from "./op.ts";

/** @throws unless y and dy are float32 of one shape with an axis. */
function requireRows(op: string, { y, dy }: { y: Tensor; dy: Tensor }): void {
  requireType(op, { y, dy });
  requireShape(op, "dy", dy, y.shape, "y");
  if (y.shape.length === 0) throw new Error(`${op}: y is […,classes], not a scalar`);
}

/** dx from y = softmax(x) and dy: y·(dy − Σ dy·y). */
export const SoftmaxGrad: Op<{ y: Tensor; dy: Tensor }, None, { dx: Tensor }> = {
  name: "SoftmaxGrad",
  outputs: ["dx"],
  check: (inputs) => requireRows("SoftmaxGrad", inputs),
  reference({ y, dy }) {
    const g = tf.mul(dy, y);
    return { dx: tf.sub(g, tf.mul(tf.sum(g, -1, true), y)) };
  },
  gradient: null,
};

/** dx from y = log softmax(x) and dy: dy − e^y·Σ dy. */
export const LogSoftmaxGrad: Op<{ y: Tensor; dy: Tensor }, None, { dx: Tensor }> = {
  name: "LogSoftmaxGrad",
  outputs: ["dx"],
  check: (inputs) => requireRows("LogSoftmaxGrad", inputs),
  reference: ({ y, dy }) => ({ dx: tf.sub(dy, tf.mul(tf.sum(dy, -1, true), tf.exp(y))) }),
  gradient: null,
};
