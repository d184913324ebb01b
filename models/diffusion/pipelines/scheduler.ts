/** Diffusers' schedulers as a process, levels and a sampler of ours. */
import { betaSchedule, linearSchedule, type Schedule, type Variance } from "../../ddpm/mod.ts";
import type { DenoiserOptions } from "../denoiser.ts";
import { CLEAN, levels, type Spacing } from "../levels.ts";
import type { NoiseLevel, Prediction } from "../parametrisation.ts";
import { type Process, ve, vp } from "../process.ts";
import { ddim } from "../samplers/ddim.ts";
import { ddpm } from "../samplers/ddpm.ts";
import { dpmSolver, dpmSolverSde } from "../samplers/dpm_solver.ts";
import { euler, eulerAncestral } from "../samplers/euler.ts";
import { heun } from "../samplers/heun.ts";
import { lms } from "../samplers/lms.ts";
import { pndm } from "../samplers/pndm.ts";
import { uniPc } from "../samplers/unipc.ts";
import type { Sampler, WalkOptions } from "../sampling.ts";
import { cosineSchedule, scaledLinearSchedule, sigmoidSchedule, zeroTerminalSnr } from "../schedules.ts";
import { readSchedulerConfig, type SchedulerClass, type SchedulerConfig } from "./scheduler_config.ts";

/** β of a config. */
function scheduleOf(c: SchedulerConfig): Schedule {
  const between = { nSteps: c.num_train_timesteps, betaMin: c.beta_start, betaMax: c.beta_end };
  const schedule = c.trained_betas !== null
    ? betaSchedule(Float64Array.from(c.trained_betas))
    : c.beta_schedule === "linear"
    ? linearSchedule(between)
    : c.beta_schedule === "scaled_linear"
    ? scaledLinearSchedule(between)
    : c.beta_schedule === "sigmoid"
    ? sigmoidSchedule(between)
    : cosineSchedule({ nSteps: c.num_train_timesteps });
  return c.rescale_betas_zero_snr ? zeroTerminalSnr(schedule) : schedule;
}

/** What a scheduler does, by our names; what a denoiser is made with among it. */
export interface Scheduler extends DenoiserOptions {
  /** Its config, whole. */
  config: SchedulerConfig;
  /** How images become noise. */
  process: Process;
  /** What the network says. */
  prediction: Prediction;
  /**
   * The options of {@link sample} with which it draws.
   * @param steps a whole number from 1 to the schedule's steps; of `trailing` DDIM one that divides them
   * @throws RangeError for other steps.
   */
  sampling(steps: number): Pick<WalkOptions, "levels" | "sampler" | "clip">;
}

/**
 * What a scheduler of Diffusers does, by our names.
 * @param config fields that differ from Diffusers' defaults, which are those of its class
 * @throws Error as {@link readSchedulerConfig}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion } from "../../../mod.ts";
 * const { sampling } = diffusion.scheduler({ _class_name: "DDIMScheduler", beta_schedule: "squaredcos_cap_v2" });
 * assert(sampling(4).levels.map(({ t }) => t).join() === "750,500,250,0,0");
 * ```
 */
export function scheduler(config: Partial<SchedulerConfig>): Scheduler {
  const c = readSchedulerConfig(config, "scheduler"), edm = c._class_name.startsWith("EDM");
  const process = edm ? ve({ sigmaMin: c.sigma_min!, sigmaMax: c.sigma_max! }) : vp(scheduleOf(c));
  const bound = c.thresholding ? 1 : c.clip_sample_range;
  return {
    config: c,
    process,
    prediction: edm ? "edm" : c.prediction_type,
    sigmaData: c.sigma_data,
    learnedRange: c.variance_type === "learned_range",
    sampling: (steps) => ({
      levels: levelsOf(c, process, steps),
      sampler: samplerOf(c, process),
      clip: c.thresholding || c.clip_sample ? [-bound, bound] : undefined,
    }),
  };
}

/** The sampler of a scheduler. */
function samplerOf(c: SchedulerConfig, process: Process): Sampler {
  const multistep = () =>
    c.algorithm_type === "sde-dpmsolver++" ? dpmSolverSde() : dpmSolver({ order: order(c) });
  const samplers: Record<SchedulerClass, () => Sampler> = {
    DDPMScheduler: () =>
      ddpm({ variance: c.variance_type === "fixed_small_log" ? "fixed_small" : c.variance_type! }),
    DDIMScheduler: () => ddim(),
    PNDMScheduler: () => pndm({ warmUp: c.skip_prk_steps ? undefined : process }),
    EulerDiscreteScheduler: () => euler(),
    EulerAncestralDiscreteScheduler: () => eulerAncestral(),
    HeunDiscreteScheduler: () => heun(),
    LMSDiscreteScheduler: () => lms(),
    DPMSolverMultistepScheduler: multistep,
    UniPCMultistepScheduler: () => uniPc({ order: order(c) }),
    EDMEulerScheduler: () => euler(),
    EDMDPMSolverMultistepScheduler: multistep,
  };
  return samplers[c._class_name]();
}

/** The order of a solver. */
const order = (c: SchedulerConfig): 1 | 2 | 3 => c.solver_order as 1 | 2 | 3;

