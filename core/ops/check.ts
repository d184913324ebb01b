/** What the checks of ops share. Errors name the op, the input, what it is and what would be right. */
import { hostValues } from "../tf.ts";
import type { DataType, Tensor } from "../tf.ts";

/** @throws TypeError unless the tensors are of that dtype and have elements; those that are undefined are left out. */
export function requireType(
  op: string,
  inputs: Record<string, Tensor | undefined>,
  dtype: DataType = "float32",
): void {
  for (const [name, x] of Object.entries(inputs)) {
    if (!x) continue;
    if (x.dtype !== dtype) throw new TypeError(`${op}: ${name} is of ${x.dtype}, not ${dtype}; cast it`);
    if (x.size === 0) throw new Error(`${op}: ${name} of shape [${x.shape}] has no elements`);
  }
}

/** @throws Error unless a shape has as many axes as a layout such as "[N,H,W,C]" names. */
export function requireLayout(op: string, name: string, shape: readonly number[], layout: string): void {
  if (shape.length === layout.split(",").length) return;
  throw new Error(`${op}: ${name} is ${layout}, not of shape [${shape}]`);
}

/**
 * @param what where the wanted shape comes from, such as "the output"
 * @throws Error unless a tensor, if given, has a shape
 */
export function requireShape(
  op: string,
  name: string,
  x: Tensor | undefined,
  shape: readonly number[],
  what: string,
): void {
  if (!x || (x.shape.length === shape.length && x.shape.every((n, i) => n === shape[i]))) return;
  throw new Error(`${op}: ${name} has shape [${x.shape}], ${what} [${shape}]`);
}

/** @throws Error unless each tensor has one number a channel of x […,C]. */
export function requireChannels(op: string, x: Tensor, vectors: Record<string, Tensor | undefined>): void {
  if (x.shape.length === 0) throw new Error(`${op}: x is […,C], not a scalar`);
  const channels = x.shape[x.shape.length - 1];
  for (const [name, v] of Object.entries(vectors)) {
    requireShape(op, name, v, [channels], `x of [${x.shape}] needs one number a channel,`);
  }
}

/** @throws RangeError unless whole numbers lie in [0, below), where they can be seen without waiting for a GPU. */
export function requireIndices(op: string, name: string, x: Tensor, below: number): void {
  const values = hostValues(x);
  const at = values?.findIndex((v) => v < 0 || v >= below) ?? -1;
  if (at < 0) return;
  throw new RangeError(`${op}: ${name} lie in [0, ${below}), not ${values![at]} at place ${at}`);
}

/** @throws RangeError unless an attribute is a whole number of at least `least`. */
export function requireWhole(op: string, name: string, value: number, least = 1): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new RangeError(`${op}: ${name} is a whole number of at least ${least}, not ${value}`);
}

/** @throws RangeError unless a probability lies in [0, 1]. */
export function requireProbability(op: string, name: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`${op}: ${name} lies in [0, 1], not ${p}`);
}

/** @throws RangeError unless an attribute is a number, and not infinite. */
export function requireFinite(op: string, name: string, value: number): void {
  if (Number.isFinite(value)) return;
  throw new RangeError(`${op}: ${name} is a finite number, not ${value}`);
}

/** @throws RangeError unless what is added to a variance is more than 0 in float32: a variance may be 0. */
export function requireEps(op: string, eps: number): void {
  if (Math.fround(eps) > 0 && Number.isFinite(Math.fround(eps))) return;
  throw new RangeError(`${op}: eps is a number above 0, such as 1e-5, not ${eps}`);
}
