/**
 * Convolutions of small images. Many of the filter's taps would fall on the padding; here only those on the image are
 * multiplied, pixel by pixel over many images.
 */
import { Kernel } from "../pool.ts";
import type { Context } from "./context.ts";
import { convArgs, type ConvCall, type ConvSizes, sizeArgs } from "./conv.ts";

/** Images in a register tile. */
const TILE = 6;
/** These kernels are used where they multiply less than this share of what the whole filter would. */
const MOST = 0.9;
/** Input channels that a task of the filter's gradient takes, as in `assembly/small.ts`. */
const STRIPS = 96;

/** How many taps of an axis fall on the image, over all of its outputs. */
function tapsOn(size: number, kernel: number, stride: number, start: number, out: number): number {
  let taps = 0;
  for (let i = 0; i < out; i++) {
    const first = i * stride + start;
    taps += Math.max(0, Math.min(kernel, size - first) - Math.max(0, -first));
  }
  return taps;
}

/** Whether these kernels should do a convolution. */
export function smallFits(
  { shape: [n, h, w], kernel: [kh, kw], stride, start, outSize }: ConvSizes,
): boolean {
  const on = tapsOn(h, kh, stride, start[0], outSize[0]) * tapsOn(w, kw, stride, start[1], outSize[1]);
  const share = on / (kh * kw * outSize[0] * outSize[1]);
  return share * Math.ceil(n / TILE) * TILE / n < MOST;
}

/** Whole tiles of images, near to a wish, and enough blocks for some threads. */
const imagesOf = (n: number, wish: number) =>
  TILE * Math.max(1, Math.min(Math.round(wish / TILE), Math.ceil(n / 8 / TILE)));

/** A convolution by the packed filter at an address. */
export function runSmall({ pool }: Context, panels: number, c: ConvCall): void {
  const [n, h, w, ci] = c.shape;
  const images = imagesOf(n, 96 * 1024 / (h * w * ci));
  pool.run(Kernel.convSmall, Math.ceil(n / images), [...convArgs(panels, c), images], 8 * images + 64);
}

/** The gradient of the filter at an address; a tap and some channels a task, so that no parts are to be summed. */
export function smallFilterGrad(
  { pool }: Context,
  x: number,
  dy: number,
  dw: number,
  co: number,
  c: ConvSizes,
): void {
  const [, , , ci] = c.shape;
  const [kh, kw] = c.kernel, outputs = c.outSize[0] * c.outSize[1];
  const panels = Math.ceil(co / 8) * 8;
  const pixels = Math.max(128, Math.min(512, Math.floor(128 * 1024 / panels)));
  pool.run(Kernel.convSmallFilterGrad, kh * kw * Math.ceil(ci / STRIPS), [
    ...[x, ...sizeArgs(c), dy, dw, pixels, co],
  ], 4 * Math.max(outputs, pixels) * (8 + panels) + 64);
}
