/** Convolution (PyTorch's cross-correlation) of images with one stride and one padding for both axes. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { requireLayout, requireShape, requireType, requireWhole } from "./check.ts";
import { gradient, type Op, run } from "./op.ts";

/** What a convolution and its gradients share. */
interface Steps {
  /** Pixels between windows, at least 1. */
  stride: number;
  /** Zeros on every side, at least 0. */
  padding: number;
}

type Shape4 = [number, number, number, number];

/** [N,H',W',Cout] with H' = ⌊(H + 2·padding − kh)/stride⌋ + 1. */
export function convShape(
  x: readonly number[],
  filter: readonly number[],
  { stride, padding }: { stride: number; padding: number },
): [number, number, number, number] {
  const side = (axis: 0 | 1) => Math.floor((x[axis + 1] + 2 * padding - filter[axis]) / stride) + 1;
  return [x[0], side(0), side(1), filter[3]];
}

/** @throws if sizes or attributes give no convolution. */
function requireFit(
  op: string,
  x: readonly number[],
  filter: readonly number[],
  { stride, padding }: Steps,
): void {
  requireLayout(op, "x", x, "[N,H,W,C]");
  requireLayout(op, "filter", filter, "[kh,kw,Cin,Cout]");
  requireWhole(op, "stride", stride);
  requireWhole(op, "padding", padding, 0);
  if (x[3] !== filter[2]) {
    throw new Error(`${op}: x has ${x[3]} channels, the filter takes ${filter[2]}; images are [N,H,W,C]`);
  }
  const [h, w] = [x[1] + 2 * padding, x[2] + 2 * padding];
  if (filter[0] > h || filter[1] > w) {
    throw new Error(
      `${op}: a filter of ${filter[0]}×${filter[1]} is larger than the padded image of ${h}×${w}`,
    );
  }
}

/** The taps of a filter with their place: [ky, kx, filter's number]. */
function taps(filter: readonly number[]): [ky: number, kx: number, at: number][] {
  return Array.from(
    { length: filter[0] * filter[1] },
    (_, i) => [Math.floor(i / filter[1]), i % filter[1], i],
  );
}

const pad = (x: Tensor, padding: number): Tensor =>
  tf.pad(x, [[0, 0], [padding, padding], [padding, padding], [0, 0]]);

/** The pixels of the padded image that a tap sees, as rows [N·H'·W', C]. */
function seen(padded: Tensor, ky: number, kx: number, [, ho, wo]: readonly number[], stride: number): Tensor {
  const [n, , , c] = padded.shape as Shape4;
  const to = [ky + (ho - 1) * stride + 1, kx + (wo - 1) * stride + 1];
  const pixels = tf.stridedSlice(padded, [0, ky, kx, 0], [n, ...to, c], [1, stride, stride, 1]);
  return tf.reshape(pixels, [n * ho * wo, c]);
}

/** Zeros between pixels, so that they lie `stride` apart: [N,H,W,C] to [N,(H−1)·stride+1,(W−1)·stride+1,C]. */
function spread(x: Tensor, stride: number): Tensor {
  const [n, h, w, c] = x.shape as Shape4, gap = stride - 1;
  /** Along the middle of three axes, of so many rows. */
  const apart = (y: Tensor, rows: number, size: number) => {
    const wide = tf.pad(tf.reshape(y, [-1, rows, 1, size]), [[0, 0], [0, 0], [0, gap], [0, 0]]);
    return tf.slice(tf.reshape(wide, [-1, rows * stride, size]), 0, [-1, rows * stride - gap, size]);
  };
  return tf.reshape(apart(apart(x, h, w * c), w, c), [n, h * stride - gap, w * stride - gap, c]);
}

/** x ∗ filter + bias + residual. x [N,H,W,Cin], filter [kh,kw,Cin,Cout], bias [Cout], residual and y [N,H',W',Cout]. */
export const Conv2d: Op<
  { x: Tensor; filter: Tensor; bias?: Tensor; residual?: Tensor },
  { stride: number; padding: number },
  { y: Tensor }
