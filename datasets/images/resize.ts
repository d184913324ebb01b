/** Resizing of pictures, as Pillow does it. */
import type { Pixels } from "./source.ts";

/** A part of a picture, in its pixels, which need not be whole. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * The largest part of a picture that has the proportions of height × width, in its middle.
 */
export function coveringBox({ width, height }: { width: number; height: number }, h: number, w: number): Box {
  const ratio = w / h;
  const across = Math.min(width, ratio * height), down = Math.min(height, width / ratio);
  return { left: (width - across) / 2, top: (height - down) / 2, width: across, height: down };
}

/** Bits behind the point of weights. */
const PRECISION = 22;
/** How far the cubic reaches, in pixels of the coarser side. */
const REACH = 2;

/** Keys' cubic with a = −1/2. */
function cubic(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

/** For each output place along an axis: its first input place, how many there are, and their weights in a row. */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
  /** Weights of an output place. */
  most: number;
}

/** Weights for `to` places of a stretch of an axis of `size` places, whose ends are float32's as Pillow's. */
function taps(size: number, from: number, length: number, to: number): Taps {
  const start = Math.fround(from), end = Math.fround(from + length);
  const scale = Math.fround(end - start) / to, coarse = Math.max(1, scale), reach = REACH * coarse;
  const most = 2 * Math.ceil(reach) + 1;
  const first = new Int32Array(to), count = new Int32Array(to), weights = new Int32Array(to * most);
  for (let i = 0; i < to; i++) {
    const centre = start + (i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - reach + 0.5));
    const high = Math.min(size, Math.trunc(centre + reach + 0.5));
    const row = Array.from({ length: high - low }, (_, k) => cubic((low + k - centre + 0.5) / coarse));
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((weight, k) => {
      const share = weight / sum * 2 ** PRECISION;
      weights[i * most + k] = Math.trunc(share + (share < 0 ? -0.5 : 0.5));
    });
    first[i] = low;
    count[i] = high - low;
  }
  return { first, count, weights, most };
}

/** A sum of weighted bytes as a byte. */
const byte = (sum: number): number => {
  const value = sum >> PRECISION;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

const HALF = 1 << (PRECISION - 1);

/**
 * One axis after the other: `out[line][i]` is of `data[line][…]`, where a line has `size` places `step` apart, and lines of
 * `channels` bytes lie beside each other.
 */
function alongRows(data: Uint8Array, rows: number, width: number, channels: number, to: number, by: Taps) {
  const out = new Uint8Array(rows * to * channels), { first, count, weights, most } = by;
  for (let y = 0, o = 0; y < rows; y++) {
    const row = y * width;
    for (let x = 0; x < to; x++) {
      const begin = x * most, end = begin + count[x];
      let at = (row + first[x]) * channels;
      if (channels === 1) {
        let sum = HALF;
        for (let k = begin; k < end; k++) sum = (sum + Math.imul(weights[k], data[at++])) | 0;
        out[o++] = byte(sum);
        continue;
      }
      let red = HALF, green = HALF, blue = HALF;
      for (let k = begin; k < end; k++) {
        const weight = weights[k];
        red = (red + Math.imul(weight, data[at])) | 0;
        green = (green + Math.imul(weight, data[at + 1])) | 0;
        blue = (blue + Math.imul(weight, data[at + 2])) | 0;
        at += 3;
      }
      out[o] = byte(red);
      out[o + 1] = byte(green);
      out[o + 2] = byte(blue);
      o += 3;
    }
  }
  return out;
}

/** Rows of `row` bytes become `to` rows; the data's first row is row `offset` of the picture. */
function alongColumns(data: Uint8Array, row: number, offset: number, to: number, by: Taps): Uint8Array {
  const out = new Uint8Array(to * row), sums = new Int32Array(row), { first, count, weights, most } = by;
  for (let y = 0; y < to; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * most + k], from = (first[y] + k - offset) * row;
      for (let i = 0; i < row; i++) sums[i] += Math.imul(weight, data[from + i]);
    }
    for (let i = 0; i < row; i++) out[y * row + i] = byte(sums[i]);
  }
  return out;
}

/**
 * A part of a picture at another size, by a bicubic that widens where it makes smaller, so that every pixel counts
 * (antialiased): byte for byte what Pillow's `resize(size, BICUBIC, box)` gives.
 * @param pixels of 1 or 3 channels
 * @param box the part, within the picture
 * @returns [height,width,channels]
 */
export function resizeBox(pixels: Pixels, box: Box, height: number, width: number): Pixels {
  const { channels } = pixels;
  let { data } = pixels;
  const down = taps(pixels.height, box.top, box.height, height);
  const from = down.first[0], end = down.first[height - 1] + down.count[height - 1];
  data = data.subarray(from * pixels.width * channels, end * pixels.width * channels);
  if (box.width !== width || box.left !== 0 || pixels.width !== width) {
    const across = taps(pixels.width, box.left, box.width, width);
    data = alongRows(data, end - from, pixels.width, channels, width, across);
  }
  if (box.height !== height || box.top !== 0 || pixels.height !== height) {
    data = alongColumns(data, width * channels, from, height, down);
  }
  return { width, height, channels, data: data.length === pixels.data.length ? data.slice() : data };
}
