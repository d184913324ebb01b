/** The matrix product of linear layers. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireLayout, requireShape, requireType } from "./check.ts";
import { gradient, type None, type Op } from "./op.ts";

/**
 * Checks the batches of a matrix product.
 * @param a shape of an operand of tfjs's matrix products, as b
 * @throws Error where both operands' batches are broadcast, which tfjs's kernels give wrong numbers for
 */
export function requireBatches(a: readonly number[], b: readonly number[]): void {
  const outers = [a.slice(0, -2), b.slice(0, -2)];
  const whole = tf.util.sizeFromShape(tf.broadcast_util.assertAndGetBroadcastShape(outers[0], outers[1]));
  if (outers.every((outer) => [1, whole].includes(tf.util.sizeFromShape(outer)))) return;
  throw new Error(
    `matMul: shapes [${a}] and [${b}] both have a batch to broadcast; call tf.broadcastTo before`,
  );
}

/** x·weightᵀ + bias + residual. x [rows,in], weight [out,in], bias [out], residual and y [rows,out]. */
export const Linear: Op<
  { x: Tensor; weight: Tensor; bias?: Tensor; residual?: Tensor },
  None,
  { y: Tensor }
> = {
  name: "Linear",
  outputs: ["y"],
  check({ x, weight, bias, residual }) {
    requireType("Linear", { x, weight, bias, residual });
    requireLayout("Linear", "x", x.shape, "[rows,in]");
    requireLayout("Linear", "weight", weight.shape, "[out,in]");
    const [outs, ins] = weight.shape;
    requireShape("Linear", "x", x, [x.shape[0], ins], "the weight takes");
    requireShape("Linear", "bias", bias, [outs], "the output's features are");
    requireShape("Linear", "residual", residual, [x.shape[0], outs], "the output");
  },
  reference({ x, weight, bias, residual }) {
    let y: Tensor = tf.matMul(x, weight, false, true);
    if (bias) y = tf.add(y, bias);
    return { y: residual ? tf.add(y, residual) : y };
  },
  gradient: gradient(["x", "weight"], (dy, { x, weight }) => ({
    x: () => tf.matMul(dy, weight),
    weight: () => tf.matMul(dy, x, true),
    bias: () => tf.sum(dy, 0),
    residual: () => dy,
  })),
};
