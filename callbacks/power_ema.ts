/** PowerEMACB, and averages of other lengths after training. */
import { type StateDict, tf } from "../core/mod.ts";
import { AverageCB } from "./ema.ts";

/**
 * The exponent γ of the average whose profile has that standard deviation, relative to the training so far (Karras et
 * al. 2023, "Analyzing and Improving the Training Dynamics of Diffusion Models", eq. 126): the root above 0 of
 * σ² = (γ+1)/((γ+2)²(γ+3)).
 * @param length σ, above 0 and below 0.2887 (1/√12, γ = 0: the plain mean)
 * @throws RangeError for another.
 */
export function powerOf(length: number): number {
  if (!(length > 0 && length < 1 / Math.sqrt(12))) {
    throw new RangeError(`An average's length lies between 0 and 0.2886, not ${length}`);
  }
  // The left side falls with γ.
  let low = 0, high = 1;
  const over = (γ: number) => (γ + 1) / ((γ + 2) ** 2 * (γ + 3)) > length ** 2;
  while (over(high)) high *= 2;
  for (let i = 0; i < 100; i++) {
    const γ = (low + high) / 2;
    if (over(γ)) low = γ;
    else high = γ;
  }
  return (low + high) / 2;
}

/**
 * An average whose length grows with the training: at step t the weights of step τ count in proportion to τ^γ (Karras et
 * al. 2023, section 3.1), so that no weights of the beginning stay. Two of different lengths, saved now and then, give
 * those of other lengths after training: {@link mixAverages}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   PowerEMACB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const averages = [new PowerEMACB(0.1), new PowerEMACB(0.05)];
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), ...averages] }).fit(5);
 * assert(averages[0].moves === 10 && Math.round(averages[1].power) === 17);
 * for (const average of averages) average.dispose();
 * ```
 */
export class PowerEMACB extends AverageCB {
  /** Standard deviation of the average's profile, relative to the training so far. */
  readonly length: number;
  /** γ. */
  readonly power: number;

  /**
   * Begins an average with the first fit that trains.
   * @param length standard deviation of its profile, relative to the training so far; default 0.1
   * @throws RangeError unless it lies between 0 and 0.2886.
   */
  constructor(length = 0.1) {
    super();
    this.length = length;
    this.power = powerOf(length);
  }

  /** (1 − 1/t)^(γ+1) at step t = n + 1 (eq. 127). */
  protected override decayAt(n: number): number {
    return (1 - 1 / (n + 1)) ** (this.power + 1);
  }

  /** With the length: an average goes on with its own. */
  override get stateName(): string {
    return `PowerEMACB(${this.length})`;
  }
}

/** An average that was saved: after how many steps, and of which length. */
export interface AveragePlace {
  /** Steps that it has taken in. */
  steps: number;
  /** Its length, as {@link PowerEMACB}'s. */
  length: number;
}

/** ∫ of the product of two profiles, each (γ+1)/t·(τ/t)^γ up to its t. */
function overlap(a: AveragePlace, b: AveragePlace): number {
  const γa = powerOf(a.length), γb = powerOf(b.length), t = Math.min(a.steps, b.steps);
  const ratio = (t / a.steps) ** γa * (t / b.steps) ** γb / Math.max(a.steps, b.steps);
  return (γa + 1) * (γb + 1) * ratio / (γa + γb + 1);
}

/** x of A·x = b by elimination with pivots. */
function solve(A: number[][], b: number[]): number[] {
  const n = b.length, M = A.map((row, i) => [...row, b[i]]);
  for (let k = 0; k < n; k++) {
    const pivot = M.reduce((best, row, i) => i >= k && Math.abs(row[k]) > Math.abs(M[best][k]) ? i : best, k);
    [M[k], M[pivot]] = [M[pivot], M[k]];
    for (let i = k + 1; i < n; i++) {
      const f = M[i][k] / M[k][k];
      for (let j = k; j <= n; j++) M[i][j] -= f * M[k][j];
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    x[i] = M[i].slice(i + 1, n).reduce((sum, m, j) => sum - m * x[i + 1 + j], M[i][n]) / M[i][i];
  }
  return x;
}

/**
 * How much of each saved average makes up one of another length, by least squares over their profiles (Karras et al.
 * 2023, section 3.2 and appendix C), with factors that sum to 1, as the paper's need not: a weight that never changes
 * stays. So the average's length is chosen after the training.
 * @param saved of at least two lengths or at several steps, no two alike
 * @param wanted length, and steps that are not after the last saved ones
 * @returns a factor for each of `saved`
 * @throws RangeError for none saved, two alike, or steps that are no whole number of at least 1.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { averageFactors } from "../mod.ts";
 * const saved = [0.05, 0.1].flatMap((length) => [500, 1000].map((steps) => ({ steps, length })));
 * const [, short] = averageFactors(saved, { steps: 1000, length: 0.05 });
 * assert(Math.abs(short - 1) < 1e-6);
 * ```
 */
export function averageFactors(saved: readonly AveragePlace[], wanted: AveragePlace): number[] {
  if (saved.length === 0) throw new RangeError("averageFactors: there is no saved average");
  for (const { steps } of [...saved, wanted]) {
    if (Number.isInteger(steps) && steps >= 1) continue;
    throw new RangeError(`averageFactors: steps is a whole number of at least 1, not ${steps}`);
  }
  const names = new Set(saved.map(({ steps, length }) => `${steps} ${length}`));
  if (names.size < saved.length) throw new RangeError("averageFactors: two saved averages are alike");
  // Rows and columns are scaled to a diagonal of 1; the last row is the sum, the last column its multiplier.
  const norms = saved.map((a) => Math.sqrt(overlap(a, a)));
  const A = saved.map((
    a,
    i,
  ) => [...saved.map((b, j) => overlap(a, b) / (norms[i] * norms[j])), 1 / norms[i]]);
  A.push([...norms.map((norm) => 1 / norm), 0]);
  const right = [...saved.map((a, i) => overlap(a, wanted) / norms[i]), 1];
  return solve(A, right).slice(0, -1).map((x, i) => x / norms[i]);
}

/**
 * The average of another length from saved ones; see {@link averageFactors}.
 * @param saved averages and where they were saved; they stay the caller's
 * @returns tensors of the caller
 * @throws RangeError as averageFactors.
 */
export function mixAverages(
  saved: readonly (AveragePlace & { weights: StateDict })[],
  wanted: AveragePlace,
): StateDict {
  const factors = averageFactors(saved, wanted);
  return tf.tidy(() =>
    Object.fromEntries(
      Object.keys(saved[0].weights).map((name) => [
        name,
        tf.addN(saved.map(({ weights }, i) => tf.mul(weights[name], factors[i]))),
      ]),
    )
  );
}
