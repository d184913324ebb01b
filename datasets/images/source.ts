/** Where pictures come from, apart from how they are decoded and resized: that is `imageDataset`'s, for all sources. */

/** A decoded picture. */
export interface Pixels {
  /** Pixels in a row, from 1 on. */
  width: number;
  /** Rows, from 1 on. */
  height: number;
  /** 1 grey, 2 grey with alpha, 3 RGB, 4 RGB with alpha; alpha is not multiplied into the colours. */
  channels: 1 | 2 | 3 | 4;
  /** [height,width,channels], bytes 0…255, rows from the top. */
  data: Uint8Array;
}

/** One picture of a source. */
export interface ImageEntry {
  /** What messages and lists call it; in a folder its path from there. No two entries have one name. */
  readonly name: string;
  /** The name of its class; left out for a picture of none. */
  readonly class?: string;
  /** Bytes of the file, where that is known without reading it. */
  readonly size?: number;
  /**
   * Reads the picture: the bytes of a PNG, JPEG, WebP, GIF or BMP file, or its pixels where the source holds them decoded.
   * What it gives is not kept by the source, so that its buffer can be moved to another thread. It is called once for
   * each decoding, for several entries at the same time.
   * @throws Error that says what is wrong; the picture is skipped and listed with that message, or `strict` refuses it.
   */
  read(): Promise<Uint8Array | Pixels>;
}

/**
 * Pictures by name: a folder's files, an archive's members, the rows of a table. A new source is one file with a function
 * that lists entries and gives them to {@link imageDataset}, which does all the rest for every source: decoding, orientation,
 * background, resizing, cropping, caching, classes, and counting what is skipped.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { type Dataset, encodePng, imageDataset, type ImageSource } from "../../mod.ts";
 * const stripe = encodePng({ width: 3, height: 1, channels: 1, data: Uint8Array.of(0, 128, 255) });
 * const source: ImageSource = {
 *   name: "stripes",
 *   entries: ["a", "b"].map((name) => ({ name, class: `class ${name}`, read: () => Promise.resolve(stripe.slice()) })),
 * };
 * const stripes = await imageDataset(source, { size: 8 });
 * assert(stripes.length === 2 && stripes.classes.join() === "class a,class b");
 * ```
 */
export interface ImageSource {
  /** What messages call it, such as the folder's path. */
  readonly name: string;
  /** Its pictures, in the order that the dataset has them in. */
  readonly entries: readonly ImageEntry[];
  /** The classes by label, where the source fixes them; default the names of the entries' classes, sorted. */
  readonly classes?: readonly string[];
  /** How many things that are no pictures were passed over, such as a folder's text files; default 0. */
  readonly others?: number;
  /** Ends what reading needs, such as an open file; called once, when nothing is read any more. */
  close?(): void | Promise<void>;
}
