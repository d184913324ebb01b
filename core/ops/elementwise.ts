/** Activations, and a number a channel of each image. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireFinite, requireLayout, requireShape, requireType } from "./check.ts";
import { gradient, type None, type Op, run } from "./op.ts";
import { SumPixels } from "./reduce.ts";

/** d(silu)/dx. */
export function siluSlope(x: Tensor): Tensor {
  const s = tf.sigmoid(x);
  return tf.mul(s, tf.add(1, tf.mul(x, tf.sub(1, s))));
}

/** @throws unless x and dy are float32 of one shape. */
function requireAlike(op: string, { x, dy }: { x: Tensor; dy: Tensor }): void {
  requireType(op, { x, dy });
  requireShape(op, "dy", dy, x.shape, "x");
}

/** x·sigmoid(x) (Hendrycks & Gimpel 2016). */
export const Silu: Op<{ x: Tensor }, None, { y: Tensor }> = {
  name: "Silu",
  outputs: ["y"],
  check: ({ x }) => requireType("Silu", { x }),
  reference: ({ x }) => ({ y: tf.mul(x, tf.sigmoid(x)) }),
  gradient: gradient(["x"], (dy, { x }) => ({ x: () => run(SiluGrad, { x, dy }, {}).dx })),
};

/** The gradient of {@link Silu}. */
export const SiluGrad: Op<{ x: Tensor; dy: Tensor }, None, { dx: Tensor }> = {
  name: "SiluGrad",
  outputs: ["dx"],
  check: (inputs) => requireAlike("SiluGrad", inputs),
  reference: ({ x, dy }) => ({ dx: tf.mul(dy, siluSlope(x)) }),
  gradient: null,
};

/** Φ(x), the share of a standard normal distribution below x. */
const normalShare = (x: Tensor): Tensor => tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));

/** x·Φ(x) (Hendrycks & Gimpel 2016), as PyTorch's default: by the error function, not by tanh. */
export const Gelu: Op<{ x: Tensor }, None, { y: Tensor }> = {
  name: "Gelu",
  outputs: ["y"],
  check: ({ x }) => requireType("Gelu", { x }),
  reference: ({ x }) => ({ y: tf.mul(x, normalShare(x)) }),
  gradient: gradient(["x"], (dy, { x }) => ({ x: () => run(GeluGrad, { x, dy }, {}).dx })),
};

/** The gradient of {@link Gelu}: dy·(Φ(x) + x·e^(−x²/2)/√(2π)). */
export const GeluGrad: Op<{ x: Tensor; dy: Tensor }, None, { dx: Tensor }> = {
  name: "GeluGrad",
  outputs: ["dx"],
  check: (inputs) => requireAlike("GeluGrad", inputs),
  reference({ x, dy }) {
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return { dx: tf.mul(dy, tf.add(normalShare(x), tf.mul(x, density))) };
  },
  gradient: null,
};

/** x where it is above 0, leak·x elsewhere; minus sub. */
export const GeneralRelu: Op<{ x: Tensor }, { leak: number; sub: number }, { y: Tensor }> = {
  name: "GeneralRelu",
  outputs: ["y"],
  check({ x }, { leak, sub }) {
    requireType("GeneralRelu", { x });
    requireFinite("GeneralRelu", "leak", leak);
    requireFinite("GeneralRelu", "sub", sub);
  },
  reference: ({ x }, { leak, sub }) => ({
    y: tf.sub(tf.where(tf.greater(x, 0), x, tf.mul(x, leak)), sub),
  }),
  gradient: gradient(
    ["x"],
    (dy, { x }, { leak }) => ({ x: () => run(GeneralReluGrad, { x, dy }, { leak }).dx }),
  ),
};

/** The gradient of {@link GeneralRelu}. */
export const GeneralReluGrad: Op<{ x: Tensor; dy: Tensor }, { leak: number }, { dx: Tensor }> = {
  name: "GeneralReluGrad",
  outputs: ["dx"],
  check(inputs, { leak }) {
    requireAlike("GeneralReluGrad", inputs);
    requireFinite("GeneralReluGrad", "leak", leak);
  },
  reference: ({ x, dy }, { leak }) => ({ dx: tf.where(tf.greater(x, 0), dy, tf.mul(dy, leak)) }),
  gradient: null,
};

/** x [N,H,W,C] + b [N,C]: a number a channel for every pixel of an image. */
export const AddChannels: Op<{ x: Tensor; b: Tensor }, None, { y: Tensor }> = {
  name: "AddChannels",
  outputs: ["y"],
  check({ x, b }) {
    requireType("AddChannels", { x, b });
    requireLayout("AddChannels", "x", x.shape, "[N,H,W,C]");
    requireShape(
      "AddChannels",
      "b",
      b,
      [x.shape[0], x.shape[3]!],
      `images and channels of x [${x.shape}] are`,
    );
  },
  reference: ({ x, b }) => ({ y: tf.add(x, tf.reshape(b, [b.shape[0], 1, 1, b.shape[1]!])) }),
  gradient: gradient([], (dy) => ({ x: () => dy, b: () => run(SumPixels, { x: dy }, {}).y })),
};