/** The levels of a scheduler's steps. */
function levelsOf(c: SchedulerConfig, process: Process, steps: number): NoiseLevel[] {
  const spacing: Spacing = c.use_karras_sigmas
    ? "karras"
    : c.use_exponential_sigmas
    ? "exponential"
    : c.timestep_spacing;
  if (c._class_name.startsWith("EDM")) return levels(process, steps, { spacing: "karras", rho: c.rho });
  switch (c._class_name) {
    case "DDPMScheduler":
      return [...atSteps(c, process, steps), CLEAN];
    case "DDIMScheduler":
      return ddimLevels(c, process, steps);
    case "PNDMScheduler": {
      const path = levels(process, steps, { spacing });
      // It ends at the first step's noise, at which its last step already is where the spacing is leading.
      return spacing === "leading" ? path.slice(0, -1) : path.with(-1, process.at(0));
    }
    case "DPMSolverMultistepScheduler":
    case "UniPCMultistepScheduler":
      return solverLevels(c, process, steps, spacing);
    default:
      return levels(process, steps, { spacing });
  }
}

/**
 * The levels of DPM-Solver and UniPC: they leave the last of n + 1 steps out, and tell the network whole ones, of levels
 * that are spaced by σ mostly the nearest, else the one below.
 */
function solverLevels(c: SchedulerConfig, process: Process, steps: number, spacing: Spacing): NoiseLevel[] {
  const final = c.final_sigmas_type;
  if (spacing === "leading" || spacing === "linspace") {
    const path = final === "sigma_min"
      ? levels(process, steps, { spacing, final })
      : levels(process, steps + 1, { spacing }).toSpliced(steps, 1);
    return path.map((at) => at.σ > 0 ? process.at(roundToEven(at.t)) : at);
  }
  const isCosine = c.beta_schedule === "squaredcos_cap_v2" && c._class_name === "DPMSolverMultistepScheduler";
  const cut = spacing === "exponential" || spacing === "karras" && isCosine;
  const whole = (t: number) => cut ? Math.floor(t + ROUNDING) : roundToEven(t);
  return levels(process, steps, { spacing }).map((at) => ({ ...at, t: whole(at.t) }));
}

/** By how much a whole time that was computed from σ may be too small. */
const ROUNDING = 1e-6;

/** The nearest whole number, of two the even one: as NumPy rounds. */
function roundToEven(x: number): number {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}

/** The levels at whole steps of the schedule, moved by the offset, without the clean one. */
function atSteps(c: SchedulerConfig, process: Process, steps: number): NoiseLevel[] {
  const spacing: Spacing = c.timestep_spacing, offset = spacing === "leading" ? c.steps_offset : 0;
  const times = levels(process, steps, { spacing }).slice(0, -1).map(({ t }) => roundToEven(t) + offset);
  if (times[0] >= c.num_train_timesteps) {
    throw new RangeError(
      `${steps} steps and an offset of ${offset} begin at step ${times[0]} of ${c.num_train_timesteps}`,
    );
  }
  return times.map((t) => process.at(t));
}

/** DDIM's levels, whose steps are all of T/n in Diffusers. */
function ddimLevels(c: SchedulerConfig, process: Process, steps: number): NoiseLevel[] {
  if (c.timestep_spacing === "trailing" && c.num_train_timesteps % steps !== 0) {
    throw new RangeError(`trailing steps of a DDIMScheduler divide ${c.num_train_timesteps}, not ${steps}`);
  }
  return [...atSteps(c, process, steps), c.set_alpha_to_one ? CLEAN : process.at(0)];
}

/** The number of few digits that steps between two ends were reckoned from. */
const unrounded = (x: number): number => Number(x.toPrecision(15));

/** Options of {@link schedulerConfig}. */
export interface SchedulerConfigOptions {
  /** Which scheduler; default `DDPMScheduler`. */
  kind?: SchedulerClass;
  /** What the network says; default `epsilon`. */
  prediction?: SchedulerConfig["prediction_type"];
  /** How far from 0 x̂₀ is clamped to; null for not at all. Default 1. */
  clip?: number | null;
}

/**
 * The config with which Diffusers draws from a network that was trained on a schedule.
 * @throws Error for a schedule of some steps of another ({@link respace}): give the other.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule } from "../../../mod.ts";
 * const config = diffusion.schedulerConfig(linearSchedule({ nSteps: 500 }));
 * assert(config.beta_schedule === "linear" && config.num_train_timesteps === 500);
 * ```
 */
export function schedulerConfig(schedule: Schedule, options: SchedulerConfigOptions = {}): SchedulerConfig {
  const { kind = "DDPMScheduler", prediction = "epsilon", clip = 1 } = options, { β, nSteps } = schedule;
  if (schedule.timesteps.some((t, i) => t !== i)) {
    throw new Error("schedulerConfig: the schedule has some steps of another; give the other, of all steps");
  }
  const straight = β.every((b, t) =>
    Math.abs(b - (β[0] + t * (β[nSteps - 1] - β[0]) / Math.max(1, nSteps - 1))) < 1e-12
  );
  const variance: Variance | undefined = kind === "DDPMScheduler" ? schedule.variance : undefined;
  return readSchedulerConfig({
    _class_name: kind,
    num_train_timesteps: nSteps,
    ...straight
      ? { beta_start: unrounded(β[0]), beta_end: unrounded(β[nSteps - 1]) }
      : { trained_betas: Array.from(β) },
    prediction_type: prediction,
    clip_sample: clip !== null,
    clip_sample_range: clip ?? 1,
    ...variance && { variance_type: variance },
  }, "schedulerConfig");
}
