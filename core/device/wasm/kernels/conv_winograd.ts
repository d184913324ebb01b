/** 3×3 and 5×5 convolutions of stride 1 and their filter gradients by Winograd's tiles. */
import type { TensorInfo } from "../../../tf.ts";
import { Kernel, NR, WINOGRAD_ELEMENTS } from "../assembly/abi.ts";
import { type Context, MAX_GROUPS } from "./context.ts";
import type { ConvCall, ConvSizes, Filter } from "./conv.ts";

/** Fewest tiles for which transforming the filter pays. */
const MIN_TILES = 24;
/** Floats of transformed inputs that a task keeps at once, to stay in the second-level cache. */
const CACHE_FLOATS = 96 * 1024;
/** Tiles that are worth a group of partial gradients. */
const TILES_PER_GROUP = 32;

/** Height and width of the tile of outputs for a filter of that height and width. */
const tileSide = (kernel: number) => 7 - kernel;
/** Tile rows and columns of an image of outputs. */
const tileGrid = (c: ConvSizes) =>
  [c.outHeight, c.outWidth].map((n) => Math.ceil(n / tileSide(c.kernelHeight)));

/** Whether {@link runWinograd} and {@link winogradFilterGrad} can and should do a convolution. */
export function winogradFits(c: ConvSizes, outChannels: number): boolean {
  const k = c.kernelHeight, side = tileSide(k);
  const [th, tw] = tileGrid(c);
  return c.stride === 1 && (k === 3 || k === 5) && c.kernelWidth === k &&
    c.channels % NR === 0 && outChannels % NR === 0 &&
    c.images * th * tw >= MIN_TILES && c.outHeight * c.outWidth * 2 > th * tw * side ** 2;
}

/** Tile rows of a block that fits the cache, and how many of the blocks there are. */
function tileBlocks(rows: number, tw: number, channels: number, least: number) {
  const most = Math.max(1, Math.floor(CACHE_FLOATS / (WINOGRAD_ELEMENTS * channels * tw)));
  const blocks = Math.max(Math.ceil(rows / most), Math.min(least, rows));
  const per = Math.ceil(rows / blocks);
  return { per, tasks: Math.ceil(rows / per) };
}

/** A convolution of stride 1. */
export function runWinograd(ctx: Context, filter: Filter, c: ConvCall): void {
  const [th, tw] = tileGrid(c), kernelSize = c.kernelHeight;
  const panels = Math.ceil(c.outChannels / NR);
  ctx.temporary(WINOGRAD_ELEMENTS * panels * NR * c.channels, (transformed) => {
    ctx.pool.run(Kernel.winogradFilter, panels, {
      filter: filter.tensor,
      channels: filter.tensor.shape[2],
      outChannels: filter.tensor.shape[3],
      transformed,
      flip: filter.flip,
      kernelSize,
      tapNumbers: filter.taps,
    });
    const { per, tasks } = tileBlocks(c.images * th, tw, c.channels, 8);
    ctx.pool.run(Kernel.winogradConv, tasks, {
      input: c.input,
      images: c.images,
      height: c.height,
      width: c.width,
      channels: c.channels,
      startRow: c.startRow,
      startColumn: c.startColumn,
      outHeight: c.outHeight,
      outWidth: c.outWidth,
      out: c.out,
      outChannels: c.outChannels,
      transformed,
      bias: c.bias,
      add: c.add,
      tileRowsPerTask: per,
      kernelSize,
    });
  });
}

/** The filter's gradient: transformed parts of a fixed number of groups of tile rows, summed. */
export function winogradFilterGrad(
  ctx: Context,
  { input, dy, dw }: { input: TensorInfo; dy: TensorInfo; dw: TensorInfo },
  outChannels: number,
  c: ConvSizes,
): void {
  const { images, channels, kernelHeight: kernelSize } = c;
  const [th, tw] = tileGrid(c), rows = images * th;
  // A group writes all of its part once a block; few tiles are not worth many groups.
  const wanted = Math.max(1, Math.min(MAX_GROUPS, Math.floor(rows * tw / TILES_PER_GROUP)));
  const perGroup = Math.ceil(rows / wanted);
  const groups = Math.ceil(rows / perGroup);
  // A block reads and writes all of the part: with so many tiles that costs no more than the tiles themselves.
  const enough = Math.ceil(channels * outChannels / (channels + outChannels) / tw);
  const fitting = tileBlocks(perGroup, tw, Math.max(channels, outChannels), 1).per;
  ctx.temporary(groups * WINOGRAD_ELEMENTS * channels * outChannels, (parts) => {
    ctx.pool.run(Kernel.winogradFilterGrad, groups, {
      input,
      images,
      height: c.height,
      width: c.width,
      channels,
      startRow: c.startRow,
      startColumn: c.startColumn,
      outHeight: c.outHeight,
      outWidth: c.outWidth,
      dy,
      outChannels,
      parts,
      tileRowsPerGroup: perGroup,
      tileRowsPerBlock: Math.min(perGroup, Math.max(enough, fitting)),
      kernelSize,
    });
    ctx.pool.run(Kernel.winogradFilterGradSum, channels, {
      parts,
      groups,
      channels,
      outChannels,
      dw,
      kernelSize,
    });
  });
}
