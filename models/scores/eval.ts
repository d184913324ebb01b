/** Scores of images that a network draws, beside real ones. */
import { type Batch, HostArray, type ImageTransform } from "../../core/mod.ts";
import type { FeatureModel } from "./classifier.ts";
import { frechetDistance } from "./frechet.ts";
import { kernelParts, partStart, rows, squaredMmd } from "./kernel.ts";
import { Moments } from "./moments.ts";
import { precisionRecall } from "./neighbours.ts";
import { joined, look, makeReference, type Reference } from "./reference.ts";

/** Options of {@link ImageEval}. */
export interface ImageEvalOptions {
  /** Values of black and white in the images that are scored; default [0, 1]. */
  range?: readonly [low: number, high: number];
  /** Brings images, whose values are in [0, 1] by then, to the size that the network of features sees; default as they are. */
  prepare?: ImageTransform;
  /** Features of each kind, the first ones, that precision and recall are of at most; default 5,000. */
  neighbours?: number;
}

/** What images scored. */
export interface Scores {
  /** How many there were. */
  n: number;
  /** Fréchet distance of their features from all of the reference's ({@link frechetDistance}). */
  fid: number;
  /** Fréchet distance from as many of the reference's, the first ones that are kept, as miniai's. */
  fidEqual: number;
  /** Kernel distance from as many of the reference's ({@link kernelDistance}). */
  kid: number;
  /** Share of the images that lie among real ones ({@link precisionRecall}). */
  precision: number;
  /** Share of the real ones that lie among the images. */
  recall: number;
  /** Share of the images that are taken for the class that they should be of; null where that is not known. */
  accuracy: number | null;
}

/** Values of a pixel in a picture's file. */
const LEVELS = 255;

/**
 * Scores of samples by the features of a network (miniai notebook 18): how far they are from those of real images. A
 * score is low only by comparison: score as many real images that are not of the reference beside them.
 *
 * Images are scored as files of pictures have them: their values in the range are rounded to 256 levels.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DataLoader, embeddedFashionMnist, HostArray, scores, take, transforms, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const { train } = await embeddedFashionMnist();
 * const loader = new DataLoader(take(train, 100), { batchSize: 50, transform: transforms.toFloat() });
 * const evaluation = await scores.ImageEval.of(await scores.classifierFeatures(), loader, { range: [-1, 1] });
 * const grey = new HostArray(new Float32Array(20 * 28 * 28), [20, 28, 28, 1]);
 * assert(await evaluation.fid(grey) > 10);
 * ```
 */
export class ImageEval {
  /** Black and white of the images. */
  readonly range: readonly [low: number, high: number];
  /** Most features of each kind that precision and recall are of. */
  readonly neighbours: number;
  readonly #prepare: ImageTransform;
  readonly #moments = new Map<number, Moments>();

  /**
   * Scores by a network beside features of real images.
   * @throws RangeError for a range that is none, or features of another size.
   */
  constructor(readonly model: FeatureModel, readonly reference: Reference, options: ImageEvalOptions = {}) {
    const { range: [low, high] = [0, 1], prepare = (images) => images, neighbours = 5000 } = options;
    if (!(low < high && Number.isFinite(high - low))) {
      throw new RangeError(`ImageEval: range is [low, high], not [${low}, ${high}]`);
    }
    if (reference.moments.size !== model.size) {
      throw new RangeError(
        `ImageEval: the reference's features have ${reference.moments.size} numbers, the model's ${model.size}`,
      );
    }
    this.range = [low, high];
    this.neighbours = neighbours;
    this.#prepare = prepare;
  }

  /**
   * Scores by a network beside real images.
   * @param batches as {@link makeReference} takes them
   * @throws RangeError for a range that is none.
   */
  static async of(
    model: FeatureModel,
    batches: AsyncIterable<Batch | readonly HostArray[]>,
    options: ImageEvalOptions = {},
  ): Promise<ImageEval> {
    return new ImageEval(model, await makeReference(model, batches), options);
  }

  /** Mean and covariance of the reference's first features, which are summed once. */
  momentsOfFirst(n: number): Moments {
    const known = this.#moments.get(n);
    if (known) return known;
    const moments = new Moments(this.model.size);
    moments.add(rows(this.reference.features, 0, n));
    this.#moments.set(n, moments);
    return moments;
  }

  /**
   * Begins scores of n images that come in batches.
   * @throws RangeError unless n is a whole number from 8 on.
   */
  begin(n: number): ScoreSums {
    return new ScoreSums(this, n);
  }

  /** Images as the network of features sees them. */
  prepared({ data, shape }: HostArray): HostArray {
    const [low, high] = this.range;
    const unit = new HostArray(Float32Array.from(data, (v) => (v - low) / (high - low)), [...shape]);
    const { data: values, shape: size } = this.#prepare(unit);
    const level = (v: number) => Math.round(Math.min(Math.max(v, 0), 1) * LEVELS) / LEVELS;
    return new HostArray(Float32Array.from(values, level), size);
  }

  /**
   * All scores of images.
   * @param images [N,H,W,C] in the range
   * @param labels the classes that they should be of, [N]
   * @throws RangeError for fewer than 8 images, or another number of labels; Error for features that are not finite.
   */
  async scores(images: HostArray, labels?: ArrayLike<number>): Promise<Scores> {
    const sums = this.begin(images.shape[0]);
    await sums.add(images, labels);
    return await sums.scores();
  }

