/** Pictures that the command line names, as a network sees them. */
import { decode } from "npm:fast-png@8.0.0";
import { HostArray } from "../mod.ts";
import { UsageError } from "./cli.ts";

/** What a network's images are like. */
export interface PictureForm {
  /** Height and width. */
  size: number;
  /** 1 grey, 3 RGB. */
  channels: 1 | 3;
  /** Whether 0 is white and 1 black, as the clothes are dark on light in pictures. */
  inverted: boolean;
}

/**
 * A PNG as an image [1,size,size,channels] of values from 0 to 1; colours become grey where there is one channel, what is
 * transparent is white.
 * @param option what names it in errors
 * @throws UsageError for a file that is no PNG, or of another size.
 */
export async function readPicture(
  option: string,
  path: string,
  { size, channels: to, inverted }: PictureForm,
): Promise<HostArray> {
  const bytes = await Deno.readFile(path).catch((cause) => {
    throw new UsageError(`${option} ${path}: it cannot be read (${cause.message})`);
  });
  const { width, height, channels, depth, data, palette } = decoded(option, path, bytes);
  if (width !== size || height !== size) {
    throw new UsageError(`${option} ${path}: the picture is ${size}×${size}, not ${width}×${height}`);
  }
  const most = palette ? 255 : 2 ** depth - 1, image = new Float32Array(size * size * to);
  for (let i = 0; i < size * size; i++) {
    const values: number[] = palette
      ? palette[data[i]]
      : Array.from(data.subarray(channels * i, channels * (i + 1)));
    const colours = values.length >= 3 ? 3 : 1;
    const grey = values.slice(0, colours).reduce((a, b) => a + b) / (colours * most);
    const opaque = values.length > colours ? values[colours] / most : 1;
    for (let c = 0; c < to; c++) {
      const light = to === 1 ? grey : values[c % colours] / most, dark = (1 - light) * opaque;
      image[i * to + c] = inverted ? dark : 1 - dark;
    }
  }
  return new HostArray(image, [1, size, size, to]);
}

function decoded(option: string, path: string, bytes: Uint8Array) {
  try {
    return decode(bytes);
  } catch (cause) {
    throw new UsageError(`${option} ${path}: it is no PNG (${(cause as Error).message})`);
  }
}
