/** Makes an image of a data set from a file: decoded, on its background, resized. */
import { decodeImage } from "./decode.ts";
import { coveringBox, resizeBox } from "./resize.ts";
import type { Pixels } from "./source.ts";

/** How images are made; plain data, so that it can be sent to a thread. */
export interface Recipe {
  /** Height and width of what is made, unless `longest` lets one of them be longer. */
  height: number;
  width: number;
  /** 1 grey, 3 RGB. */
  channels: 1 | 3;
  /** Red, green and blue under transparent pixels, 0…255 each. */
  background: [red: number, green: number, blue: number];
  /** Most pixels of a file. */
  maxPixels: number;
  /**
   * 1 where pictures are cropped to height × width; above it the longer side is kept up to so many times its length, for
   * a crop that is drawn later.
   */
  longest: number;
}

/** An image of a data set. */
export interface Prepared {
  /** [height,width,channels] */
  image: Pixels;
  /** Width and height of the picture before, upright. */
  original: [width: number, height: number];
}

/** ITU-R 601 luma, as Pillow's. */
const luma = (red: number, green: number, blue: number): number =>
  (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;

/**
 * A picture without alpha. Grey stays grey: it becomes RGB once it is small, see {@link prepare}.
 * @returns 1 or 3 channels, 1 if it is asked for
 */
function flatten({ width, height, channels, data }: Pixels, to: 1 | 3, background: number[]): Pixels {
  if (channels === 1 || channels === 3 && to === 3) return { width, height, channels, data };
  const out = new Uint8Array(width * height * to), hasAlpha = channels % 2 === 0;
  const [underRed, underGreen, underBlue] = background;
  for (let from = 0, o = 0; from < data.length; from += channels) {
    let red = data[from], green = red, blue = red;
    if (channels > 2) {
      green = data[from + 1];
      blue = data[from + 2];
    }
    const alpha = hasAlpha ? data[from + channels - 1] : 255;
    if (alpha !== 255) {
      const under = 255 - alpha;
      red = Math.round((red * alpha + underRed * under) / 255);
      green = Math.round((green * alpha + underGreen * under) / 255);
      blue = Math.round((blue * alpha + underBlue * under) / 255);
    }
    if (to === 1) {
      out[o++] = luma(red, green, blue);
    } else {
      out[o++] = red;
      out[o++] = green;
      out[o++] = blue;
    }
  }
  return { width, height, channels: to, data: out };
}

/** Grey as RGB. */
function toRgb({ width, height, data }: Pixels): Pixels {
  const out = new Uint8Array(3 * data.length);
  data.forEach((value, i) => out.fill(value, 3 * i, 3 * i + 3));
  return { width, height, channels: 3, data: out };
}

/** The size at which a picture covers the recipe's, its longer side as long as the recipe lets it be. */
function targetOf(pixels: Pixels, { height, width, longest }: Recipe): [height: number, width: number] {
  const scale = Math.max(height / pixels.height, width / pixels.width);
  const along = (side: number, least: number) =>
    Math.max(least, Math.min(Math.round(side * scale), Math.round(least * longest)));
  return [along(pixels.height, height), along(pixels.width, width)];
}

/**
 * @throws Error unless pixels fill their shape.
 */
function requirePixels({ width, height, channels, data }: Pixels): void {
  if ([1, 2, 3, 4].includes(channels) && width * height > 0 && data.length === width * height * channels) {
    return;
  }
  throw new Error(
    `the ${data.length} bytes of its pixels are no picture of [${height},${width},${channels}]`,
  );
}

/**
 * An image from a file's bytes, or from pixels.
 * @throws Error that says what is wrong with the picture.
 */
export async function prepare(input: Uint8Array | Pixels, recipe: Recipe): Promise<Prepared> {
  const decoded = input instanceof Uint8Array ? await decodeImage(input, recipe.maxPixels) : input;
  requirePixels(decoded);
  const flat = flatten(decoded, recipe.channels, recipe.background);
  const [height, width] = targetOf(flat, recipe);
  const small = resizeBox(flat, coveringBox(flat, height, width), height, width);
  const image = small.channels < recipe.channels ? toRgb(small) : small;
  return { image, original: [decoded.width, decoded.height] };
}
