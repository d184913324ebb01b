/** Batches for the Learner: the interface, the one that batches a dataset, and one from any stream. */
import * as v from "npm:valibot@1.5.0";
import type { Json } from "../learner/callback.ts";
import { COUNT, requireSchema } from "../io/schema.ts";
import { Generator } from "../random.ts";
import type { HostArray } from "./array.ts";
import type { Augment } from "./transforms/augment.ts";
import { ArrayDataset, type Dataset, withoutRandom } from "./dataset.ts";
import type { ImageTransform } from "./transforms/image.ts";

/** A batch: arrays from the loader, tensors once a callback has moved them; nested as the loss wants it. */
// deno-lint-ignore no-explicit-any
export type Batch = any[];

/** What the Learner draws batches from; see {@link DataLoader} and {@link loaderOf}, or write another. */
export interface Loader {
  /**
   * Begins a pass over the data.
   * @param skip how many of its first batches are left out, a whole number from 0 on; default 0
   */
  batches(skip?: number): AsyncIterable<Batch>;
  /** Batches in a pass; undefined where that is not known before its end. */
  readonly length?: number;
  /** Items in a pass; undefined where that is not known. */
  readonly size?: number;
  /** What a checkpoint must keep so that the next pass is the one that an unbroken run would have. */
  state?(): Json;
  /** Goes on from what {@link state} gave. */
  loadState?(state: Json): void;
}

/** What a loader's state is; in checkpoints of before, the first two alone. */
const STATE = v.strictObject({
  seed: COUNT,
  counter: COUNT,
  batchSize: v.optional(COUNT),
  size: v.optional(COUNT),
  shuffle: v.optional(v.boolean()),
  dropLast: v.optional(v.boolean()),
});

/**
 * Makes the batch that the Learner gets from the arrays of a batch, the first of them transformed and augmented.
 * Random numbers come from the generator, which is fixed by the loader's seed, the pass and the batch.
 */
export type Collate = (arrays: HostArray[], generator: Generator) => Batch | Promise<Batch>;

/** Options of {@link DataLoader}. */
export interface DataLoaderOptions {
  /** Items in a batch, a positive whole number. */
  batchSize: number;
  /** Whether each pass has a new order; default false. */
  shuffle?: boolean;
  /** Fixes the orders and the random numbers of the dataset, `augment` and `collate`: a whole number from 0 to 2⁵³ − 1; default 0. */
  seed?: number;
  /** Whether a last, smaller batch is left out; default false. */
  dropLast?: boolean;
  /** Batches made ahead of the one in use, a whole number from 0 on; default 1. */
  prefetch?: number;
  /** Applied to the first array of each batch; default none. */
  transform?: ImageTransform;
  /** Applied to the first array after `transform`, with random numbers fixed by seed, pass and batch; default none. */
  augment?: Augment;
  /** Applied to the whole batch at last, with random numbers fixed like those of `augment`; default none. */
  collate?: Collate;
}

/**
 * Gives a dataset as batches of host arrays.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { ArrayDataset, DataLoader, HostArray } from "../mod.ts";
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]);
 * const loader = new DataLoader(new ArrayDataset(x, x), { batchSize: 3, shuffle: true });
 * const sizes: number[] = [];
 * for await (const [inputs] of loader) sizes.push(inputs.shape[0]);
 * assert(sizes.join() === "3,1");
 * ```
 */
export class DataLoader implements Loader {
  /** What is batched. */
  readonly dataset: Dataset;
  /** Items in a batch. */
  readonly batchSize: number;
  /** Whether each pass has a new order. */
  readonly shuffle: boolean;
  /** Whether a last, smaller batch is left out. */
  readonly dropLast: boolean;
  /** Batches made ahead of the one in use. */
  readonly prefetch: number;
  /** Draws the orders. */
  readonly generator: Generator;
  readonly #transform?: ImageTransform;
  readonly #augment?: Augment;
  readonly #collate?: Collate;

