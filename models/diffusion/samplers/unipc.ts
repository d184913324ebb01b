/** UniPC (Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models"). */
import { type Tensor, tf } from "../../../core/mod.ts";
import type { NoiseLevel } from "../parametrisation.ts";
import type { Sampler, StepInputs } from "../sampling.ts";
import { type Estimate, requireOrder, λOf } from "./dpm_solver.ts";

/** Options of {@link uniPc}. */
export interface UniPcOptions {
  /** Estimates of x₀ that a step knows, its own among them, from 1 to 3; default 2. */
  order?: number;
  /** B(h) of the paper: `bh1` is h, `bh2` is eʰ − 1; default `bh2`. */
  variant?: "bh1" | "bh2";
}

/** What UniPC knows of the step before. */
interface Before {
  /** Its images, corrected. */
  x: Tensor;
  /** Their level. */
  at: NoiseLevel;
  /** The estimates that it knew, the newest first. */
  seen: Estimate[];
  /** Its order. */
  order: number;
}

/** The solution of the square system A·x = b, by elimination with the largest pivot. */
export function solve(A: number[][], b: number[]): number[] {
  const rows = A.map((row, i) => [...row, b[i]]), n = b.length;
  for (let k = 0; k < n; k++) {
    const pivot = rows.slice(k).reduce(
      (best, row, i) => Math.abs(row[k]) > Math.abs(rows[best][k]) ? k + i : best,
      k,
    );
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = 0; i < n; i++) {
      const factor = i === k ? 0 : rows[i][k] / rows[k][k];
      rows[i] = rows[i].map((value, j) => value - factor * rows[k][j]);
    }
  }
  return rows.map((row, k) => row[n] / row[k]);
}

/**
 * The weights of differences of x̂₀ at places r along λ, in steps of h (paper, section 3.1: R·a·B(h) = φ): with them a
 * polynomial of x̂₀ is integrated exactly.
 */
export function weights(r: number[], h: number, B: number): number[] {
  let φ = Math.expm1(-h) / -h - 1, factorial = 1;
  const moments = r.map((_, k) => {
    const moment = φ * factorial / B;
    factorial *= k + 2;
    φ = φ / -h - 1 / factorial;
    return moment;
  });
  return solve(r.map((_, k) => r.map((place) => place ** k)), moments);
}

/** Images taken from a level to another by the estimates before and, in the corrector, the one after. */
function advance(
  { x, at, seen, order }: Before,
  to: NoiseLevel,
  variant: "bh1" | "bh2",
  after?: Tensor,
): Tensor {
  const h = λOf(to) - λOf(at), φ1 = Math.expm1(-h), B = variant === "bh1" ? -h : φ1;
  const [{ λ, x̂0 }, ...older] = seen.slice(0, order);
  const first = tf.sub(tf.mul(x, to.σ / at.σ), tf.mul(x̂0, to.α * φ1));
  const r = older.map((estimate) => (estimate.λ - λ) / h);
  const differences = older.map((estimate, k) => tf.div(tf.sub(estimate.x̂0, x̂0), r[k]));
  if (after) {
    r.push(1);
    differences.push(tf.sub(after, x̂0));
  }
  if (differences.length === 0) return first;
  // For one difference the paper takes 1/2, of which every B(h) makes the same order (section 3.3).
  const a = r.length === 1 ? [1 / 2] : weights(r, h, B);
  return tf.sub(first, tf.mul(tf.addN(differences.map((D, k) => tf.mul(D, a[k]))), to.α * B));
}

/**
 * UniPC's sampler (paper, algorithms 1 and 2, for x̂₀): a step is corrected with the estimate that the next one makes, so
 * that it costs no evaluation more.
 * @throws RangeError for another order or variant.
 */
export function uniPc({ order = 2, variant = "bh2" }: UniPcOptions = {}): Sampler {
  requireOrder("uniPc", order, 3);
  if (variant !== "bh1" && variant !== "bh2") {
    throw new RangeError(`uniPc: variant is bh1 or bh2, not ${variant}`);
  }
  return ({ x: predicted, at, to, i, nSteps, denoise, memory }: StepInputs<Before>) => {
    const x̂0 = denoise(predicted, at);
    // At pure noise λ is −∞, from where no difference can be taken.
    const usable = memory && memory.at.α > 0 ? memory : undefined;
    const x = usable ? advance(usable, at, variant, x̂0) : predicted;
    const seen = [{ λ: λOf(at), x̂0 }, ...(usable?.seen ?? [])].slice(0, order);
    const before: Before = { x, at, seen, order: Math.min(order, seen.length, nSteps - i) };
    return { x: advance(before, to, variant), x̂0, memory: before };
  };
}
