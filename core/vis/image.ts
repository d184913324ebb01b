/** Pictures from arrays: grids of images, PNG, animated GIF. */
import { encode } from "npm:fast-png@8.0.0";
import type { HostArray } from "../data/array.ts";
import { breathe } from "../event_loop.ts";

/** 8-bit grey or RGB pixels. */
export interface Picture {
  /** Pixels in a row. */
  width: number;
  /** Rows. */
  height: number;
  /** 1 for grey, 3 for RGB. */
  channels: 1 | 3;
  /** [height,width,channels], rows from the top. */
  data: Uint8Array;
}

/** Options of {@link imageGrid}. */
export interface GridOptions {
  /** Images in a row, at least 1; default the square root of their number, rounded up. */
  columns?: number;
  /** Side of an image's pixel in the picture, a whole number ≥ 1; default 2. */
  scale?: number;
  /** White pixels round the images, a whole number ≥ 0; default 2. */
  gap?: number;
  /** Values shown as black and white, the first below the second; default [0, 1]. */
  range?: [low: number, high: number];
  /** Whether dark and light change places, as the lesson shows its samples; default false. */
  invert?: boolean;
}

/**
 * Lays images side by side. Values outside the range are clipped.
 * @param images [N,H,W,C], C 1 or 3
 * @throws Error for another shape. RangeError for options out of their range.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { encodePng, HostArray, imageGrid } from "../mod.ts";
 * const images = new HostArray(new Float32Array(3 * 8 * 8), [3, 8, 8, 1]);
 * const picture = imageGrid(images, { columns: 3, scale: 1, gap: 0 });
 * assert(picture.width === 24 && encodePng(picture).length > 0);
 * ```
 */
export function imageGrid({ data, shape }: HostArray, options: GridOptions = {}): Picture {
  const [n, h, w, c] = shape;
  if (shape.length !== 4 || (c !== 1 && c !== 3)) {
    throw new Error(`imageGrid takes images [N,H,W,C] of 1 or 3 channels, not [${shape}]`);
  }
  const { columns = Math.ceil(Math.sqrt(n)), scale = 2, gap = 2, range = [0, 1], invert = false } = options;
  const [low, high] = range;
  for (
    const [name, value, least] of [["columns", columns, 1], ["scale", scale, 1], ["gap", gap, 0]] as const
  ) {
    if (!Number.isInteger(value) || value < least) {
      throw new RangeError(`imageGrid: ${name} is a whole number from ${least} on, not ${value}`);
    }
  }
  if (!(low < high)) throw new RangeError(`imageGrid: range is from low to high, not [${range}]`);
  const rows = Math.ceil(n / columns);
  const width = columns * (w * scale + gap) + gap, height = rows * (h * scale + gap) + gap;
  const out = new Uint8Array(width * height * c).fill(255);
  for (let i = 0; i < n; i++) {
    const top = gap + Math.floor(i / columns) * (h * scale + gap);
    const left = gap + (i % columns) * (w * scale + gap);
    for (let y = 0; y < h * scale; y++) {
      for (let x = 0; x < w * scale; x++) {
        const from = ((i * h + Math.floor(y / scale)) * w + Math.floor(x / scale)) * c;
        const to = ((top + y) * width + left + x) * c;
        for (let k = 0; k < c; k++) {
          const share = Math.min(1, Math.max(0, (data[from + k] - low) / (high - low)));
          out[to + k] = Math.round(255 * (invert ? 1 - share : share));
        }
      }
    }
  }
  return { width, height, channels: c, data: out };
}

/** The bytes of a PNG file. */
export function encodePng({ width, height, channels, data }: Picture): Uint8Array {
  return encode({ width, height, channels, depth: 8, data });
}

const GREYS = Array.from({ length: 256 }, (_, i) => [i, i, i]);
const LONGEST_DELAY_MS = 655_350;

/**
 * The bytes of an animated GIF that loops. Grey frames keep their 256 greys, coloured ones get 256 colours each.
 * @param frames at least one, all of one size
 * @param delays how long each is shown, in ms, from 0 to 655,350; the format rounds to 10
 * @throws Error if there is no frame, or not one delay for each. RangeError for another size or a delay out of its range.
 */
export async function encodeGif(frames: Picture[], delays: number[]): Promise<Uint8Array> {
  if (frames.length === 0 || delays.length !== frames.length) {
    throw new Error(`encodeGif takes frames and a delay for each, not ${frames.length} and ${delays.length}`);
  }
  const wrong = delays.find((ms) => !(ms >= 0 && ms <= LONGEST_DELAY_MS));
  if (wrong !== undefined) {
    throw new RangeError(`encodeGif: a delay is from 0 to ${LONGEST_DELAY_MS} ms, not ${wrong}`);
  }
  const { applyPalette, GIFEncoder, quantize } = (await import("npm:gifenc@1.0.3")).default;
  const gif = GIFEncoder();
  const [{ width, height }] = frames;
  for (const [i, { channels, data, ...size }] of frames.entries()) {
    if (size.width !== width || size.height !== height) {
      throw new RangeError(
        `encodeGif: frame ${i} is ${size.width}×${size.height}, the first ${width}×${height}`,
      );
    }
    const delay = delays[i];
    await breathe();
    if (channels === 1) {
      gif.writeFrame(data, width, height, { palette: GREYS, delay });
    } else {
      const rgba = new Uint8Array(width * height * 4).fill(255);
      for (let p = 0; p < width * height; p++) rgba.set(data.subarray(3 * p, 3 * p + 3), 4 * p);
      const palette = quantize(rgba, 256);
      gif.writeFrame(applyPalette(rgba, palette), width, height, { palette, delay });
    }
  }
  gif.finish();
  return gif.bytes();
}
