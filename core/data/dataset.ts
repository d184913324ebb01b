/** What can be trained on: anything that gives items by their index. */
import type { Generator } from "../random.ts";
import type { TypedArray } from "../tf.ts";
import { HostArray } from "./array.ts";

/**
 * Items by index, each a tuple of arrays: inputs and targets, any number of them, such as an image and its label.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DataLoader, type Dataset, HostArray } from "../mod.ts";
 * const squares: Dataset = {
 *   length: 1000,
 *   items(indices) {
 *     const x = Float32Array.from(indices), shape = [indices.length, 1];
 *     return [new HostArray(x, shape), new HostArray(x.map((v) => v * v), shape)];
 *   },
 * };
 * for await (const [x, y] of new DataLoader(squares, { batchSize: 500 })) assert(y.data[3] === x.data[3] ** 2);
 * ```
 */
export interface Dataset {
  /** How many items there are. */
  readonly length: number;
  /**
   * The items at these indices, joined: each array of the tuple has them along its first axis, in the order of the
   * indices.
   * @param indices whole numbers from 0 to length − 1
   * @param generator of the batch, for a dataset that is `random`; without it nothing is random
   */
  items(indices: Int32Array, generator?: Generator): HostArray[] | Promise<HostArray[]>;
  /** Whether items are drawn by the generator where there is one, as random crops are; default false. */
  readonly random?: boolean;
}

/** The rows of an array at these indices. */
function gather({ data, shape }: HostArray, indices: Int32Array): HostArray {
  const width = data.length / shape[0];
  const out = new (data.constructor as new (length: number) => TypedArray)(indices.length * width);
  indices.forEach((from, to) => {
    if (!(from >= 0 && from < shape[0])) throw outside("items", from, shape[0]);
    out.set(data.subarray(from * width, (from + 1) * width), to * width);
  });
  return new HostArray(out, [indices.length, ...shape.slice(1)]);
}

/** The error of an index that a dataset does not have. */
function outside(where: string, index: number, length: number): RangeError {
  return new RangeError(`${where}: a dataset of ${length} items has none at ${index}`);
}

/**
 * Arrays in memory: item i is row i of each.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { ArrayDataset, HostArray } from "../mod.ts";
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [2, 2]), y = new HostArray(Uint8Array.of(5, 6), [2]);
 * const [rows, labels] = new ArrayDataset(x, y).items(Int32Array.of(1));
 * assert(rows.data.join() === "2,3" && labels.data[0] === 6);
 * ```
 */
export class ArrayDataset implements Dataset {
  /** Items: the size of the arrays' first axis. */
  readonly length: number;
  /** The arrays as they were given. */
  readonly arrays: readonly HostArray[];

  /**
   * A dataset of these arrays, which are not copied: what is written to them later, its items have.
   * @param arrays one or more, each [N,…]
   * @throws RangeError if there is none, one has no axis, or their first axes differ.
   */
  constructor(...arrays: HostArray[]) {
    const sizes = arrays.map(({ shape }) => shape[0]);
    if (sizes.length === 0 || sizes.some((n) => n === undefined || n !== sizes[0])) {
      const shapes = arrays.map(({ shape }) => `[${shape}]`).join(", ");
      throw new RangeError(`ArrayDataset takes arrays with one first axis, not ${shapes || "none"}`);
    }
    this.arrays = arrays;
    this.length = sizes[0];
  }

  /**
   * Copies of the rows at these indices.
   * @param indices whole numbers from 0 to length − 1, in any order and any number of times
   * @returns an array for each of {@link arrays}, of its type, [indices.length,…]
   * @throws RangeError for an index outside.
   */
  items(indices: Int32Array): HostArray[] {
    return this.arrays.map((array) => gather(array, indices));
  }
}

/**
 * Some items of a dataset, which is not copied.
 * @param indices which, in the order in which the new dataset has them
 * @returns a dataset whose `items` throws a RangeError for an index outside it
 * @throws RangeError for an index outside the dataset.
 */
export function subset(dataset: Dataset, indices: Int32Array): Dataset {
  const wrong = indices.find((i) => !(i >= 0 && i < dataset.length));
  if (wrong !== undefined) throw outside("subset", wrong, dataset.length);
  return {
    length: indices.length,
    random: dataset.random,
    items(which, generator) {
      const wrong = which.find((i) => !(i >= 0 && i < indices.length));
      if (wrong !== undefined) throw outside("items", wrong, indices.length);
      return dataset.items(which.map((i) => indices[i]), generator);
    },
  };
}

/**
 * The first n items of a dataset, or all where it has fewer; the dataset is not copied.
 * @throws RangeError unless n is a whole number from 0 on.
 */
export function take(dataset: Dataset, n: number): Dataset {
  if (!Number.isInteger(n) || n < 0) throw new RangeError(`take: n is a whole number from 0 on, not ${n}`);
  return subset(dataset, Int32Array.from({ length: Math.min(n, dataset.length) }, (_, i) => i));
}

/** A dataset without its random changes, itself where it has none. */
export function withoutRandom(dataset: Dataset): Dataset {
  return dataset.random ? { length: dataset.length, items: (indices) => dataset.items(indices) } : dataset;
}
