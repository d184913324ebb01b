/** The noise schedule (Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models"). */

/**
 * The variance σ² of the noise that a step of sampling adds, by Diffusers' names (paper, section 3.2): `fixed_large` is
 * β, as in the lesson; `fixed_small` is β̃ = (1 − ᾱₜ₋₁)/(1 − ᾱₜ)·β, the posterior's, which leaves less noise in images
 * drawn in few steps.
 */
export type Variance = "fixed_large" | "fixed_small";

/** A schedule of T steps, in the paper's letters; each array has a number for each step t, 0…T−1. */
export interface Schedule {
  /** T. */
  readonly nSteps: number;
  /** The variance that noising adds at step t. */
  readonly β: Float64Array;
  /** 1 − β. */
  readonly α: Float64Array;
  /** The product of α up to step t: the share of the image's variance in xₜ. */
  readonly ᾱ: Float64Array;
  /** The standard deviation of the noise that sampling adds. */
  readonly σ: Float64Array;
  /** What σ² is. */
  readonly variance: Variance;
  /** What the model is told at step t, in training and in sampling. */
  readonly timesteps: Int32Array;
}

/** Options of {@link linearSchedule}. */
export interface LinearScheduleOptions {
  /** Steps, at least 1; default 1000. */
  nSteps?: number;
  /** β of the first step, over 0; default 1e-4. */
  betaMin?: number;
  /** β of the last step, below 1; default 0.02. */
  betaMax?: number;
  /** Default `fixed_large`. */
  variance?: Variance;
}

/** Options of {@link respace}. */
export interface RespaceOptions {
  /** Default `fixed_small` where there are fewer steps than in the schedule, else the schedule's. */
  variance?: Variance;
}

/** ᾱ does not fall below this, so that float32 holds 1/√ᾱ. */
const LEAST_ALPHABAR = 1e-60;

/** Options of {@link betaSchedule}. */
export interface BetaScheduleOptions {
  /** What the model is told at each step; default the number of the step. */
  timesteps?: Int32Array;
  /** Default `fixed_large`. */
  variance?: Variance;
}

/**
 * The schedule whose variance grows by these β.
 * @param β of each step, over 0 and at most 1; a β of 1 leaves nothing of the image, ᾱ is then 1e-60
 * @throws RangeError for another β, none at all, or as many timesteps as there are not steps.
 */
export function betaSchedule(β: Float64Array, options: BetaScheduleOptions = {}): Schedule {
  const { timesteps = Int32Array.from(β.keys()), variance = "fixed_large" } = options;
  const wrong = β.find((b) => !(b > 0 && b <= 1));
  if (wrong !== undefined) throw new RangeError(`betaSchedule: each β is over 0 and at most 1, not ${wrong}`);
  if (β.length === 0) throw new RangeError("betaSchedule: a schedule has at least one step, and so one β");
  if (timesteps.length !== β.length) {
    throw new RangeError(`betaSchedule: ${timesteps.length} timesteps for ${β.length} steps`);
  }
  return fromBetas(β, timesteps, variance);
}

function fromBetas(β: Float64Array, timesteps: Int32Array, variance: Variance): Schedule {
  if (variance !== "fixed_large" && variance !== "fixed_small") {
    throw new RangeError(`A schedule's variance is fixed_large or fixed_small, not ${variance}`);
  }
  const α = β.map((b) => 1 - b);
  let product = 1;
  const ᾱ = α.map((a) => product = Math.max(LEAST_ALPHABAR, product * a));
  if (!(ᾱ[0] < 1)) throw new RangeError(`β of the first step, ${β[0]}, is too small: 1 − β is 1 in float64`);
  const σ = β.map((b, t) => {
    const ᾱ_prev = t > 0 ? ᾱ[t - 1] : 1;
    return Math.sqrt(variance === "fixed_large" ? b : b * (1 - ᾱ_prev) / (1 - ᾱ[t]));
  });
  return { nSteps: β.length, β, α, ᾱ, σ, variance, timesteps };
}

/**
 * β rising in equal steps (paper, section 4).
 * @throws RangeError unless 0 < betaMin ≤ betaMax < 1 and there is at least one step.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearSchedule } from "./schedule.ts";
 * const { ᾱ } = linearSchedule();
 * assert(ᾱ.length === 1000 && ᾱ[999] < 1e-4);
 * ```
 */
export function linearSchedule(options: LinearScheduleOptions = {}): Schedule {
  const { nSteps = 1000, betaMin = 1e-4, betaMax = 0.02, variance = "fixed_large" } = options;
  if (!Number.isInteger(nSteps) || nSteps < 1) {
    throw new RangeError(`A schedule has at least one step, not ${nSteps}`);
  }
  if (!(betaMin > 0 && betaMin <= betaMax && betaMax < 1)) {
    throw new RangeError(`β must satisfy 0 < betaMin ≤ betaMax < 1, not ${betaMin} and ${betaMax}`);
  }
  const step = nSteps > 1 ? (betaMax - betaMin) / (nSteps - 1) : 0;
  const β = Float64Array.from({ length: nSteps }, (_, t) => betaMin + t * step);
  return fromBetas(β, Int32Array.from(β.keys()), variance);
}

/**
 * A shorter schedule over evenly spaced steps of another, with the same ᾱ there (Nichol & Dhariwal 2021, section 4).
 * @throws RangeError unless 1 ≤ nSteps ≤ the schedule's.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearSchedule, respace } from "./schedule.ts";
 * const { timesteps, variance } = respace(linearSchedule(), 4);
 * assert(timesteps.join() === "249,499,749,999" && variance === "fixed_small");
 * ```
 */
export function respace(schedule: Schedule, nSteps: number, options: RespaceOptions = {}): Schedule {
  const T = schedule.nSteps;
  if (!Number.isInteger(nSteps) || nSteps < 1 || nSteps > T) {
    throw new RangeError(`A schedule of ${T} steps has from 1 to ${T} of them, not ${nSteps}`);
  }
  const { variance = nSteps < T ? "fixed_small" : schedule.variance } = options;
  if (nSteps === T) return fromBetas(schedule.β, schedule.timesteps, variance);
  const at = Int32Array.from({ length: nSteps }, (_, i) => Math.round((i + 1) * T / nSteps) - 1);
  const β = Float64Array.from(at, (t, i) => {
    const between = schedule.α.subarray(i > 0 ? at[i - 1] + 1 : 0, t + 1);
    return 1 - between.reduce((product, α) => product * α, 1);
  });
  return fromBetas(β, at.map((t) => schedule.timesteps[t]), variance);
}