  /**
   * The Fréchet distance of images [N,H,W,C] in the range.
   * @throws RangeError for fewer than two images.
   */
  async fid(images: HostArray): Promise<number> {
    const moments = new Moments(this.model.size);
    moments.add((await look(this.model, this.prepared(images))).features);
    return await frechetDistance(moments, this.reference.moments);
  }

  /**
   * The kernel distance of images [N,H,W,C] in the range.
   * @throws RangeError for fewer than 8 images.
   */
  async kid(images: HostArray): Promise<number> {
    const sums = this.begin(images.shape[0]);
    await sums.add(images);
    return sums.kid();
  }
}

/** Least images: four parts of two. */
const LEAST = 8;

/** Scores of images that come in batches: beside the features that precision and recall are of, only sums are kept. */
export class ScoreSums {
  /** Mean and covariance of the images' features. */
  readonly moments: Moments;
  readonly #pending: HostArray[] = [];
  readonly #kept: HostArray[] = [];
  /** Features of the reference that the kernel distance is from. */
  readonly #real: HostArray;
  readonly #parts: number;
  /** Parts that are done, and the sum of their distances. */
  #part = 0;
  #kernels = 0;
  #right = 0;
  #asked = 0;

  /**
   * Begins scores of n images.
   * @throws RangeError unless n is a whole number from 8 on, and the reference has as many features.
   */
  constructor(readonly evaluation: ImageEval, readonly n: number) {
    const { model, reference: { features } } = evaluation;
    if (!Number.isInteger(n) || n < LEAST) {
      throw new RangeError(`ImageEval: n is a whole number of images from ${LEAST} on, not ${n}`);
    }
    this.moments = new Moments(model.size);
    this.#real = rows(features, 0, Math.min(n, features.shape[0]));
    if (this.#real.shape[0] < LEAST) {
      throw new RangeError(
        `ImageEval: the reference has ${features.shape[0]} features; ${LEAST} are the least`,
      );
    }
    this.#parts = kernelParts(this.#real.shape[0]);
  }

  /**
   * Adds images.
   * @param images [N,H,W,C] in the evaluation's range
   * @param labels the classes that they should be of, [N]
   * @throws RangeError for more images than were said, or another number of labels; Error for features that are not finite.
   */
  async add(images: HostArray, labels?: ArrayLike<number>): Promise<void> {
    const { evaluation: { model, neighbours }, moments } = this, [n] = images.shape;
    if (moments.count + n > this.n) {
      throw new RangeError(
        `ImageEval: ${moments.count + n} images are more than the ${this.n} that were said`,
      );
    }
    if (labels && labels.length !== n) {
      throw new RangeError(`ImageEval: ${labels.length} labels of ${n} images`);
    }
    const { features, predicted } = await look(model, this.evaluation.prepared(images));
    const left = neighbours - moments.count;
    moments.add(features);
    if (left > 0) this.#kept.push(rows(features, 0, Math.min(left, n)));
    this.#addKernels(features);
    if (labels && predicted) {
      this.#asked += n;
      this.#right += Array.from(labels).filter((label, i) => label === predicted[i]).length;
    }
  }

  /** Adds the distances of the parts that are whole now. */
  #addKernels(features: HostArray): void {
    this.#pending.push(features);
    let waiting = this.#pending.reduce((sum, { shape }) => sum + shape[0], 0);
    const length = (n: number) => {
      const [from, to] = [this.#part, this.#part + 1].map((i) => partStart(i, this.#parts, n));
      return { from, to, length: to - from };
    };
    while (this.#part < this.#parts && waiting >= length(this.n).length) {
      const all = joined(this.#pending, this.moments.size), part = length(this.n).length;
      const { from, to } = length(this.#real.shape[0]);
      this.#kernels += squaredMmd(rows(all, 0, part), rows(this.#real, from, to));
      this.#part++;
      waiting -= part;
      this.#pending.splice(0, this.#pending.length, rows(all, part, part + waiting));
    }
  }

  /** @throws Error unless all images that were said have been added. */
  #requireAll(): void {
    if (this.moments.count === this.n) return;
    throw new Error(
      `ImageEval: ${this.moments.count} of the ${this.n} images that were said have been added`,
    );
  }

  /**
   * The Fréchet distance of the images that have been added.
   * @throws RangeError of fewer than two.
   */
  async fid(): Promise<number> {
    return await frechetDistance(this.moments, this.evaluation.reference.moments);
  }

  /**
   * The kernel distance of the images.
   * @throws Error unless all images that were said have been added.
   */
  kid(): number {
    this.#requireAll();
    return this.#kernels / this.#parts;
  }

  /**
   * All scores.
   * @throws Error unless all images that were said have been added.
   */
  async scores(): Promise<Scores> {
    this.#requireAll();
    const samples = joined(this.#kept, this.moments.size);
    const real = rows(this.#real, 0, Math.min(samples.shape[0], this.#real.shape[0]));
    return {
      n: this.n,
      fid: await this.fid(),
      fidEqual: await frechetDistance(this.moments, this.evaluation.momentsOfFirst(this.#real.shape[0])),
      kid: this.kid(),
      ...await precisionRecall(real, samples),
      accuracy: this.#asked > 0 ? this.#right / this.#asked : null,
    };
  }
}
