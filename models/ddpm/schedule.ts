/** The noise schedule (Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models"). */
/**
 * A schedule of T steps. In the paper's letters: `β[t]` the variance added at step t, `α[t]` = 1 − β[t],
 * `ᾱ[t]` = Π α, `σ[t]` = √β[t]. `timesteps[t]` is what the model is told at step t.
 */
export interface Schedule {
  readonly nSteps: number;
  readonly β: Float64Array;
  readonly α: Float64Array;
  readonly ᾱ: Float64Array;
  readonly σ: Float64Array;
  readonly timesteps: Int32Array;
}

/** Options of {@link linearSchedule}. */
export interface LinearScheduleOptions {
  /** Default 1000. */
  nSteps?: number;
  /** β of the first step; default 1e-4. */
  betaMin?: number;
  /** β of the last step; default 0.02. */
  betaMax?: number;
}

function fromBetas(β: Float64Array, timesteps: Int32Array): Schedule {
  const α = β.map((b) => 1 - b);
  let product = 1;
  const ᾱ = α.map((a) => product *= a);
  return { nSteps: β.length, β, α, ᾱ, σ: β.map(Math.sqrt), timesteps };
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
export function linearSchedule(
  { nSteps = 1000, betaMin = 1e-4, betaMax = 0.02 }: LinearScheduleOptions = {},
): Schedule {
  if (!Number.isInteger(nSteps) || nSteps < 1) {
    throw new RangeError(`A schedule has at least one step, not ${nSteps}`);
  }
  if (!(betaMin > 0 && betaMin <= betaMax && betaMax < 1)) {
    throw new RangeError(`β must satisfy 0 < betaMin ≤ betaMax < 1, not ${betaMin} and ${betaMax}`);
  }
  const step = nSteps > 1 ? (betaMax - betaMin) / (nSteps - 1) : 0;
  const β = Float64Array.from({ length: nSteps }, (_, t) => betaMin + t * step);
  return fromBetas(β, Int32Array.from(β.keys()));
}

/**
 * A shorter schedule over evenly spaced steps of another, with the same ᾱ there (Nichol & Dhariwal 2021, section 4).
 * @throws RangeError unless 1 ≤ nSteps ≤ the schedule's.
 */
export function respace(schedule: Schedule, nSteps: number): Schedule {
  const T = schedule.nSteps;
  if (!Number.isInteger(nSteps) || nSteps < 1 || nSteps > T) {
    throw new RangeError(`A schedule of ${T} steps has from 1 to ${T} of them, not ${nSteps}`);
  }
  if (nSteps === T) return schedule;
  const at = Int32Array.from({ length: nSteps }, (_, i) => Math.round((i + 1) * T / nSteps) - 1);
  const β = Float64Array.from(at, (t, i) => 1 - schedule.ᾱ[t] / (i ? schedule.ᾱ[at[i - 1]] : 1));
  return fromBetas(β, at.map((t) => schedule.timesteps[t]));
}
