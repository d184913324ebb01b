/** Distances of features by NumPy and SciPy, as `tests/golden/make_scores.py` made them. */
import { HostArray } from "../../../mod.ts";

type Rows = [shape: number[], numbers: number[]];
interface Stored {
  name: string;
  real: Rows;
  samples: Rows;
  mean: number[];
  covariance: number[];
  fid: number;
  kid: number;
  squaredMmd: number;
  precision: number;
  recall: number;
  nearestPrecision: number;
}

const read = ([shape, numbers]: Rows) => new HostArray(Float32Array.from(numbers), shape);
const stored: Stored[] = JSON.parse(
  await Deno.readTextFile(new URL("../../golden/scores.json", import.meta.url)),
);

/** Each case, its features as arrays. */
export const golden = stored.map((one) => ({ ...one, real: read(one.real), samples: read(one.samples) }));

/** Fails unless a number is as near to another as a share of it. */
export function assertNear(actual: number, expected: number, share: number, what = ""): void {
  if (Math.abs(actual - expected) <= share * Math.abs(expected)) return;
  throw new Error(`${what}: ${actual} is not ${expected}`);
}
