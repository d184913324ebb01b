/**
 * Convolutions of small images. Many of the filter's taps would fall on the padding; here only those on the image are
 * multiplied, pixel by pixel over many images.
 */
import type { TensorInfo } from "../../../tf.ts";
import { Kernel, MR, NR, STRIPS } from "../assembly/abi.ts";
import type { Context } from "./context.ts";
import type { ConvCall, ConvSizes } from "./conv.ts";

/** These kernels are used where they multiply less than this share of what the whole filter would. */
const MAX_SHARE = 0.9;
/** Floats of input that a task works on, and of the output's gradient that a block has, to stay in the cache. */
const TASK_FLOATS = 96 * 1024, BLOCK_FLOATS = 128 * 1024;

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
export function smallFits(c: ConvSizes): boolean {
  const on = tapsOn(c.height, c.kernelHeight, c.stride, c.startRow, c.outHeight) *
    tapsOn(c.width, c.kernelWidth, c.stride, c.startColumn, c.outWidth);
  const share = on / (c.kernelHeight * c.kernelWidth * c.outHeight * c.outWidth);
  return share * Math.ceil(c.images / MR) * MR / c.images < MAX_SHARE;
}

/** Whole tiles of images, near to a wish, and enough blocks for some threads. */
const imagesOf = (n: number, wish: number) =>
  MR * Math.max(1, Math.min(Math.round(wish / MR), Math.ceil(n / 8 / MR)));

/** A convolution by the packed filter at an address. */
export function runSmall({ pool }: Context, panels: number, c: ConvCall): void {
  const imagesPerTask = imagesOf(c.images, TASK_FLOATS / (c.height * c.width * c.channels));
  pool.run(Kernel.convSmall, Math.ceil(c.images / imagesPerTask), {
    ...c,
    panels,
    imagesPerTask,
    rowsPerTask: c.outHeight,
  });
}

/** The filter's gradient; a tap and some channels a task, so that no parts are to be summed. */
export function smallFilterGrad(
  { pool }: Context,
  tensors: { input: TensorInfo; dy: TensorInfo; dw: TensorInfo },
  outChannels: number,
  c: ConvSizes,
): void {
  const columns = Math.ceil(outChannels / NR) * NR;
  pool.run(
    Kernel.convSmallFilterGrad,
    c.kernelHeight * c.kernelWidth * Math.ceil(c.channels / STRIPS),
    {
      ...tensors,
      ...c,
      pixelsPerBlock: Math.max(128, Math.min(512, Math.floor(BLOCK_FLOATS / columns))),
      outChannels,
    },
  );
}