> = {
  name: "Conv2d",
  outputs: ["y"],
  check({ x, filter, bias, residual }, attrs) {
    requireType("Conv2d", { x, filter, bias, residual });
    requireFit("Conv2d", x.shape, filter.shape, attrs);
    const shape = convShape(x.shape, filter.shape, attrs);
    requireShape("Conv2d", "bias", bias, [shape[3]], "the output's channels are");
    requireShape("Conv2d", "residual", residual, shape, "the output");
  },
  reference({ x, filter, bias, residual }, { stride, padding }) {
    const shape = convShape(x.shape, filter.shape, { stride, padding });
    const [kh, kw, ci, co] = filter.shape as Shape4;
    const padded = pad(x, padding), weights = tf.reshape(filter, [kh * kw, ci, co]);
    const sums = taps(filter.shape).map(([ky, kx, i]) =>
      tf.matMul(seen(padded, ky, kx, shape, stride), tf.reshape(tf.slice(weights, i, 1), [ci, co]))
    );
    let y = tf.reshape(tf.addN(sums), shape);
    if (bias) y = tf.add(y, bias);
    return { y: residual ? tf.add(y, residual) : y };
  },
  gradient: gradient(["x", "filter"], (dy, { x, filter }, { stride, padding }, shapes) => ({
    x: () => run(Conv2dInputGrad, { dy, filter }, { stride, padding, inputShape: shapes.x }).dx,
    filter: () => run(Conv2dFilterGrad, { x, dy }, { stride, padding, filterShape: shapes.filter }).dFilter,
    bias: () => tf.sum(dy, [0, 1, 2]),
    residual: () => dy,
  })),
};

/** The gradient of {@link Conv2d} for x of `inputShape`: 0 where no window reaches. */
export const Conv2dInputGrad: Op<
  { dy: Tensor; filter: Tensor },
  { stride: number; padding: number; inputShape: number[] },
  { dx: Tensor }
> = {
  name: "Conv2dInputGrad",
  outputs: ["dx"],
  check({ dy, filter }, attrs) {
    requireType("Conv2dInputGrad", { dy, filter });
    requireFit("Conv2dInputGrad", attrs.inputShape, filter.shape, attrs);
    requireShape("Conv2dInputGrad", "dy", dy, convShape(attrs.inputShape, filter.shape, attrs), "the output");
  },
  reference({ dy, filter }, { stride, padding, inputShape }) {
    const [n, h, w, ci] = inputShape, [kh, kw, , co] = filter.shape as Shape4;
    const rows = tf.reshape(dy, [-1, co]), weights = tf.reshape(filter, [kh * kw, ci, co]);
    const [, ho, wo] = dy.shape as Shape4;
    const [height, width] = [h + 2 * padding, w + 2 * padding];
    const parts = taps(filter.shape).map(([ky, kx, i]) => {
      const part = tf.matMul(rows, tf.reshape(tf.slice(weights, i, 1), [ci, co]), false, true);
      const apart = spread(tf.reshape(part, [n, ho, wo, ci]), stride);
      const [, ph, pw] = apart.shape as Shape4;
      return tf.pad(apart, [[0, 0], [ky, height - ky - ph], [kx, width - kx - pw], [0, 0]]);
    });
    return { dx: tf.slice(tf.addN(parts), [0, padding, padding, 0], [n, h, w, ci]) };
  },
  gradient: null,
};

/** The gradient of {@link Conv2d} for a filter of `filterShape`. */
export const Conv2dFilterGrad: Op<
  { x: Tensor; dy: Tensor },
  { stride: number; padding: number; filterShape: number[] },
  { dFilter: Tensor }
> = {
  name: "Conv2dFilterGrad",
  outputs: ["dFilter"],
  check({ x, dy }, attrs) {
    requireType("Conv2dFilterGrad", { x, dy });
    requireFit("Conv2dFilterGrad", x.shape, attrs.filterShape, attrs);
    requireShape("Conv2dFilterGrad", "dy", dy, convShape(x.shape, attrs.filterShape, attrs), "the output");
  },
  reference({ x, dy }, { stride, padding, filterShape }) {
    const padded = pad(x, padding), rows = tf.reshape(dy, [-1, filterShape[3]]);
    const parts = taps(filterShape).map(([ky, kx]) =>
      tf.matMul(seen(padded, ky, kx, dy.shape, stride), rows, true)
    );
    return { dFilter: tf.reshape(tf.stack(parts), filterShape) };
  },
  gradient: null,
};
