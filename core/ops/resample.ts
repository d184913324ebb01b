/** Images made smaller by means of blocks, and larger by repeating pixels. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireLayout, requireShape, requireType, requireWhole } from "./check.ts";
import { gradient, type Op, run } from "./op.ts";

/** @throws unless x is a float32 image and the factor a positive whole number. */
function requireImage(op: string, name: string, x: Tensor, factor: number): void {
  requireType(op, { [name]: x });
  requireLayout(op, name, x.shape, "[N,H,W,C]");
  requireWhole(op, "factor", factor);
}

const blocks = ([n, h, w, c]: number[], factor: number): number[] => [
  n,
  Math.ceil(h / factor),
  Math.ceil(w / factor),
  c,
];

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

/** Each pixel factor × factor times. */
function repeat(x: Tensor, factor: number): Tensor {
  const [, h, w] = x.shape as number[];
  return tf.image.resizeNearestNeighbor(x as tf.Tensor4D, [h * factor, w * factor]);
}

/** The sum of each factor × factor block. */
function sumBlocks(x: Tensor, factor: number): Tensor {
  return tf.mul(tf.avgPool(x as tf.Tensor4D, factor, factor, "valid"), factor * factor);
}

/** Means of factor × factor blocks; those at the ends are of what is left. [N,H,W,C] to [N,⌈H/factor⌉,⌈W/factor⌉,C]. */
export const AveragePool: Op<{ x: Tensor }, { factor: number }, { y: Tensor }> = {
  name: "AveragePool",
  outputs: ["y"],
  check: ({ x }, { factor }) => requireImage("AveragePool", "x", x, factor),
  reference({ x }, { factor }) {
    const [, h, w] = x.shape as number[], [, ho, wo] = blocks(x.shape, factor);
    const whole = tf.pad(x, [[0, 0], [0, ho * factor - h], [0, wo * factor - w], [0, 0]]);
    return { y: tf.mul(sumBlocks(whole, factor), blockShares(h, w, factor)) };
  },
  gradient: gradient([], (dy, _saved, { factor }, { x: shape }) => ({
    x: () => run(AveragePoolGrad, { dy }, { factor, shape }).dx,
  })),
};

/** The gradient of {@link AveragePool} for x of a shape. */
export const AveragePoolGrad: Op<{ dy: Tensor }, { factor: number; shape: number[] }, { dx: Tensor }> = {
  name: "AveragePoolGrad",
  outputs: ["dx"],
  check({ dy }, { factor, shape }) {
    requireImage("AveragePoolGrad", "dy", dy, factor);
    requireLayout("AveragePoolGrad", "the shape of x", shape, "[N,H,W,C]");
    requireShape("AveragePoolGrad", "dy", dy, blocks(shape, factor), "the output");
  },
  reference({ dy }, { factor, shape }) {
    const [, h, w] = shape;
    return { dx: tf.slice(repeat(tf.mul(dy, blockShares(h, w, factor)), factor), 0, shape) };
  },
  gradient: null,
};

/** Each pixel factor × factor times. [N,H,W,C] to [N,H·factor,W·factor,C]. */
export const Upsample: Op<{ x: Tensor }, { factor: number }, { y: Tensor }> = {
  name: "Upsample",
  outputs: ["y"],
  check: ({ x }, { factor }) => requireImage("Upsample", "x", x, factor),
  reference: ({ x }, { factor }) => ({ y: repeat(x, factor) }),
  gradient: gradient([], (dy, _saved, { factor }) => ({ x: () => run(UpsampleGrad, { dy }, { factor }).dx })),
};

/** The gradient of {@link Upsample}. */
export const UpsampleGrad: Op<{ dy: Tensor }, { factor: number }, { dx: Tensor }> = {
  name: "UpsampleGrad",
  outputs: ["dx"],
  check({ dy }, { factor }) {
    requireImage("UpsampleGrad", "dy", dy, factor);
    const [, h, w] = dy.shape as number[];
    if (h % factor || w % factor) {
      throw new Error(`UpsampleGrad: the sides of dy of shape [${dy.shape}] are no multiples of ${factor}`);
    }
  },
  reference: ({ dy }, { factor }) => ({ dx: sumBlocks(dy, factor) }),
  gradient: null,
};
