/** The levels that a sampler goes through, from much noise to none. */
import type { NoiseLevel } from "./parametrisation.ts";
import { levelOf, type Process } from "./process.ts";
import { linspace } from "./schedules.ts";

/**
 * How levels are spaced: evenly in time, by Diffusers' names (Lin et al. 2024, table 2), or evenly in σ^(1/ρ) (`karras`;
 * Karras et al. 2022, eq. 5) or log σ (`exponential`) of σ/α.
 */
export type Spacing = "leading" | "linspace" | "trailing" | "karras" | "exponential";

/** Options of {@link levels}. */
export interface LevelsOptions {
  /** Default `trailing`, whose first level is the process's last, as noise is. */
  spacing?: Spacing;
  /** Where to end: without noise, or at the process's least; default `zero`. */
  final?: "zero" | "sigma_min";
  /** σ/α of each level is multiplied by this, as large images need (Esser et al. 2024, eq. 23); default 1. */
  shift?: number;
  /** Least σ/α of `karras` and `exponential`; default the process's. */
  sigmaMin?: number;
  /** Largest σ/α of `karras` and `exponential`; default the process's. */
  sigmaMax?: number;
  /** ρ of `karras`: the larger, the more of the steps are where there is little noise; default 7. */
  rho?: number;
}

/**
 * Evenly spaced whole timesteps of a schedule, falling, as Diffusers spaces them; those of `linspace` may lie between
 * two steps.
 */
function timesteps(T: number, n: number, spacing: "leading" | "linspace" | "trailing"): number[] {
  const i = Array.from({ length: n }, (_, i) => i);
  if (spacing === "leading") return i.map((i) => (n - 1 - i) * Math.floor(T / n));
  if (spacing === "trailing") return i.map((i) => Math.round(T - i * T / n) - 1);
  return linspace(T - 1, 0, n);
}

/** Evenly spaced times of a process from 0 on. */
function times([least, most]: readonly [number, number], n: number, spacing: Spacing): number[] {
  if (spacing === "linspace") return linspace(most, least, n);
  const behind = spacing === "leading" ? 1 : 0;
  return Array.from({ length: n }, (_, i) => Math.max(least, most * (n - i - behind) / n));
}

/** σ/α in equal steps of its ρth root. */
function karras(max: number, min: number, n: number, ρ: number): number[] {
  return linspace(max ** (1 / ρ), min ** (1 / ρ), n).map((root) => root ** ρ);
}

/** σ/α in equal steps of its logarithm. */
function exponential(max: number, min: number, n: number): number[] {
  return linspace(Math.log(max), Math.log(min), n).map(Math.exp);
}

/** An image without noise. */
export const CLEAN: NoiseLevel = { α: 1, σ: 0, t: 0 };

/**
 * The levels that n steps of a sampler go through: n + 1, with ever less noise. Diffusers' DPM-Solver and UniPC
 * schedulers take n + 1 steps of `leading` or `linspace` and leave the last one out.
 * @param process of the network
 * @param n steps, at least 1; at most as many as the process has, and one fewer where the last level is its least
 * @throws RangeError for options outside their ranges, or for sigmaMax left out where the process ends in pure noise.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule } from "../../mod.ts";
 * const process = diffusion.vp(linearSchedule());
 * assert(diffusion.levels(process, 4).map(({ t }) => t).join() === "999,749,499,249,0");
 * const [first] = diffusion.levels(process, 10, { spacing: "karras", sigmaMax: 80 });
 * assert(Math.abs(first.σ / first.α - 80) < 1e-9);
 * ```
 */
export function levels(process: Process, n: number, options: LevelsOptions = {}): NoiseLevel[] {
  const { spacing = "trailing", final = "zero", shift = 1, rho = 7 } = options;
  const most = (process.steps ?? Infinity) - (final === "zero" ? 0 : 1);
  if (!Number.isInteger(n) || n < 1 || n > most) {
    throw new RangeError(`levels: n is a whole number from 1 to ${most}, not ${n}`);
  }
  if (!(shift > 0 && shift < Infinity)) throw new RangeError(`levels: shift is over 0, not ${shift}`);
  if (!(rho > 0 && rho < Infinity)) throw new RangeError(`levels: rho is over 0, not ${rho}`);
  if (final !== "zero" && final !== "sigma_min") {
    throw new RangeError(`levels: final is zero or sigma_min, not ${final}`);
  }
  const shifted = (at: NoiseLevel) => shift === 1 ? at : levelOf(process, shift * at.σ / at.α);
  if (final === "zero") return [...spaced(process, n, spacing, options, rho).map(shifted), CLEAN];
  // Trailing times end before the least one, the others at it.
  const path = spaced(process, spacing === "trailing" ? n : n + 1, spacing, options, rho);
  return (spacing === "trailing" ? [...path, process.at(process.times[0])] : path).map(shifted);
}

/** The n levels at which a network is asked, before they are shifted. */
function spaced(
  process: Process,
  n: number,
  spacing: Spacing,
  options: LevelsOptions,
  ρ: number,
): NoiseLevel[] {
  if (spacing === "leading" || spacing === "linspace" || spacing === "trailing") {
    const at = process.steps ? timesteps(process.steps, n, spacing) : times(process.times, n, spacing);
    return at.map((time) => process.at(time));
  }
  if (spacing !== "karras" && spacing !== "exponential") {
    throw new RangeError(
      `levels: spacing is leading, linspace, trailing, karras or exponential, not ${spacing}`,
    );
  }
  const [least, most] = process.times.map((time) => process.at(time));
  const { sigmaMin = least.σ / least.α, sigmaMax = most.σ / most.α } = options;
  if (!(sigmaMin > 0 && sigmaMin <= sigmaMax && sigmaMax < Infinity)) {
    throw new RangeError(
      `levels: 0 < sigmaMin ≤ sigmaMax < Infinity for ${spacing} spacing, not ${sigmaMin} and ${sigmaMax}`,
    );
  }
  const ratios = spacing === "karras" ? karras(sigmaMax, sigmaMin, n, ρ) : exponential(sigmaMax, sigmaMin, n);
  return ratios.map((ratio) => levelOf(process, ratio));
}