  /**
   * A loader of a dataset.
   * @param dataset or its arrays by name, which make an {@link ArrayDataset} in their order
   * @throws RangeError for an empty dataset, and for a batch size, prefetch or seed out of range.
   */
  constructor(dataset: Dataset | Record<string, HostArray>, options: DataLoaderOptions) {
    const { batchSize, shuffle = false, seed = 0, dropLast = false, prefetch = 1 } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`A batch size is a positive whole number, not ${batchSize}`);
    }
    if (!Number.isInteger(prefetch) || prefetch < 0) {
      throw new RangeError(`prefetch is a whole number of batches from 0 on, not ${prefetch}`);
    }
    this.dataset = isDataset(dataset) ? dataset : new ArrayDataset(...Object.values(dataset));
    if (this.size === 0) throw new RangeError("The dataset is empty");
    this.batchSize = batchSize;
    this.shuffle = shuffle;
    this.dropLast = dropLast;
    this.prefetch = prefetch;
    this.#transform = options.transform;
    this.#augment = options.augment;
    this.#collate = options.collate;
    this.generator = new Generator(seed);
  }

  /** Items in the dataset. */
  get size(): number {
    return this.dataset.length;
  }

  /** Batches in a pass; 0 where `dropLast` leaves out the only one. */
  get length(): number {
    const batches = this.size / this.batchSize;
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** Seed and place of the generator that draws the orders, and what they are orders of. */
  state(): Json {
    const { batchSize, size, shuffle, dropLast } = this;
    return { ...this.generator.state, batchSize, size, shuffle, dropLast };
  }

  /**
   * Goes on from {@link state}: the next pass is the one that its loader would have had.
   * @throws Error if it is no such state, or of a loader with another batch size, number of items, shuffle or dropLast.
   */
  loadState(state: Json): void {
    const { seed, counter, ...saved } = requireSchema(STATE, state, "DataLoader's state");
    for (const [name, value] of Object.entries(saved)) {
      const own = this[name as keyof this];
      if (own === value) continue;
      throw new Error(
        `DataLoader: the state that is loaded is of ${name} ${value}, this loader is of ${own}`,
      );
    }
    this.generator.state = { seed, counter };
  }

  /**
   * A pass over the data, whose order is drawn when its first batch is asked for.
   * @param skip how many of its first batches are left out; default 0
   * @throws RangeError unless that is a whole number from 0 on; Error if the dataset gives other than it was asked for.
   */
  async *batches(skip = 0): AsyncGenerator<Batch> {
    requireSkip("DataLoader", skip);
    const order = this.shuffle
      ? this.generator.permutation(this.size)
      : Int32Array.from({ length: this.size }, (_, i) => i);
    const draws = this.dataset.random || this.#augment || this.#collate;
    const seed = draws ? this.generator.fork().seed : 0;
    const ahead: Promise<Batch>[] = [];
    let next = skip;
    while (true) {
      while (next < this.length && ahead.length <= this.prefetch) {
        const batch = this.#batch(order, next++, seed);
        batch.catch(() => {}); // whoever awaits it in its turn gets the error
        ahead.push(batch);
      }
      const batch = ahead.shift();
      if (!batch) return;
      yield await batch;
    }
  }

  /** A whole pass, as {@link batches}. */
  [Symbol.asyncIterator](): AsyncGenerator<Batch> {
    return this.batches();
  }

  async #batch(order: Int32Array, i: number, seed: number): Promise<Batch> {
    const indices = order.subarray(i * this.batchSize, (i + 1) * this.batchSize);
    // A stream for each batch, so that a resumed pass draws what an unbroken one does.
    const generator = new Generator(seed);
    generator.state = { seed, counter: i * 2 ** 32 };
    const arrays =
      await (this.dataset.random ? this.dataset.items(indices, generator) : this.dataset.items(indices));
    if (arrays.length === 0 || arrays.some(({ shape }) => shape[0] !== indices.length)) {
      const shapes = arrays.map(({ shape }) => `[${shape}]`).join(", ");
      throw new Error(`DataLoader: the dataset gives ${shapes || "no array"} for ${indices.length} items`);
    }
    let [first, ...rest] = arrays;
    if (this.#transform) first = this.#transform(first);
    if (this.#augment) first = this.#augment(first, generator);
    const batch = [first, ...rest];
    return this.#collate ? await this.#collate(batch, generator) : batch;
  }
}

/** @throws RangeError unless a number of batches is a whole number from 0 on. */
function requireSkip(loader: string, skip: number): void {
  if (Number.isInteger(skip) && skip >= 0) return;
  throw new RangeError(`${loader}: skip is a whole number of batches from 0 on, not ${skip}`);
}

function isDataset(x: Dataset | Record<string, HostArray>): x is Dataset {
  return typeof x.items === "function";
}

/** What is known of a stream's passes; schedules and progress bars ask for it. */
export interface StreamOptions {
  /** Batches in a pass, a whole number from 0 on; default unknown. */
  length?: number;
  /** Items in a pass, a whole number from 0 on; default unknown. */
  size?: number;
}

/**
 * A loader whose batches come from a generator or any other stream.
 * @param pass begins a pass, as a generator function does; called anew for each
 * @returns a loader; a pass of it that begins in the middle draws and drops the batches before, and throws an Error if
 *   the stream ends among them
 * @throws TypeError if `pass` is no function, such as a generator that is under way; RangeError for a length or size out
 *   of range.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DataLoaders, DeviceCB, HostArray, Linear, loaderOf, TrainLearner, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const lines = loaderOf(function* () {
 *   for (let i = 0; i < 30; i++) {
 *     const x = Float32Array.of(Math.random(), Math.random());
 *     yield [new HostArray(x, [2, 1]), new HostArray(x.map((v) => 3 * v), [2, 1])];
 *   }
 * });
 * const learn = new TrainLearner(new Linear(1, 1), new DataLoaders(lines, lines), { cbs: [new DeviceCB()] });
 * await learn.fit(2);
 * assert(learn.iter === 30);
 * ```
 */
export function loaderOf(
  pass: () => Iterable<Batch> | AsyncIterable<Batch>,
  { length, size }: StreamOptions = {},
): Loader {
  if (typeof pass !== "function") {
    throw new TypeError(
      `loaderOf takes a function that begins a pass, such as a generator function, not ${pass}`,
    );
  }
  for (const [name, n] of Object.entries({ length, size })) {
    if (n === undefined || (Number.isInteger(n) && n >= 0)) continue;
    throw new RangeError(`loaderOf: ${name} is a whole number from 0 on, not ${n}`);
  }
  async function* batches(skip = 0): AsyncGenerator<Batch> {
    requireSkip("loaderOf", skip);
    let i = 0;
    for await (const batch of pass()) if (i++ >= skip) yield batch;
    if (i < skip) {
      throw new Error(`loaderOf: the stream ends after ${i} batches; the fit goes on after ${skip}`);
    }
  }
  return { batches, length, size };
}

/** A loader to train on and one to evaluate on. */
export class DataLoaders<L extends Loader = Loader> {
  /**
   * Two loaders.
   * @param train drawn from in each epoch's training half
   * @param valid drawn from in its evaluation
   */
  constructor(readonly train: L, readonly valid: L) {}

  /**
   * Loaders of two datasets: the first shuffled unless the options say not to, and augmented; the second in order, with
   * nothing random, no item left out.
   * @param train to be trained on, or its arrays by name
   * @param valid to be evaluated on, or its arrays by name
   * @param options of both, `shuffle`, `dropLast` and `augment` of the first alone; `shuffle` is true where it is left out
   * @throws RangeError as {@link DataLoader}'s constructor
   */
  static from(
    train: Dataset | Record<string, HostArray>,
    valid: Dataset | Record<string, HostArray>,
    options: DataLoaderOptions,
  ): DataLoaders<DataLoader> {
    const { shuffle = true } = options;
    return new DataLoaders(
      new DataLoader(train, { ...options, shuffle }),
      new DataLoader(isDataset(valid) ? withoutRandom(valid) : valid, {
        ...options,
        shuffle: false,
        dropLast: false,
        augment: undefined,
      }),
    );
  }
}
