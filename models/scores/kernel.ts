/** The kernel distance of features (KID; Bińkowski et al. 2018). */
import { HostArray } from "../../core/mod.ts";

/** Features in a part, about. */
const PART = 50;
/** Least parts. */
const LEAST_PARTS = 4;

/** How many parts the kernel distance of n features is averaged over (miniai notebook 18). */
export function kernelParts(n: number): number {
  return Math.max(Math.ceil(n / PART), LEAST_PARTS);
}

/** Where the ith of so many consecutive parts of n begins. */
export const partStart = (i: number, parts: number, n: number): number => Math.round(i * n / parts);

/** Some consecutive rows of an array [N,d], which are not copied. */
export function rows({ data, shape: [, width] }: HostArray, from: number, to: number): HostArray {
  return new HostArray(data.subarray(from * width, to * width), [to - from, width]);
}

/** The sum of (a·b/d + 1)³ over the rows a of one and b of another; of one with itself where they are the same, without a = b. */
function kernelSum(x: HostArray, y: HostArray): number {
  const [n, d] = x.shape, [m] = y.shape;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      if (x === y && i === j) continue;
      let dot = 0;
      for (let k = 0, a = i * d, b = j * d; k < d; k++) dot += x.data[a + k] * y.data[b + k];
      sum += (dot / d + 1) ** 3;
    }
  }
  return sum;
}

/**
 * The squared maximum mean discrepancy of two sets of features, estimated without bias, with the kernel (a·b/d + 1)³
 * (Bińkowski et al. 2018, section 4): 0 in the mean where both are of one distribution, and then as often below.
 * @param x features [N,d]
 * @param y features [M,d]
 * @throws RangeError for other shapes, or fewer than two of one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HostArray, scores } from "../../mod.ts";
 * const [x, y] = [[0, 2], [1, 1]].map((v) => new HostArray(Float32Array.from(v), [2, 1]));
 * assertEquals(scores.squaredMmd(x, y), 1 + 8 - 2 * (1 + 1 + 27 + 27) / 4);
 * ```
 */
export function squaredMmd(x: HostArray, y: HostArray): number {
  const [n, d] = x.shape, [m, e] = y.shape;
  if (x.shape.length !== 2 || y.shape.length !== 2 || d !== e) {
    throw new RangeError(`squaredMmd: features are [N,d] and [M,d], not [${x.shape}] and [${y.shape}]`);
  }
  if (n < 2 || m < 2) {
    throw new RangeError(`squaredMmd: there are at least 2 features of each, not ${n} and ${m}`);
  }
  return kernelSum(x, x) / (n * (n - 1)) + kernelSum(y, y) / (m * (m - 1)) - 2 * kernelSum(x, y) / (n * m);
}

/**
 * KID: the mean of {@link squaredMmd} over consecutive parts of about 50 features of each (at least four parts), as miniai's
 * notebook 18.
 * @param x features [N,d]
 * @param y features [M,d]
 * @throws RangeError for other shapes, or fewer than eight of one.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Generator, HostArray, scores, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const generator = new Generator(1), draw = () => HostArray.from(generator.normal([200, 8]));
 * const distance = scores.kernelDistance(await draw(), await draw());
 * assert(Math.abs(distance) < 0.2, `${distance}`);
 * ```
 */
export function kernelDistance(x: HostArray, y: HostArray): number {
  const [n] = x.shape, [m] = y.shape, parts = kernelParts(Math.min(n, m));
  let sum = 0;
  for (let i = 0; i < parts; i++) {
    const [of, other] = [x, y].map((f) => {
      const [from, to] = [i, i + 1].map((k) => partStart(k, parts, f.shape[0]));
      return rows(f, from, to);
    });
    sum += squaredMmd(of, other);
  }
  return sum / parts;
}
