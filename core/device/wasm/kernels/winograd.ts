/** 3×3 and 5×5 convolutions of stride 1 and their filter gradients by Winograd's tiles. */
import { Kernel } from "../pool.ts";
import type { Context } from "./context.ts";
import { type ConvCall, type ConvInfo, GROUPS } from "./conv.ts";

/** Transformed elements of a Winograd tile. */
const TILE = 36;
/** Fewest tiles for which transforming the filter pays. */
const MIN_TILES = 24;
/** Floats of transformed inputs that a task keeps at once, to stay in the second-level cache. */
const CACHE = 96 * 1024;

/** Height and width of the tile of outputs for a filter of that height and width. */
const tileSide = (kernel: number) => 7 - kernel;
/** Tile rows and columns of an image of outputs. */
const tileGrid = (size: number[], kernel: number) => size.map((n) => Math.ceil(n / tileSide(kernel)));

/** Whether {@link runWinograd} and {@link winogradFilterGrad} can and should do a convolution. */
export function winogradFits(
  kernel: number[],
  stride: number,
  channels: number[],
  n: number,
  outSize: number[],
): boolean {
  const [k, side] = [kernel[0], tileSide(kernel[0])];
  const [th, tw] = tileGrid(outSize, k);
  return stride === 1 && (k === 3 || k === 5) && kernel[1] === k && channels.every((c) => c % 8 === 0) &&
    n * th * tw >= MIN_TILES && outSize[0] * outSize[1] * 2 > th * tw * side ** 2;
}

/** Tile rows of a block that fits the cache, and how many of the blocks there are. */
function tileBlocks(rows: number, tw: number, channels: number, least: number) {
  const most = Math.max(1, Math.floor(CACHE / (TILE * channels * tw)));
  const blocks = Math.max(Math.ceil(rows / most), Math.min(least, rows));
  const per = Math.ceil(rows / blocks);
  return { per, tasks: Math.ceil(rows / per) };
}

/** A convolution of stride 1 by the filter's taps in the given order, transposed where `flip` is 1. */
export function runWinograd(
  ctx: Context,
  filter: number,
  [ci, co]: [number, number],
  flip: 0 | 1,
  taps: number[],
  c: ConvCall,
): void {
  const [n, h, w, channels] = c.shape;
  const k = c.kernel[0];
  const [th, tw] = tileGrid(c.outSize, k);
  const panels = Math.ceil(c.channels / 8);
  ctx.temporary(TILE * panels * 8 * channels, (u) => {
    ctx.pool.run(Kernel.winogradFilter, panels, [filter, ci, co, u, flip, k, ...taps], 2048);
    const { per, tasks } = tileBlocks(n * th, tw, channels, 8);
    const tiles = per * tw + 6, width = tw * tileSide(k) + k - 1;
    ctx.pool.run(
      Kernel.winogradConv,
      tasks,
      [
        ...[c.input, n, h, w, channels, ...c.start, ...c.outSize],
        ...[c.out, c.channels, u, c.bias, c.add, per, k],
      ],
      4 * (TILE * 4 + 6 * width * (channels + 4) + TILE * tiles * (channels + 8)) +
        2 * TILE * 64 + 64,
    );
  });
}

/** dW at an address, transformed parts of a fixed number of groups of tile rows summed. */
export function winogradFilterGrad(ctx: Context, x: number, dy: number, dw: number, info: ConvInfo): void {
  const [n, h, w, ci] = info.inShape;
  const { outHeight: ho, outWidth: wo, outChannels: co, filterHeight: k } = info;
  const [th, tw] = tileGrid([ho, wo], k);
  // A group writes all of its part once a block; few tiles are not worth many groups.
  const groups = Math.max(1, Math.min(GROUPS, Math.floor(n * th * tw / 32)));
  const perGroup = Math.ceil(n * th / groups);
  const count = Math.ceil(n * th / perGroup);
  // A block reads and writes all of the part: with so many tiles that costs no more than the tiles themselves.
  const enough = Math.ceil(ci * co / (ci + co) / tw);
  const per = Math.min(perGroup, Math.max(enough, tileBlocks(perGroup, tw, Math.max(ci, co), 1).per));
  const tiles = per * tw, width = tw * tileSide(k) + k - 1;
  ctx.temporary(count * TILE * ci * co, (parts) => {
    ctx.pool.run(Kernel.winogradFilterGrad, count, [
      ...[x, n, h, w, ci, -info.padInfo.top, -info.padInfo.left, ho, wo, dy, co, parts, perGroup, per, k],
    ], 4 * (TILE * 4 + 6 * width * (Math.max(ci, co) + 4) + TILE * tiles * (ci + co)) + 2 * TILE * 64 + 128);
    ctx.pool.run(Kernel.winogradFilterGradSum, ci, [parts, count, ci, co, dw, k], 2048);
  });
}
