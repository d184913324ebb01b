/** Diffusers' `scheduler_config.json` as a process, levels and a sampler of ours, or refused by its field. */
import * as v from "npm:valibot@1.5.0";
import { COUNT, requireSchema } from "../../../core/mod.ts";
import { betaSchedule, linearSchedule, type Schedule, type Variance } from "../../ddpm/mod.ts";
import { CLEAN, levels, type Spacing } from "../levels.ts";
import type { NoiseLevel, Prediction } from "../parametrisation.ts";
import { type Process, vp } from "../process.ts";
import { ddim } from "../samplers/ddim.ts";
import { ddpm } from "../samplers/ddpm.ts";
import type { WalkOptions } from "../sampling.ts";
import { cosineSchedule, scaledLinearSchedule, sigmoidSchedule, zeroTerminalSnr } from "../schedules.ts";

/** The schedulers that are read and written. */
export type SchedulerClass = "DDPMScheduler" | "DDIMScheduler";

/** The fields of a `scheduler_config.json`, with Diffusers' names. */
export interface SchedulerConfig {
  /** Which scheduler it is. */
  _class_name: SchedulerClass;
  /** Steps of the schedule. */
  num_train_timesteps: number;
  /** β of the first step. */
  beta_start: number;
  /** β of the last step. */
  beta_end: number;
  /** How β goes from one to the other. */
  beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2" | "sigmoid";
  /** Each β, in place of those three; or null. */
  trained_betas: number[] | null;
  /** What the network says. */
  prediction_type: "epsilon" | "sample" | "v_prediction";
  /** Whether x̂₀ is clamped. */
  clip_sample: boolean;
  /** How far from 0. */
  clip_sample_range: number;
  /** Whether x̂₀ is clamped to its own quantile; with `sample_max_value` 1 that is from −1 to 1. */
  thresholding: boolean;
  /** The quantile. */
  dynamic_thresholding_ratio: number;
  /** The most that the quantile is taken for; 1. */
  sample_max_value: number;
  /** How steps are spaced, where there are fewer. */
  timestep_spacing: "leading" | "linspace" | "trailing";
  /** Added to the steps of `leading`. */
  steps_offset: number;
  /** Whether the last step is pure noise. */
  rescale_betas_zero_snr: boolean;
  /** Of DDPMScheduler: the variance of the noise of a step. */
  variance_type: "fixed_small" | "fixed_small_log" | "fixed_large" | "learned_range";
  /** Of DDIMScheduler: whether the last step ends without noise, not at the first step's. */
  set_alpha_to_one: boolean;
}

/** Diffusers' defaults. */
const DEFAULTS: Readonly<SchedulerConfig> = {
  _class_name: "DDPMScheduler",
  num_train_timesteps: 1000,
  beta_start: 1e-4,
  beta_end: 0.02,
  beta_schedule: "linear",
  trained_betas: null,
  prediction_type: "epsilon",
  clip_sample: true,
  clip_sample_range: 1,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
  timestep_spacing: "leading",
  steps_offset: 0,
  rescale_betas_zero_snr: false,
  variance_type: "fixed_small",
  set_alpha_to_one: true,
};

/** Fields that one scheduler has and the other has not. */
const FIELD_OF: Readonly<Record<string, SchedulerClass>> = {
  variance_type: "DDPMScheduler",
  set_alpha_to_one: "DDIMScheduler",
};

/** One of some names, said so in errors. */
const oneOf = <const T extends readonly string[]>(names: T) =>
  v.picklist(names, names.map((name) => `"${name}"`).join(", ").replace(/, ("\w+")$/, " or $1"));
const above0 = v.pipe(v.number(), v.gtValue(0, "a number above 0"));
const share = v.pipe(v.number(), v.gtValue(0, "a number from 0 to 1"), v.ltValue(1, "a number from 0 to 1"));

const SCHEMA: v.GenericSchema<unknown, SchedulerConfig> = v.strictObject({
  _class_name: oneOf(["DDPMScheduler", "DDIMScheduler"]),
  num_train_timesteps: v.pipe(COUNT, v.minValue(1, "a number of at least 1")),
  beta_start: share,
  beta_end: share,
  beta_schedule: oneOf(["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"]),
  trained_betas: v.nullable(v.array(v.number())),
  prediction_type: oneOf(["epsilon", "sample", "v_prediction"]),
  clip_sample: v.boolean(),
  clip_sample_range: above0,
  thresholding: v.boolean(),
  dynamic_thresholding_ratio: share,
  sample_max_value: above0,
  timestep_spacing: oneOf(["leading", "linspace", "trailing"]),
  steps_offset: COUNT,
  rescale_betas_zero_snr: v.boolean(),
  variance_type: oneOf(["fixed_small", "fixed_small_log", "fixed_large", "learned_range"]),
  set_alpha_to_one: v.boolean(),
});

/** What a field must be beside others, for our samplers to do what Diffusers' scheduler does. */
const TOGETHER: readonly [
  field: keyof SchedulerConfig,
  must: string,
  fits: (c: SchedulerConfig) => boolean,
][] = [
  [
    "sample_max_value",
    "at most 1 where there is thresholding",
    (c) => !c.thresholding || c.sample_max_value <= 1,
  ],
  [
    "timestep_spacing",
    '"leading" or "trailing" in a DDIMScheduler, whose steps of "linspace" end elsewhere than the next begin',
    (c) => c._class_name !== "DDIMScheduler" || c.timestep_spacing !== "linspace",
  ],
  [
    "set_alpha_to_one",
    "true where steps_offset is 0, as the last step else ends where it begins",
    (c) => c.set_alpha_to_one || c.steps_offset > 0 || c.timestep_spacing !== "leading",
  ],
  [
    "variance_type",
    '"fixed_small" where the last step is not 0, for which Diffusers adds noise to the finished image',
    (c) =>
      c._class_name !== "DDPMScheduler" || c.variance_type.startsWith("fixed_small") ||
      (c.timestep_spacing !== "trailing" && c.steps_offset === 0),
  ],
  [
    "trained_betas",
    "null or a list of num_train_timesteps numbers",
    (c) => c.trained_betas === null || c.trained_betas.length === c.num_train_timesteps,
  ],
  ["beta_end", "at least beta_start", (c) => c.beta_end >= c.beta_start],
];

