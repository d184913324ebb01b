/** Schedules of β past the lesson's linear one, by Diffusers' numbers. */
import { betaSchedule, type LinearScheduleOptions, type Schedule, type Variance } from "../ddpm/mod.ts";

/** Options of {@link cosineSchedule}. */
export interface CosineScheduleOptions {
  /** Steps, at least 1; default 1000. */
  nSteps?: number;
  /** Keeps β of the first steps from 0: s of the paper, at least 0; default 0.008. */
  offset?: number;
  /** Largest β, over 0 and at most 1; default 0.999. */
  betaMax?: number;
  /** Default `fixed_large`. */
  variance?: Variance;
}

/** @throws RangeError unless a schedule may have as many steps. */
function requireSteps(name: string, nSteps: number): void {
  if (Number.isInteger(nSteps) && nSteps >= 1) return;
  throw new RangeError(`${name}: nSteps is a whole number of at least 1, not ${nSteps}`);
}

/** The options of a schedule between two β, checked. */
function between(name: string, options: LinearScheduleOptions) {
  const { nSteps = 1000, betaMin = 1e-4, betaMax = 0.02, variance } = options;
  requireSteps(name, nSteps);
  if (!(betaMin > 0 && betaMin <= betaMax && betaMax < 1)) {
    throw new RangeError(`${name}: 0 < betaMin ≤ betaMax < 1, not ${betaMin} and ${betaMax}`);
  }
  return { nSteps, betaMin, betaMax, variance };
}

/** n numbers in equal steps, the first and last included. */
export function linspace(first: number, last: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => n > 1 ? first + (last - first) * i / (n - 1) : first);
}

/**
 * √β in equal steps, as Stable Diffusion has it (Rombach et al. 2022; Diffusers' `scaled_linear`).
 * @throws RangeError unless 0 < betaMin ≤ betaMax < 1 and there is at least one step.
 */
export function scaledLinearSchedule(options: LinearScheduleOptions = {}): Schedule {
  const { nSteps, betaMin, betaMax, variance } = between("scaledLinearSchedule", options);
  const roots = linspace(Math.sqrt(betaMin), Math.sqrt(betaMax), nSteps);
  return betaSchedule(Float64Array.from(roots, (root) => root * root), { variance });
}

/** Where a sigmoid is as good as 0 and as 1. */
const SIGMOID_END = 6;

/**
 * β along a sigmoid from −6 to 6 (Xu et al. 2022, "GeoDiff"; Diffusers' `sigmoid`).
 * @throws RangeError unless 0 < betaMin ≤ betaMax < 1 and there is at least one step.
 */
export function sigmoidSchedule(options: LinearScheduleOptions = {}): Schedule {
  const { nSteps, betaMin, betaMax, variance } = between("sigmoidSchedule", options);
  const along = linspace(-SIGMOID_END, SIGMOID_END, nSteps);
  const β = Float64Array.from(along, (x) => betaMin + (betaMax - betaMin) / (1 + Math.exp(-x)));
  return betaSchedule(β, { variance });
}

/**
 * ᾱ along a squared cosine (Nichol & Dhariwal 2021, eq. 17; Diffusers' `squaredcos_cap_v2`), which leaves more of the
 * image in the middle steps than the linear schedule.
 * @throws RangeError for options outside their ranges.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule } from "../../mod.ts";
 * assert(diffusion.cosineSchedule().ᾱ[500] > 0.45 && linearSchedule().ᾱ[500] < 0.1);
 * ```
 */
export function cosineSchedule(options: CosineScheduleOptions = {}): Schedule {
  const { nSteps = 1000, offset = 0.008, betaMax = 0.999, variance } = options;
  requireSteps("cosineSchedule", nSteps);
  if (!(offset >= 0)) throw new RangeError(`cosineSchedule: offset is at least 0, not ${offset}`);
  if (!(betaMax > 0 && betaMax <= 1)) {
    throw new RangeError(`cosineSchedule: betaMax is over 0 and at most 1, not ${betaMax}`);
  }
  const f = (t: number) => Math.cos((t / nSteps + offset) / (1 + offset) * Math.PI / 2) ** 2;
  const β = Float64Array.from({ length: nSteps }, (_, t) => Math.min(betaMax, 1 - f(t + 1) / f(t)));
  return betaSchedule(β, { variance });
}

/**
 * The schedule with its √ᾱ shifted and scaled so that the last is 0 and the first as it was: the last step is pure
 * noise, as sampling begins with (Lin et al. 2024, algorithm 1). A network that predicts ε learns nothing there; let it
 * predict v.
 * @param schedule of at least two steps
 * @throws RangeError for one of fewer.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule } from "../../mod.ts";
 * const { β, ᾱ } = diffusion.zeroTerminalSnr(linearSchedule());
 * assert(β[999] === 1 && Math.abs(ᾱ[0] - linearSchedule().ᾱ[0]) < 1e-12);
 * ```
 */
export function zeroTerminalSnr({ ᾱ, timesteps, variance }: Schedule): Schedule {
  if (ᾱ.length < 2) throw new RangeError(`zeroTerminalSnr: a schedule of at least 2 steps, not ${ᾱ.length}`);
  const first = Math.sqrt(ᾱ[0]), last = Math.sqrt(ᾱ.at(-1)!);
  const rescaled = ᾱ.map((share) => ((Math.sqrt(share) - last) * first / (first - last)) ** 2);
  const β = rescaled.map((share, t) => 1 - share / (t > 0 ? rescaled[t - 1] : 1));
  return betaSchedule(β, { timesteps, variance });
}
