/** Arrays of pictures as a source: what NumPy's, IDX and CIFAR's files hold. */
import type { ImageEntry, ImageSource, Pixels } from "./source.ts";

/** Where the channels of an array of pictures are: its last axis, or the one before height and width. */
export type ImageLayout = "NHWC" | "NCHW";

/** Pictures that are rows of an array. */
export interface PictureRows {
  /** What messages call the array. */
  name: string;
  /** How many there are. */
  count: number;
  /** Pixels in a row. */
  width: number;
  /** Rows. */
  height: number;
  /** Channels, 1 to 4, as {@link Pixels}. */
  channels: 1 | 2 | 3 | 4;
  /** How the numbers of a picture lie. */
  layout: ImageLayout;
  /** The bytes of picture i, in the layout. */
  bytes(i: number): Promise<Uint8Array>;
  /** The label of picture i: a whole number from 0 on. Left out where there are none. */
  labels?: ArrayLike<number>;
  /** The names of the classes, by label; default the labels' own digits. */
  classes?: readonly string[];
  /** Ends reading. */
  close(): void;
}

/** Most classes that labels may count up to. */
const MAX_CLASSES = 100_000;

/** Channels last. */
function channelsLast(data: Uint8Array, channels: number): Uint8Array {
  const out = new Uint8Array(data.length), pixels = data.length / channels;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < pixels; i++) out[i * channels + c] = data[c * pixels + i];
  }
  return out;
}

/**
 * The sizes of an array of pictures.
 * @param shape [N,H,W], or with channels (1 to 4) where the layout says
 * @throws Error that begins with the name, for another shape.
 */
export function pictureSizes(
  name: string,
  shape: readonly number[],
  layout: ImageLayout,
): Pick<PictureRows, "count" | "width" | "height" | "channels"> {
  const [count, ...rest] = shape, isChannels = (c: number): c is 1 | 2 | 3 | 4 => c >= 1 && c <= 4;
  const [height, width, channels = 1] = layout === "NHWC" || rest.length < 3
    ? rest
    : [rest[1], rest[2], rest[0]];
  if (rest.length < 2 || rest.length > 3 || !isChannels(channels)) {
    const other = layout === "NHWC" ? "NCHW" : "NHWC", at = layout === "NHWC" ? rest[0] : rest[2];
    const hint = rest.length === 3 && isChannels(at)
      ? `; it looks like ${other}, which the option layout says`
      : "";
    throw new Error(`${name}: pictures are [N,H,W] or ${layout} with 1 to 4 channels, not [${shape}]${hint}`);
  }
  if (height < 1 || width < 1) throw new Error(`${name}: pictures of [${shape}] have no pixels`);
  return { count, width, height, channels };
}

/**
 * An array of pictures as a source; the entries' names are `name[0]`, `name[1]`, …
 * @throws Error that begins with the name, if there are more or fewer labels than pictures, or one of them is no whole number
 *   from 0 on, or has no name.
 */
export function rowsSource(rows: PictureRows): ImageSource {
  const { name, count, width, height, channels, layout, labels, classes } = rows;
  if (labels && labels.length !== count) {
    throw new Error(`${name}: there are ${labels.length} labels of ${count} pictures`);
  }
  let most = -1;
  for (let i = 0; i < (labels?.length ?? 0); i++) {
    const label = labels![i], limit = classes?.length ?? MAX_CLASSES;
    if (!Number.isInteger(label) || label < 0 || label >= limit) {
      throw new Error(`${name}: label ${i} is ${label}, not a whole number from 0 to ${limit - 1}`);
    }
    most = Math.max(most, label);
  }
  const names = classes ?? Array.from({ length: most + 1 }, (_, label) => String(label));
  const entries = Array.from({ length: count }, (_, i): ImageEntry => ({
    name: `${name}[${i}]`,
    class: labels && names[labels[i]],
    read: async (): Promise<Pixels> => {
      const bytes = await rows.bytes(i), last = layout === "NHWC" || channels === 1;
      return { width, height, channels, data: last ? bytes : channelsLast(bytes, channels) };
    },
  }));
  return { name, entries, classes: labels && names, close: () => rows.close() };
}
