/** Mean and covariance of a stream of features. */
import type { HostArray } from "../../core/mod.ts";

/**
 * Mean and covariance of features in 64 bits, of any number of batches: what is kept does not grow with them. A batch's own
 * mean and squares are taken first and then put together with those before (Chan et al. 1979, eq. 1.5), so that a mean that
 * is large beside the spread loses nothing.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HostArray, scores } from "../../mod.ts";
 * const moments = new scores.Moments(2);
 * moments.add(new HostArray(Float32Array.of(1, 0, 3, 4), [2, 2]));
 * assertEquals([...moments.mean], [2, 2]);
 * assertEquals([...moments.covariance()], [2, 4, 4, 8]);
 * ```
 */
export class Moments {
  /** Features that were added. */
  count = 0;
  /** Their mean, [size]. */
  readonly mean: Float64Array;
  /** Sums of products of their distances from the mean, [size,size]; of those on and over the diagonal. */
  readonly #products: Float64Array;

  /**
   * Moments of nothing yet.
   * @param size numbers of a feature
   * @throws RangeError unless it is a positive whole number.
   */
  constructor(readonly size: number) {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`Moments: size is a positive whole number, not ${size}`);
    }
    this.mean = new Float64Array(size);
    this.#products = new Float64Array(size * size);
  }

  /**
   * Adds features.
   * @param features [N,size]
   * @throws RangeError for another shape; Error for one that is not finite, and then none is added.
   */
  add(features: HostArray): void {
    const { size } = this, { data, shape } = features, [n] = shape;
    if (shape.length !== 2 || shape[1] !== size) {
      throw new RangeError(`Moments: features are [N,${size}], not [${shape}]`);
    }
    const wrong = data.findIndex((v) => !Number.isFinite(v));
    if (wrong >= 0) {
      throw new Error(
        `Moments: feature ${wrong % size} of item ${Math.floor(wrong / size)} is ${data[wrong]}`,
      );
    }
    if (n === 0) return;
    const batch = new Moments(size), row = new Float64Array(size);
    for (let at = 0; at < data.length; at += size) {
      for (let i = 0; i < size; i++) batch.mean[i] += data[at + i] / n;
    }
    for (let at = 0; at < data.length; at += size) {
      for (let i = 0; i < size; i++) row[i] = data[at + i] - batch.mean[i];
      addOuter(batch.#products, row, 1);
    }
    batch.count = n;
    this.merge(batch);
  }

  /**
   * Adds what another has seen, as if it had been added here.
   * @throws RangeError if its features have another size.
   */
  merge(other: Moments): void {
    const { size } = this, count = this.count + other.count;
    if (other.size !== size) {
      throw new RangeError(`Moments: ${other.size} numbers a feature do not go with ${size}`);
    }
    if (other.count === 0) return;
    const between = other.mean.map((v, i) => v - this.mean[i]);
    for (let i = 0; i < this.#products.length; i++) this.#products[i] += other.#products[i];
    addOuter(this.#products, between, this.count * other.count / count);
    for (let i = 0; i < size; i++) this.mean[i] += between[i] * other.count / count;
    this.count = count;
  }

  /**
   * The covariance, by n − 1 as NumPy's `cov`; [size,size], row by row.
   * @throws RangeError of fewer than two features.
   */
  covariance(): Float64Array {
    const { size, count } = this;
    if (count < 2) throw new RangeError(`Moments: a covariance is of at least 2 features, not of ${count}`);
    return Float64Array.from({ length: size * size }, (_, at) => {
      const i = Math.floor(at / size), j = at % size;
      return this.#products[i <= j ? at : j * size + i] / (count - 1);
    });
  }

  /** All of it as numbers: the count, the mean, the products; {@link Moments.from} reads them. */
  toNumbers(): Float64Array {
    const { size } = this, numbers = new Float64Array(1 + size + size * size);
    numbers[0] = this.count;
    numbers.set(this.mean, 1);
    numbers.set(this.#products, 1 + size);
    return numbers;
  }

  /**
   * Moments as {@link Moments.toNumbers} wrote them.
   * @throws RangeError for numbers that are none.
   */
  static from(numbers: Float64Array): Moments {
    const size = Math.round((Math.sqrt(4 * numbers.length - 3) - 1) / 2);
    if (size < 1 || numbers.length !== 1 + size + size * size || !numbers.every(Number.isFinite)) {
      throw new RangeError(`Moments: ${numbers.length} numbers are no moments`);
    }
    const moments = new Moments(size);
    moments.count = numbers[0];
    moments.mean.set(numbers.subarray(1, 1 + size));
    moments.#products.set(numbers.subarray(1 + size));
    return moments;
  }
}

/** Adds scale·v·vᵀ on and over the diagonal. */
function addOuter(sum: Float64Array, v: Float64Array, scale: number): void {
  const { length } = v;
  for (let i = 0; i < length; i++) {
    const factor = scale * v[i];
    if (factor === 0) continue;
    for (let j = i, at = i * length + i; j < length; j++, at++) sum[at] += factor * v[j];
  }
}