/**
 * The whole config of a `scheduler_config.json` of Diffusers, v0.1 to 0.42.
 * @param json what the file has; what Diffusers notes for itself (`_diffusers_version`, …) is passed over
 * @param what names it in errors; default `scheduler_config.json`
 * @throws Error that names the field and its value: a scheduler that is not known, a field of none, or a value that no
 *   sampler of ours does as Diffusers' scheduler.
 */
export function readSchedulerConfig(json: unknown, what = "scheduler_config.json"): SchedulerConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new Error(`${what} is an object, not ${JSON.stringify(json)}`);
  }
  const given = Object.fromEntries(
    Object.entries(json).filter(([field]) => field === "_class_name" || !field.startsWith("_")),
  );
  // Of the first versions: how tensors are held, and what prediction_type was called.
  delete given.tensor_format;
  if (given.timestep_values === null) delete given.timestep_values;
  if (typeof given.predict_epsilon === "boolean") {
    given.prediction_type ??= given.predict_epsilon ? "epsilon" : "sample";
    delete given.predict_epsilon;
  }
  const config = requireSchema(SCHEMA, { ...DEFAULTS, ...given }, what);
  for (const [name, owner] of Object.entries(FIELD_OF)) {
    const field = name as keyof SchedulerConfig;
    if (owner === config._class_name || config[field] === DEFAULTS[field]) continue;
    throw new Error(`${what}: "${field}" is of ${owner}, not of ${config._class_name}`);
  }
  for (const [field, must, fits] of TOGETHER) {
    if (!fits(config)) {
      throw new Error(`${what}: "${field}" is ${JSON.stringify(config[field])}, and must be ${must}`);
    }
  }
  return config;
}

/** A config as Diffusers' file has it: without the fields of the other scheduler. */
export function toSchedulerJson(config: SchedulerConfig, version: string): Record<string, unknown> {
  const fields = Object.entries(config).filter(([field]) =>
    (FIELD_OF[field] ?? config._class_name) === config._class_name
  );
  return { ...Object.fromEntries(fields), _diffusers_version: version };
}

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

/** What a scheduler does, by our names. */
export interface Scheduler {
  /** Its config, whole. */
  config: SchedulerConfig;
  /** The schedule of its β. */
  schedule: Schedule;
  /** How images become noise. */
  process: Process;
  /** What the network says. */
  prediction: Prediction;
  /** Whether the network says where the variance lies, too. */
  learnedRange: boolean;
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
  const c = readSchedulerConfig(config, "scheduler"), schedule = scheduleOf(c), process = vp(schedule);
  const learnedRange = c._class_name === "DDPMScheduler" && c.variance_type === "learned_range";
  const variance = c.variance_type === "fixed_small_log" ? "fixed_small" : c.variance_type;
  const bound = c.thresholding ? 1 : c.clip_sample_range;
  return {
    config: c,
    schedule,
    process,
    prediction: c.prediction_type,
    learnedRange,
    sampling: (steps) => ({
      levels: c._class_name === "DDPMScheduler"
        ? ddpmLevels(c, process, steps)
        : ddimLevels(c, process, steps),
      sampler: c._class_name === "DDPMScheduler" ? ddpm({ variance }) : ddim(),
      clip: c.thresholding || c.clip_sample ? [-bound, bound] : undefined,
    }),
  };
}

/** The nearest whole number, of two the even one: as NumPy rounds. */
function roundToEven(x: number): number {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}

/** The levels at whole steps of the schedule, moved by the offset, without the clean one. */
function noisy(c: SchedulerConfig, process: Process, steps: number): NoiseLevel[] {
  const spacing: Spacing = c.timestep_spacing, offset = spacing === "leading" ? c.steps_offset : 0;
  const times = levels(process, steps, { spacing }).slice(0, -1).map(({ t }) => roundToEven(t) + offset);
  if (times[0] >= c.num_train_timesteps) {
    throw new RangeError(
      `${steps} steps and an offset of ${offset} begin at step ${times[0]} of ${c.num_train_timesteps}`,
    );
  }
  return times.map((t) => process.at(t));
}

/** DDPM's levels: each step ends where the next begins. */
function ddpmLevels(c: SchedulerConfig, process: Process, steps: number): NoiseLevel[] {
  return [...noisy(c, process, steps), CLEAN];
}

/** DDIM's levels, whose steps are all of T/n in Diffusers. */
function ddimLevels(c: SchedulerConfig, process: Process, steps: number): NoiseLevel[] {
  if (c.timestep_spacing === "trailing" && c.num_train_timesteps % steps !== 0) {
    throw new RangeError(`trailing steps of a DDIMScheduler divide ${c.num_train_timesteps}, not ${steps}`);
  }
  return [...noisy(c, process, steps), c.set_alpha_to_one ? CLEAN : process.at(0)];
}

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
    ...straight ? { beta_start: β[0], beta_end: β[nSteps - 1] } : { trained_betas: Array.from(β) },
    prediction_type: prediction,
    clip_sample: clip !== null,
    clip_sample_range: clip ?? 1,
    ...variance && { variance_type: variance },
  }, "schedulerConfig");
}
