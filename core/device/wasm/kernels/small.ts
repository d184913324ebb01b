/**
 * Convolutions of images that are smaller than the filter. Most of its taps would fall on the padding; here only those
 * on the image are multiplied, as matrix products over all pixels of an image at once.
 */
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../pool.ts";
import type { Context } from "./context.ts";
import { type ConvInfo, packFilter } from "./conv.ts";
import { multiply, multiplyPacked } from "./matmul.ts";

/** Whether these kernels should do a convolution. */
export function smallFits({ inHeight, inWidth, filterHeight, filterWidth }: ConvInfo): boolean {
  return inHeight * inWidth < filterHeight * filterWidth;
}

/** For each output pixel, the filter's tap on each input pixel; −1 for none. */
function tapTable(info: ConvInfo): number[][] {
  const { inHeight, inWidth, outHeight, outWidth, filterHeight: kh, filterWidth: kw } = info;
  const pixels = (h: number, w: number) =>
    Array.from({ length: h * w }, (_, i) => [Math.floor(i / w), i % w]);
  return pixels(outHeight, outWidth).map(([oy, ox]) =>
    pixels(inHeight, inWidth).map(([y, x]) => {
      const ky = y + info.padInfo.top - oy * info.strideHeight;
      const kx = x + info.padInfo.left - ox * info.strideWidth;
      return ky >= 0 && ky < kh && kx >= 0 && kx < kw ? ky * kw + kx : -1;
    })
  );
}

/** One matrix product for each pixel of `out`: all of an image's input by the taps between them. */
function products(
  ctx: Context,
  filter: TensorInfo,
  flip: 0 | 1,
  taps: number[][],
  input: number,
  out: number,
  n: number,
  bias = 0,
  add = 0,
): void {
  const [, , ci, co] = filter.shape;
  const [from, to] = flip ? [co, ci] : [ci, co];
  const k = taps[0].length * from, row = taps.length * to;
  ctx.temporary(k * Math.ceil(to / 8) * 8, (panels) => {
    taps.forEach((list, pixel) => {
      const shift = pixel * to * 4;
      packFilter(ctx, filter, flip, list, panels);
      multiplyPacked(ctx, {
        ...{ a: input, lda: k, transposeA: false, strideA: 0, bias, add: add && add + shift },
        ...{ m: n, n: to, k, batch: 1, out: out + shift, ldc: row, packed: panels, panelStep: 0 },
      });
    });
  });
}

/** out = x ∗ filter (+ bias) (+ a tensor of out's shape). */
export function smallForward(
  ctx: Context,
  x: TensorInfo,
  filter: TensorInfo,
  info: ConvInfo,
  out: number,
  bias: number,
  add: number,
): void {
  products(ctx, filter, 0, tapTable(info), ctx.at(x), out, info.batchSize, bias, add);
}

/** The gradient of the input at an address. */
export function smallInputGrad(
  ctx: Context,
  dy: TensorInfo,
  filter: TensorInfo,
  info: ConvInfo,
  dx: number,
): void {
  const table = tapTable(info);
  const byInput = table[0].map((_, p) => table.map((list) => list[p]));
  products(ctx, filter, 1, byInput, ctx.at(dy), dx, info.batchSize);
}

/** The gradient of the filter at an address: products of every input pixel with every output pixel, summed by tap. */
export function smallFilterGrad(
  ctx: Context,
  x: TensorInfo,
  dy: TensorInfo,
  info: ConvInfo,
  dw: number,
): void {
  const table = tapTable(info);
  const { inChannels: ci, outChannels: co, batchSize: n, filterHeight, filterWidth } = info;
  const [m, columns] = [table[0].length * ci, table.length * co];
  ctx.temporary(m * columns, (all) => {
    multiply(ctx, {
      ...{
        a: ctx.at(x),
        lda: m,
        transposeA: true,
        strideA: 0,
        b: ctx.at(dy),
        steps: [columns, 1],
        strideB: 0,
      },
      ...{ m, n: columns, k: n, batch: 1, out: all, ldc: columns, bias: 0, add: 0 },
    });
    for (let tap = 0; tap < filterHeight * filterWidth; tap++) {
      const parts = table.flatMap((list, q) =>
        list.flatMap((t, p) => t === tap ? [all + (p * ci * columns + q * co) * 4] : [])
      );
      ctx.pool.run(Kernel.addBlocks, ci, [dw + tap * ci * co * 4, co, columns, parts.length, ...parts]);
    }
  });
}
