/** Sums. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireLayout, requireType } from "./check.ts";
import { gradient, type None, type Op } from "./op.ts";

/** Sums over the pixels: x [N,H,W,C] to y [N,C]. */
export const SumPixels: Op<{ x: Tensor }, None, { y: Tensor }> = {
  name: "SumPixels",
  outputs: ["y"],
  check({ x }) {
    requireType("SumPixels", { x });
    requireLayout("SumPixels", "x", x.shape, "[N,H,W,C]");
  },
  reference: ({ x }) => ({ y: tf.sum(x, [1, 2]) }),
  gradient: gradient([], (dy, _saved, _attrs, { x: [n, h, w, c] }) => ({
    x: () => tf.broadcastTo(tf.reshape(dy, [n, 1, 1, c]), [n, h, w, c]),
  })),
};
