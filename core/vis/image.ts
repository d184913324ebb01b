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

/** @throws Error unless an array is images of 1 or 3 channels. */
export function requireImages(who: string, { shape }: HostArray): void {
  if (shape.length !== 4 || ![1, 3].includes(shape[3])) {
    throw new Error(`${who} takes images [N,H,W,C] of 1 or 3 channels, not [${shape}]`);
  }
}

/** @throws Error unless a picture is one that PNG and GIF can hold. */
function requirePicture(who: string, { width, height, channels, data }: Picture, largest: number): void {
  if (![1, 3].includes(channels)) throw new Error(`${who}: a picture has 1 or 3 channels, not ${channels}`);
  for (const [name, side] of Object.entries({ width, height })) {
    if (!Number.isInteger(side) || side < 1 || side > largest) {
      throw new RangeError(`${who}: a picture's ${name} is a whole number from 1 to ${largest}, not ${side}`);
    }
  }
  if (!(data instanceof Uint8Array) || data.length !== width * height * channels) {
    const got = data instanceof Uint8Array ? data.length : (data as object)?.constructor?.name ?? data;
    throw new Error(
      `${who}: the data of a picture of [${height},${width},${channels}] is as many bytes, not ${got}`,
    );
  }
}

/**
 * Lays images side by side. Values outside the range are clipped.
 * @param images [N,H,W,C], at least one, C 1 or 3
 * @throws Error for another shape, or an image with NaN in it. RangeError for options out of their range.
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
export function imageGrid(images: HostArray, options: GridOptions = {}): Picture {
  requireImages("imageGrid", images);
  const { data, shape } = images, [n, h, w, c] = shape;
  if (n * h * w === 0) throw new Error(`imageGrid: there is nothing to show in images of [${shape}]`);
  const hole = data.findIndex(Number.isNaN);
  if (hole >= 0) throw new Error(`imageGrid: image ${Math.floor(hole / (h * w * c))} has NaN in it`);
  const { columns = Math.ceil(Math.sqrt(n)), scale = 2, gap = 2, range = [0, 1], invert = false } = options;
  const [low, high] = range;
  for (
    const [name, value, least] of [["columns", columns, 1], ["scale", scale, 1], ["gap", gap, 0]] as const
  ) {
    if (!Number.isInteger(value) || value < least) {
      throw new RangeError(`imageGrid: ${name} is a whole number from ${least} on, not ${value}`);
    }
  }
  if (!(low < high && Number.isFinite(high - low))) {
    throw new RangeError(`imageGrid: range is from low to high, not [${range}]`);
  }
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
  return { width, height, channels: c as 1 | 3, data: out };
}

/** The format's own limit on a side. */
const LONGEST_PNG_SIDE = 2 ** 31 - 1;

/**
 * The bytes of a PNG file.
 * @throws Error if the picture's data does not fill it, or it has another number of channels. RangeError for a side that
 * is none.
 */
export function encodePng(picture: Picture): Uint8Array {
  requirePicture("encodePng", picture, LONGEST_PNG_SIDE);
  const { width, height, channels, data } = picture;
  return encode({ width, height, channels, depth: 8, data });
}

const GREYS = Array.from({ length: 256 }, (_, i) => [i, i, i]);
/** What GIF counts delays in, and the most of it. */
const DELAY_UNIT_MS = 10, LONGEST_DELAY_MS = 655_350;
const LONGEST_GIF_SIDE = 65_535;

/**
 * The bytes of an animated GIF that loops. Grey frames keep their 256 greys, coloured ones get 256 colours each.
 * @param frames at least one, all of one size, sides up to 65,535
 * @param delays how long each is shown, in ms, from 10 to 655,350, rounded to the format's 10; or 0, which viewers take
 * as they like
 * @throws Error if there is no frame, not one delay for each, or data that does not fill its frame. RangeError for another
 * size or a delay out of its range.
 */
export async function encodeGif(frames: Picture[], delays: number[]): Promise<Uint8Array> {
  if (frames.length === 0 || delays.length !== frames.length) {
    throw new Error(`encodeGif takes frames and a delay for each, not ${frames.length} and ${delays.length}`);
  }
  const wrong = delays.findIndex((ms) => !(ms === 0 || ms >= DELAY_UNIT_MS && ms <= LONGEST_DELAY_MS));
  if (wrong >= 0) {
    throw new RangeError(
      `encodeGif: a delay is 0 or from ${DELAY_UNIT_MS} to ${LONGEST_DELAY_MS} ms; that of frame ${wrong} is ${
        delays[wrong]
      }`,
    );
  }
  for (const frame of frames) requirePicture("encodeGif", frame, LONGEST_GIF_SIDE);
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
