/** Batches from datasets. */
import { Generator } from "../random.ts";
import { HostArray } from "./array.ts";
import type { Augment } from "./augment.ts";
import type { ImageTransform } from "./transforms.ts";

/** Images and their labels, in memory. */
export interface Dataset {
  /** [N,H,W,C], bytes 0…255 or floats. */
  images: HostArray;
  /** [N], class numbers. */
  labels: HostArray;
}

/** Options of {@link DataLoader}. */
export interface DataLoaderOptions {
  batchSize: number;
  /** Whether each pass has a new order; default false. */
  shuffle?: boolean;
  /** Fixes the orders; default 0. */
  seed?: number;
  /** Whether a last, smaller batch is left out; default false. */
  dropLast?: boolean;
  /** Batches made ahead of the one in use; default 1. */
  prefetch?: number;
  /** Applied to the images of each batch. */
  transform?: ImageTransform;
  /** Applied after `transform`, with random numbers that the loader's seed, the pass and the batch fix. */
  augment?: Augment;
}

/** The rows of an array at these indices. */
function gather({ data, shape }: HostArray, indices: Int32Array): HostArray {
  const width = data.length / shape[0];
  const out = data instanceof Float32Array
    ? new Float32Array(indices.length * width)
    : data instanceof Int32Array
    ? new Int32Array(indices.length * width)
    : new Uint8Array(indices.length * width);
  indices.forEach((from, to) => out.set(data.subarray(from * width, (from + 1) * width), to * width));
  return new HostArray(out, [indices.length, ...shape.slice(1)]);
}

/** The first n items of a dataset. */
export function take({ images, labels }: Dataset, n: number): Dataset {
  const first = Int32Array.from({ length: Math.min(n, images.shape[0]) }, (_, i) => i);
  return { images: gather(images, first), labels: gather(labels, first) };
}

/** Gives a dataset as batches `[images, labels]` of host arrays. */
export class DataLoader {
  readonly options:
    & Required<Omit<DataLoaderOptions, "transform" | "augment">>
    & Pick<DataLoaderOptions, "transform" | "augment">;
  /** Draws the orders; its state belongs in a checkpoint. */
  readonly generator: Generator;

  /** @throws RangeError for an empty dataset or a batch size below 1. */
  constructor(readonly dataset: Dataset, options: DataLoaderOptions) {
    this.options = { shuffle: false, seed: 0, dropLast: false, prefetch: 1, ...options };
    const { batchSize } = this.options;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`A batch size is a positive whole number, not ${batchSize}`);
    }
    if (this.size === 0) throw new RangeError("The dataset is empty");
    this.generator = new Generator(this.options.seed);
  }

  /** Items in the dataset. */
  get size(): number {
    return this.dataset.images.shape[0];
  }

  /** Batches in a pass. */
  get length(): number {
    const { batchSize, dropLast } = this.options;
    return dropLast ? Math.floor(this.size / batchSize) : Math.ceil(this.size / batchSize);
  }

  /** A pass over the data. The order is drawn when it begins; `skip` leaves out its first batches. */
  async *batches(skip = 0): AsyncGenerator<[HostArray, HostArray]> {
    const { shuffle, prefetch, augment } = this.options;
    const order = shuffle
      ? this.generator.permutation(this.size)
      : Int32Array.from({ length: this.size }, (_, i) => i);
    const seed = augment && this.generator.fork().seed;
    const ahead: Promise<[HostArray, HostArray]>[] = [];
    let next = skip;
    while (true) {
      while (next < this.length && ahead.length <= prefetch) {
        ahead.push(Promise.resolve(next++).then((i) => this.#batch(order, i, seed)));
      }
      const batch = ahead.shift();
      if (!batch) return;
      yield await batch;
    }
  }

  /** The batches of a pass, in order of use. */
  [Symbol.asyncIterator](): AsyncGenerator<[HostArray, HostArray]> {
    return this.batches();
  }

  #batch(order: Int32Array, i: number, seed?: number): [HostArray, HostArray] {
    const { batchSize, transform, augment } = this.options;
    const indices = order.subarray(i * batchSize, (i + 1) * batchSize);
    let images = gather(this.dataset.images, indices);
    if (transform) images = transform(images);
    if (augment) {
      // A stream for each batch, so that a resumed pass draws what an unbroken one does.
      const generator = new Generator(seed);
      generator.state = { seed: seed!, counter: i * 2 ** 32 };
      images = augment(images, generator);
    }
    return [images, gather(this.dataset.labels, indices)];
  }
}

/** A loader to train on and one to evaluate on. */
export class DataLoaders {
  constructor(readonly train: DataLoader, readonly valid: DataLoader) {}

  /** Loaders of two datasets: the first shuffled and augmented, the second in order, none left out. */
  static from(train: Dataset, valid: Dataset, options: DataLoaderOptions): DataLoaders {
    return new DataLoaders(
      new DataLoader(train, { shuffle: true, ...options }),
      new DataLoader(valid, { ...options, shuffle: false, dropLast: false, augment: undefined }),
    );
  }
}
