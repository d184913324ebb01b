/** Images with titles, as SVG. */
import { HostArray } from "../data/array.ts";
import { encodePng, imageGrid, requireImages } from "./image.ts";

/** Options of {@link showImages}. */
export interface ShowOptions {
  /** One for each image, above it; default none. */
  titles?: readonly string[];
  /** Images in a row, at least 1; default the square root of their number, rounded up. */
  columns?: number;
  /** Screen pixels a pixel, over 0; default as many as make an image about 96 wide. */
  scale?: number;
  /** Values shown as black and white, the first below the second; default [0, 1]. */
  range?: [low: number, high: number];
  /** Whether dark and light change places; default false. */
  invert?: boolean;
}

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const GAP_PIXELS = 6, TITLE_PIXELS = 16, IMAGE_PIXELS = 96;

/**
 * Lays images out in a grid, each with its title. Source: miniai's `show_images`.
 * @param images [N,H,W,C], C 1 or 3; none make an empty picture
 * @returns an SVG document
 * @throws Error for another shape, an image with NaN in it, or titles that are not one for each image. RangeError for
 * options out of their range.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { HostArray, showImages } from "../mod.ts";
 * const images = new HostArray(new Float32Array(2 * 4 * 4), [2, 4, 4, 1]);
 * assert(showImages(images, { titles: ["left", "right"] }).includes(">right</text>"));
 * ```
 */
export function showImages(images: HostArray, options: ShowOptions = {}): string {
  requireImages("showImages", images);
  const [n, h, w, c] = images.shape;
  const { titles, columns = Math.max(1, Math.ceil(Math.sqrt(n))), range, invert } = options;
  if (titles && titles.length !== n) {
    throw new Error(`showImages got ${titles.length} titles for ${n} images`);
  }
  if (!Number.isInteger(columns) || columns < 1) {
    throw new RangeError(`showImages: columns is a whole number from 1 on, not ${columns}`);
  }
  const { scale = Math.max(1, Math.round(IMAGE_PIXELS / w)) } = options;
  if (!(scale > 0 && scale < Infinity)) {
    throw new RangeError(`showImages: scale is over 0, not ${scale}`);
  }
  const head = titles ? TITLE_PIXELS : 0;
  const cellWidth = w * scale + GAP_PIXELS, cellHeight = h * scale + head + GAP_PIXELS;
  const cells = Array.from({ length: n }, (_, i) => {
    const one = new HostArray(images.data.slice(i * h * w * c, (i + 1) * h * w * c), [1, h, w, c]);
    const png = encodePng(imageGrid(one, { scale: 1, gap: 0, range, invert }));
    const x = GAP_PIXELS + (i % columns) * cellWidth, y = GAP_PIXELS + Math.floor(i / columns) * cellHeight;
    const title = titles
      ? `<text x="${x + w * scale / 2}" y="${y + 12}">${
        titles[i].replace(/[&<>"]/g, (s) => ESCAPES[s])
      }</text>`
      : "";
    const href = `data:image/png;base64,${png.toBase64()}`;
    return `${title}<image x="${x}" y="${y + head}" width="${w * scale}" height="${
      h * scale
    }" href="${href}"/>`;
  });
  const width = GAP_PIXELS + columns * cellWidth, height = GAP_PIXELS + Math.ceil(n / columns) * cellHeight;
  const style =
    `font-family="sans-serif" font-size="11" text-anchor="middle" style="image-rendering:pixelated"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ${style}>` +
    `<rect width="100%" height="100%" fill="white"/>${cells.join("")}</svg>\n`;
}
