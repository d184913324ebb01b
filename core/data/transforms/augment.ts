/** Random changes to training images [N,H,W,C] on the host, each image its own; compose them with {@link augmentAll}. */
import type { Generator } from "../../random.ts";
import { HostArray } from "../array.ts";
import { sizesOf } from "./image.ts";

/** Makes other images of the same shape by numbers from the generator; the images [N,H,W,C] stay as they are. */
export type Augment = (images: HostArray, generator: Generator) => HostArray;

/** Applies augmentations one after another, each to what the one before gives. */
export function augmentAll(...augments: Augment[]): Augment {
  return (images, generator) => augments.reduce((x, f) => f(x, generator), images);
}

/** A copy that may be written to. */
function copyOf({ data, shape }: HostArray): HostArray {
  return new HostArray(data.slice(), shape);
}

/** @throws RangeError unless a share lies in [0, 1]. */
function share(name: string, x: number): void {
  if (!(x >= 0 && x <= 1)) throw new RangeError(`${name} lies in [0, 1], not ${x}`);
}

/**
 * Mirrors images left to right.
 * @param images [N,H,W,C], which stay as they are
 * @param which whether an image is mirrored, by its number from 0; default all
 * @throws RangeError for another shape.
 */
export function flipHorizontal(images: HostArray, which: (image: number) => boolean = () => true): HostArray {
  const [n, h, w, c] = sizesOf(images), out = copyOf(images);
  for (let row = 0; row < n * h; row++) {
    if (!which(Math.floor(row / h))) continue;
    for (let x = 0; x < w; x++) {
      const from = (row * w + w - 1 - x) * c, to = (row * w + x) * c;
      for (let k = 0; k < c; k++) out.data[to + k] = images.data[from + k];
    }
  }
  return out;
}

/**
 * Mirrors each image with probability p.
 * @param p in [0, 1]; default 0.5
 * @throws RangeError for another p; the augmentation throws one for images of another shape.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Generator, HostArray, transforms } from "../../mod.ts";
 * const pair = new HostArray(Float32Array.of(1, 2), [1, 1, 2, 1]);
 * assert(transforms.randomFlip(1)(pair, new Generator(1)).data.join() === "2,1");
 * ```
 */
export function randomFlip(p = 0.5): Augment {
  share("A probability", p);
  return (images, generator) => {
    const draws = generator.uniformArray(sizesOf(images)[0]);
    return flipHorizontal(images, (i) => draws[i] < p);
  };
}

/**
 * Moves each image by up to `padding` pixels in both directions, zeros coming in: a random crop of the padded image.
 * @param padding pixels, a whole number from 0 on; every shift is as likely as another
 * @throws RangeError for another padding; the augmentation throws one for images of another shape.
 */
export function randomCrop(padding: number): Augment {
  if (!Number.isInteger(padding) || padding < 0) {
    throw new RangeError(`randomCrop pads by a whole number of pixels, not ${padding}`);
  }
  return (images, generator) => {
    const [n, h, w, c] = sizesOf(images);
    const shifts = generator.randintArray(2 * n, -padding, padding + 1);
    const out = copyOf(images);
    out.data.fill(0);
    for (let i = 0; i < n; i++) {
      const [dy, dx] = [shifts[2 * i], shifts[2 * i + 1]];
      const x0 = Math.max(0, -dx), x1 = Math.min(w, w - dx);
      if (x1 <= x0) continue;
      for (let y = Math.max(0, -dy); y < Math.min(h, h - dy); y++) {
        const from = ((i * h + y + dy) * w + x0 + dx) * c;
        out.data.set(images.data.subarray(from, from + (x1 - x0) * c), ((i * h + y) * w + x0) * c);
      }
    }
    return out;
  };
}

/** Options of {@link randErase} and {@link randCopy}. */
export interface PatchOptions {
  /** Side of a patch as a share of the image's, in [0, 1], rounded down to pixels; default 0.2. */
  pct?: number;
  /** Patches at most, a whole number from 0 on; from 0 to so many are drawn for each image. Default 4. */
  maxNum?: number;
}

/** Calls `change` for each patch of each image: its first row and column, and its size. */
function patches(
  images: HostArray,
  generator: Generator,
  { pct = 0.2, maxNum = 4 }: PatchOptions,
  change: (image: number, y: number, x: number, height: number, width: number) => void,
): void {
  const [n, h, w] = sizesOf(images);
  const [ph, pw] = [Math.floor(pct * h), Math.floor(pct * w)];
  const counts = generator.randintArray(n, 0, maxNum + 1);
  for (let i = 0; i < n; i++) {
    const places = generator.uniformArray(2 * maxNum);
    for (let k = 0; k < counts[i]; k++) {
      change(
        i,
        Math.floor(places[2 * k] * (h - ph + 1)),
        Math.floor(places[2 * k + 1] * (w - pw + 1)),
        ph,
        pw,
      );
    }
  }
}

function checkPatches({ pct = 0.2, maxNum = 4 }: PatchOptions): void {
  share("A patch's share", pct);
  if (!Number.isInteger(maxNum) || maxNum < 0) {
    throw new RangeError(`maxNum is a whole number, not ${maxNum}`);
  }
}

/**
 * Fills patches with noise of the batch's mean and standard deviation, clamped to its range (Zhong et al. 2017; miniai
 * 14_augment).
 * @throws RangeError for options out of range; the augmentation throws one for images of another shape.
 */
export function randErase(options: PatchOptions = {}): Augment {
  checkPatches(options);
  return (images, generator) => {
    const out = copyOf(images), { data } = images, [, h, w, c] = sizesOf(images);
    let mean = 0, square = 0, low = Infinity, high = -Infinity;
    for (const v of data) {
      mean += v / data.length;
      square += v * v / data.length;
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    const std = Math.sqrt(Math.max(0, square - mean * mean));
    patches(images, generator, options, (i, y, x, ph, pw) => {
      const noise = generator.normalArray(ph * pw * c);
      for (let r = 0; r < ph; r++) {
        const row = noise.subarray(r * pw * c, (r + 1) * pw * c)
          .map((z) => Math.min(high, Math.max(low, mean + std * z)));
        out.data.set(row, ((i * h + y + r) * w + x) * c);
      }
    });
    return out;
  };
}

/**
 * Copies patches of an image over other places of it (miniai 14_augment); all are of the image as it was.
 * @throws RangeError for options out of range; the augmentation throws one for images of another shape.
 */
export function randCopy(options: PatchOptions = {}): Augment {
  checkPatches(options);
  return (images, generator) => {
    const out = copyOf(images), [, h, w, c] = sizesOf(images);
    patches(images, generator, options, (i, y, x, ph, pw) => {
      const [u, v] = generator.uniformArray(2);
      const [y2, x2] = [Math.floor(u * (h - ph + 1)), Math.floor(v * (w - pw + 1))];
      for (let r = 0; r < ph; r++) {
        const from = ((i * h + y2 + r) * w + x2) * c;
        out.data.set(images.data.subarray(from, from + pw * c), ((i * h + y + r) * w + x) * c);
      }
    });
    return out;
  };
}
