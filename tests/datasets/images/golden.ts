/** Pictures in many forms, and what Pillow reads from them and makes of them: `tests/golden/make_pictures.py`. */
import type { Pixels } from "../../../mod.ts";

const URL_OF = new URL("../../golden/pictures.json", import.meta.url);
const { files, resized } = JSON.parse(await Deno.readTextFile(URL_OF));

/** A file, its pixels as RGB on white, and how far a decoder may be off. */
export interface GoldenFile {
  name: string;
  bytes: Uint8Array;
  width: number;
  height: number;
  pixels: Uint8Array;
  tolerance: number;
}

/** Files of every kind. */
export const FILES: GoldenFile[] = Object.entries<Record<string, never>>(files).map(([name, file]) => ({
  name,
  bytes: Uint8Array.fromBase64(file.file),
  width: file.width,
  height: file.height,
  pixels: Uint8Array.fromBase64(file.pixels),
  tolerance: file.tolerance,
}));

/** One of them by its name. */
export function fileOf(name: string): GoldenFile {
  return FILES.find((file) => file.name === name)!;
}

/** A picture, and what Pillow's `ImageOps.fit(picture, size, BICUBIC)` makes of it. */
export const RESIZED: { from: Pixels; to: Pixels }[] = resized.to.map((
  { channels, width, height, pixels }: Record<string, never>,
) => ({
  from: {
    width: resized.width,
    height: resized.height,
    channels,
    data: Uint8Array.fromBase64(channels === 3 ? resized.rgb : resized.grey),
  },
  to: { width, height, channels, data: Uint8Array.fromBase64(pixels) },
}));

/** How far two pictures are apart at most. */
export function distance(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
}
