/** A dataset of the pictures of any source: decoded, turned upright, on a background, of one size. */
import type { Dataset } from "../../core/mod.ts";

/** Options of `imageDataset`, and of the functions that read a source by it. */
export interface ImageOptions {
  /**
   * Height and width of the images in pixels, or one number for both: the picture is resized to cover them, and what is
   * too long on one side is cropped.
   */
  size: number | [height: number, width: number];
  /** 1 for grey (ITU-R 601 luma), 3 for RGB; default 3. */
  channels?: 1 | 3;
  /**
   * Which part of the picture an image is: `centre`; or `random`, where the images that a DataLoader trains on are drawn
   * from pictures an eighth larger, and those that it evaluates on are the centre. Default `centre`.
   */
  crop?: "centre" | "random";
  /** What transparent pixels are laid on: red, green and blue, 0…255 each; default white. */
  background?: [red: number, green: number, blue: number];
  /** Whether labels are given: default only where every picture has a class. */
  classes?: boolean;
  /** Whether a picture that cannot be read is an error, rather than skipped; default false. */
  strict?: boolean;
  /** Most pixels of a picture; a larger one is refused before memory is taken for it. Default 67,108,864 (8192×8192). */
  maxPixels?: number;
  /**
   * Where the decoded pictures are kept: in `memory`; on `disk`, in a file without a name in `cacheDir` that is gone with
   * the dataset; or nowhere (`none`), where they are decoded anew whenever they are asked for. Default memory up to
   * 256 MiB, else disk, or none where no file can be written.
   */
  cache?: "memory" | "disk" | "none";
  /** The directory of the file of `disk`; default `denoise/pictures` in the user's cache directory. */
  cacheDir?: string;
  /** Threads that decode, 0 for the caller's own; default one for each processor, at most 8. */
  workers?: number;
  /** Told how far the first decoding of all pictures is. */
  onProgress?: (done: number, total: number) => void;
}

/** A picture that is left out. */
export interface SkippedImage {
  /** Its entry's name. */
  name: string;
  /** What is wrong with it. */
  reason: string;
}

/**
 * Pictures as a dataset: items are `[images]`, or `[images, labels]` where there are classes. Images are bytes 0…255,
 * [N,H,W,C] (`transforms.toFloat` makes floats), labels int32 [N].
 */
export interface ImageDataset extends Dataset, Disposable {
  /** The source's name. */
  readonly source: string;
  /** Height, width and channels of the images. */
  readonly shape: readonly [height: number, width: number, channels: number];
  /** The names of the pictures, by item. */
  readonly names: readonly string[];
  /** The names of the classes, by label; none where no labels are given. */
  readonly classes: readonly string[];
  /** The labels by item; undefined where there are none. */
  readonly labels?: Int32Array;
  /** Widths and heights of the pictures as they were, upright, and how many have each; the most frequent first. */
  readonly sizes: readonly { width: number; height: number; count: number }[];
  /** What was left out, and why, in the source's order. */
  readonly skipped: readonly SkippedImage[];
  /** How many things in the source are no pictures and were passed over without a word. */
  readonly others: number;
  /** Where the decoded pictures are kept. */
  readonly cache: "memory" | "disk" | "none";
  /** Threads that decode; 0 for the caller's own. */
  readonly workers: number;
  /** Frees the cache and ends the threads; no item can be had then. A second call does nothing. */
  close(): void;
}
