/** Pictures from arrays: grids of images, PNG, animated GIF. */
import { encode } from "npm:fast-png@8.0.0";
import type { HostArray } from "../data/array.ts";

/** 8-bit grey or RGB pixels, rows from the top. */
export interface Picture {
  width: number;
  height: number;
  channels: 1 | 3;
  data: Uint8Array;
}

/** Options of {@link imageGrid}. */
export interface GridOptions {
  /** Images in a row; default the square root of their number, rounded up. */
  columns?: number;
  /** Pixel size of an image's pixel; default 2. */
  scale?: number;
  /** Pixels between images; default 2. */
  gap?: number;
  /** Values shown as black and white; default [0, 1]. */
  range?: [number, number];
  /** Whether dark and light change places, as the lesson shows its samples; default false. */
  invert?: boolean;
}

/**
 * Lays images [N,H,W,C] (C 1 or 3) side by side. Values outside the range are clipped.
 * @throws Error for another number of channels.
 */
export function imageGrid({ data, shape }: HostArray, options: GridOptions = {}): Picture {
  const [n, h, w, c] = shape;
  if (c !== 1 && c !== 3) throw new Error(`A picture has 1 or 3 channels, not ${c}`);
  const { columns = Math.ceil(Math.sqrt(n)), scale = 2, gap = 2, range = [0, 1], invert = false } = options;
  const rows = Math.ceil(n / columns);
  const width = columns * (w * scale + gap) + gap, height = rows * (h * scale + gap) + gap;
  const out = new Uint8Array(width * height * c).fill(255);
  const [low, high] = range;
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

/**
 * The bytes of an animated GIF that loops.
 * @param frames of one size
 * @param delays how long each is shown, in ms
 */
export async function encodeGif(frames: Picture[], delays: number[]): Promise<Uint8Array> {
  const { applyPalette, GIFEncoder, quantize } = (await import("npm:gifenc@1.0.3")).default;
  const gif = GIFEncoder();
  frames.forEach(({ width, height, channels, data }, i) => {
    const rgba = new Uint8Array(width * height * 4).fill(255);
    for (let p = 0; p < width * height; p++) {
      for (let k = 0; k < 3; k++) rgba[p * 4 + k] = data[p * channels + (channels === 3 ? k : 0)];
    }
    const palette = quantize(rgba, 256);
    gif.writeFrame(applyPalette(rgba, palette), width, height, { palette, delay: delays[i] });
  });
  gif.finish();
  return gif.bytes();
}
