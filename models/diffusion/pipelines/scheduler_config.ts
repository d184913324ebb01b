/** Diffusers' `scheduler_config.json`: each field of each scheduler works, or is refused by its name. */
import * as v from "npm:valibot@1.5.0";
import { COUNT, requireSchema } from "../../../core/mod.ts";

/** The schedulers of Diffusers that are read and written. */
export type SchedulerClass =
  | "DDPMScheduler"
  | "DDIMScheduler"
  | "PNDMScheduler"
  | "EulerDiscreteScheduler"
  | "EulerAncestralDiscreteScheduler"
  | "HeunDiscreteScheduler"
  | "LMSDiscreteScheduler"
  | "DPMSolverMultistepScheduler"
  | "UniPCMultistepScheduler"
  | "EDMEulerScheduler"
  | "EDMDPMSolverMultistepScheduler";

/** The fields of a `scheduler_config.json`, with Diffusers' names; those that a scheduler lacks have no meaning for it. */
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
  /** What the network says; of EDM's, EDM's own. */
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
  /** The variance of the noise of a step of DDPM. */
  variance_type: "fixed_small" | "fixed_small_log" | "fixed_large" | "learned_range" | null;
  /** Whether the last step ends without noise, not at the first step's. */
  set_alpha_to_one: boolean;
  /** Whether PNDM begins without Runge and Kutta's steps. */
  skip_prk_steps: boolean;
  /** Whether levels are spaced evenly in σ^(1/ρ). */
  use_karras_sigmas: boolean;
  /** Whether levels are spaced evenly in log σ. */
  use_exponential_sigmas: boolean;
  /** Where the levels end. */
  final_sigmas_type: "zero" | "sigma_min";
  /** Order of DPM-Solver and UniPC. */
  solver_order: number;
  /** Whether DPM-Solver adds noise. */
  algorithm_type: "dpmsolver++" | "sde-dpmsolver++";
  /** The solver's formula: `midpoint` of DPM-Solver, `bh2` of UniPC. */
  solver_type: "midpoint" | "bh2";
  /** EDM's least σ; null of the others. */
  sigma_min: number | null;
  /** EDM's largest σ; null of the others. */
  sigma_max: number | null;
  /** Standard deviation of the images' pixels, of EDM. */
  sigma_data: number;
  /** ρ of EDM's levels. */
  rho: number;
}

/** Diffusers' defaults, where no scheduler has its own. */
const DEFAULTS: Readonly<SchedulerConfig> = {
  _class_name: "DDPMScheduler",
  num_train_timesteps: 1000,
  beta_start: 1e-4,
  beta_end: 0.02,
  beta_schedule: "linear",
  trained_betas: null,
  prediction_type: "epsilon",
  clip_sample: false,
  clip_sample_range: 1,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
  timestep_spacing: "linspace",
  steps_offset: 0,
  rescale_betas_zero_snr: false,
  variance_type: null,
  set_alpha_to_one: true,
  skip_prk_steps: false,
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  final_sigmas_type: "zero",
  solver_order: 2,
  algorithm_type: "dpmsolver++",
  solver_type: "midpoint",
  sigma_min: null,
  sigma_max: null,
  sigma_data: 0.5,
  rho: 7,
};

type Fields = (keyof SchedulerConfig)[];
const BETAS: Fields = ["num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"];
const STEPS: Fields = [...BETAS, "prediction_type", "timestep_spacing", "steps_offset"];
const THRESHOLDING: Fields = ["thresholding", "dynamic_thresholding_ratio", "sample_max_value"];
const CLIP: Fields = ["clip_sample", "clip_sample_range", ...THRESHOLDING];
const SPACED: Fields = ["use_karras_sigmas", "use_exponential_sigmas"];
const SOLVER: Fields = ["solver_order", "solver_type", "final_sigmas_type", ...THRESHOLDING];
const EDM: Fields = [
  "num_train_timesteps",
  "prediction_type",
  "sigma_min",
  "sigma_max",
  "sigma_data",
  "rho",
  "final_sigmas_type",
];
/** Fields of Diffusers with the only value that our samplers do; a network that was trained does not depend on them. */
const ONLY: Readonly<Record<string, unknown>> = {
  interpolation_type: "linear",
  timestep_type: "discrete",
  use_beta_sigmas: false,
  use_lu_lambdas: false,
  use_flow_sigmas: false,
  flow_shift: 1,
  lower_order_final: true,
  euler_at_final: false,
  lambda_min_clipped: "-Infinity",
  use_dynamic_shifting: false,
  time_shift_type: "exponential",
  shift_terminal: null,
  predict_x0: true,
  disable_corrector: [],
  solver_p: null,
  sigma_schedule: "karras",
};

/** What a scheduler's file has: its fields, those with one value alone, and its own defaults. */
interface Kind {
  fields: Fields;
  only?: string[];
  usual?: Partial<SchedulerConfig>;
}

const ANCESTRAL: Kind = { fields: [...STEPS, "rescale_betas_zero_snr"] };
const DPM_ONLY = ["lower_order_final", "euler_at_final"];
const KINDS: Readonly<Record<SchedulerClass, Kind>> = {
  DDPMScheduler: {
    fields: [...STEPS, ...CLIP, "rescale_betas_zero_snr", "variance_type"],
    usual: { clip_sample: true, timestep_spacing: "leading", variance_type: "fixed_small" },
  },
  DDIMScheduler: {
    fields: [...STEPS, ...CLIP, "rescale_betas_zero_snr", "set_alpha_to_one"],
    usual: { clip_sample: true, timestep_spacing: "leading" },
  },
  PNDMScheduler: {
    fields: [...STEPS, "skip_prk_steps", "set_alpha_to_one"],
    usual: { timestep_spacing: "leading", set_alpha_to_one: false },
  },
  EulerDiscreteScheduler: {
    fields: [...ANCESTRAL.fields, ...SPACED, "sigma_min", "sigma_max", "final_sigmas_type"],
    only: ["interpolation_type", "timestep_type", "use_beta_sigmas"],
  },
  EulerAncestralDiscreteScheduler: ANCESTRAL,
  HeunDiscreteScheduler: {
    fields: [...STEPS, ...SPACED, "clip_sample", "clip_sample_range"],
    only: ["use_beta_sigmas"],
    usual: { beta_start: 0.00085, beta_end: 0.012 },
  },
  LMSDiscreteScheduler: { fields: [...STEPS, ...SPACED], only: ["use_beta_sigmas"] },
  DPMSolverMultistepScheduler: {
    fields: [...STEPS, ...SPACED, ...SOLVER, "rescale_betas_zero_snr", "algorithm_type", "variance_type"],
    only: [
      ...DPM_ONLY,
      "use_beta_sigmas",
      "use_lu_lambdas",
      "use_flow_sigmas",
      "flow_shift",
      "lambda_min_clipped",
      "use_dynamic_shifting",
      "time_shift_type",
    ],
  },
  UniPCMultistepScheduler: {
    fields: [...STEPS, ...SPACED, ...SOLVER, "rescale_betas_zero_snr", "sigma_min", "sigma_max"],
    only: [
      "predict_x0",
      "lower_order_final",
      "disable_corrector",
      "solver_p",
      "use_beta_sigmas",
      "use_flow_sigmas",
      "flow_shift",
      "use_dynamic_shifting",
      "time_shift_type",
      "shift_terminal",
    ],
    usual: { solver_type: "bh2" },
  },
  EDMEulerScheduler: { fields: EDM, only: ["sigma_schedule"], usual: { sigma_min: 0.002, sigma_max: 80 } },
  EDMDPMSolverMultistepScheduler: {
    fields: [...EDM, ...SOLVER, "algorithm_type"],
    only: ["sigma_schedule", ...DPM_ONLY],
    usual: { sigma_min: 0.002, sigma_max: 80 },
  },
};

/** One of some names, said so in errors. */
const oneOf = <const T extends readonly string[]>(names: T) =>
  v.picklist(names, names.map((name) => `"${name}"`).join(", ").replace(/, ("\w+")$/, " or $1"));
const above0 = v.pipe(v.number(), v.gtValue(0, "a number above 0"));
const share = v.pipe(v.number(), v.gtValue(0, "a number from 0 to 1"), v.ltValue(1, "a number from 0 to 1"));

const SCHEMA: v.GenericSchema<unknown, SchedulerConfig> = v.strictObject({
  _class_name: oneOf(Object.keys(KINDS) as SchedulerClass[]),
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
  variance_type: v.nullable(oneOf(["fixed_small", "fixed_small_log", "fixed_large", "learned_range"])),
  set_alpha_to_one: v.boolean(),
  skip_prk_steps: v.boolean(),
  use_karras_sigmas: v.boolean(),
  use_exponential_sigmas: v.boolean(),
  final_sigmas_type: oneOf(["zero", "sigma_min"]),
  solver_order: v.pipe(
    COUNT,
    v.minValue(1, "a number of at least 1"),
    v.maxValue(3, "a number of at most 3"),
  ),
  algorithm_type: oneOf(["dpmsolver++", "sde-dpmsolver++"]),
  solver_type: oneOf(["midpoint", "bh2"]),
  sigma_min: v.nullable(above0),
  sigma_max: v.nullable(above0),
  sigma_data: above0,
  rho: above0,
});

const ofDdpm = (c: SchedulerConfig) => c._class_name === "DDPMScheduler";
const ofDdim = (c: SchedulerConfig) => c._class_name === "DDIMScheduler";
const ofPndm = (c: SchedulerConfig) => c._class_name === "PNDMScheduler";
const ofEdm = (c: SchedulerConfig) => c._class_name.startsWith("EDM");
/** Whether levels are spaced by σ, not by time. */
const bySigma = (c: SchedulerConfig) => c.use_karras_sigmas || c.use_exponential_sigmas;
/** Whether it is one of those that keep x/α. */
const inSigma = (c: SchedulerConfig) => /^(Euler|Heun|LMS)/.test(c._class_name);

/** What a field must be beside others, for our samplers to do what Diffusers' scheduler does. */
const RULES: readonly [field: keyof SchedulerConfig, must: string, fits: (c: SchedulerConfig) => boolean][] =
  [
    [
      "sample_max_value",
      "at most 1 where there is thresholding",
      (c) => !c.thresholding || c.sample_max_value <= 1,
    ],
    [
      "timestep_spacing",
      '"leading" or "trailing" in a DDIMScheduler and a PNDMScheduler, whose steps of "linspace" end elsewhere than the next begin',
      (c) => !(ofDdim(c) || ofPndm(c)) || c.timestep_spacing !== "linspace",
    ],
    ["timestep_spacing", '"leading" or "linspace"', (c) => !inSigma(c) || c.timestep_spacing !== "trailing"],
    [
      "timestep_spacing",
      '"linspace" where levels are spaced by σ',
      (c) => !(inSigma(c) && bySigma(c)) || c.timestep_spacing === "linspace",
    ],
    ["steps_offset", "0", (c) => ofDdpm(c) || ofDdim(c) || c.steps_offset === 0],
    ["rescale_betas_zero_snr", "false", (c) => ofDdpm(c) || ofDdim(c) || !c.rescale_betas_zero_snr],
    [
      "set_alpha_to_one",
      "true where steps_offset is 0, as the last step else ends where it begins",
      (c) => !ofDdim(c) || c.set_alpha_to_one || c.steps_offset > 0 || c.timestep_spacing !== "leading",
    ],
    ["set_alpha_to_one", "false in a PNDMScheduler", (c) => !ofPndm(c) || !c.set_alpha_to_one],
    [
      "variance_type",
      '"fixed_small" where the last step is not 0, for which Diffusers adds noise to the finished image',
      (c) =>
        !ofDdpm(c) || (c.variance_type ?? "").startsWith("fixed_small") ||
        (c.timestep_spacing !== "trailing" && c.steps_offset === 0),
    ],
    ["variance_type", "one of those four", (c) => !ofDdpm(c) || c.variance_type !== null],
    ["variance_type", "null", (c) => ofDdpm(c) || c.variance_type === null],
    ["prediction_type", '"epsilon"', (c) => !(ofPndm(c) || ofEdm(c)) || c.prediction_type === "epsilon"],
    [
      "use_exponential_sigmas",
      "false where use_karras_sigmas is true",
      (c) => !(c.use_karras_sigmas && c.use_exponential_sigmas),
    ],
    [
      "final_sigmas_type",
      '"zero", but in DPM-Solver and UniPC of "linspace"',
      (c) =>
        c.final_sigmas_type === "zero" ||
        (/^(DPM|UniPC)/.test(c._class_name) && c.timestep_spacing === "linspace" && !bySigma(c)),
    ],
    [
      "solver_order",
      '2 of "sde-dpmsolver++"',
      (c) => c.algorithm_type !== "sde-dpmsolver++" || c.solver_order === 2,
    ],
    ["solver_type", '"bh2"', (c) => c._class_name !== "UniPCMultistepScheduler" || c.solver_type === "bh2"],
    [
      "solver_type",
      '"midpoint"',
      (c) => c._class_name === "UniPCMultistepScheduler" || c.solver_type === "midpoint",
    ],
    ["sigma_min", "null", (c) => ofEdm(c) || c.sigma_min === null],
    ["sigma_max", "null", (c) => ofEdm(c) || c.sigma_max === null],
    [
      "sigma_min",
      "a number above 0 and below sigma_max",
      (c) => !ofEdm(c) || (c.sigma_min ?? 0) < (c.sigma_max ?? 0),
    ],
    [
      "trained_betas",
      "null or a list of num_train_timesteps numbers",
      (c) => c.trained_betas === null || c.trained_betas.length === c.num_train_timesteps,
    ],
    ["beta_end", "at least beta_start", (c) => c.beta_end >= c.beta_start],
  ];

/** The fields of a file, without what Diffusers notes for itself and as they would be called today. */
function fieldsOf(json: object): Record<string, unknown> {
  const given = Object.fromEntries(
    Object.entries(json).filter(([field, value]) =>
      value !== undefined && (field === "_class_name" || !field.startsWith("_"))
    ),
  );
  delete given.tensor_format; // how the first versions held tensors
  if (given.timestep_values === null) delete given.timestep_values;
  if (typeof given.predict_epsilon === "boolean") {
    given.prediction_type ??= given.predict_epsilon ? "epsilon" : "sample";
    delete given.predict_epsilon;
  }
  for (const field of ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]) {
    if (given[field] === null) given[field] = false;
  }
  return given;
}

/**
 * The whole config of a `scheduler_config.json` of Diffusers, v0.1 to 0.42.
 * @param json what the file has; what Diffusers notes for itself (`_diffusers_version`, …) is passed over
 * @param what names it in errors; default `scheduler_config.json`
 * @throws Error that names the field and its value: a scheduler that is not known, a field that it has not, or a value
 *   that no sampler of ours does as Diffusers' scheduler.
 */
export function readSchedulerConfig(json: unknown, what = "scheduler_config.json"): SchedulerConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new Error(`${what} is an object, not ${JSON.stringify(json)}`);
  }
  const given = fieldsOf(json), name = given._class_name ?? DEFAULTS._class_name;
  const kind = Object.hasOwn(KINDS, String(name)) ? KINDS[name as SchedulerClass] : undefined;
  for (const field of kind?.only ?? []) {
    if (!Object.hasOwn(given, field)) continue;
    const only = JSON.stringify(ONLY[field]), value = JSON.stringify(given[field]);
    if (value !== only) throw new Error(`${what}: "${field}" is ${value}, and must be ${only}`);
    delete given[field];
  }
  const config = requireSchema(SCHEMA, { ...DEFAULTS, ...kind?.usual, ...given }, what);
  for (const name of Object.keys(given)) {
    const field = name as keyof SchedulerConfig;
    if (field === "_class_name" || kind!.fields.includes(field)) continue;
    if (given[field] !== DEFAULTS[field]) {
      throw new Error(`${what}: ${config._class_name} has no field "${field}"`);
    }
  }
  for (const [field, must, fits] of RULES) {
    if (!fits(config)) {
      throw new Error(`${what}: "${field}" is ${JSON.stringify(config[field])}, and must be ${must}`);
    }
  }
  return config;
}

/** A config as Diffusers' file has it: with the fields of its scheduler alone. */
export function toSchedulerJson(config: SchedulerConfig, version: string): Record<string, unknown> {
  const { fields } = KINDS[config._class_name];
  const own = Object.entries(config).filter(([field]) => fields.includes(field as keyof SchedulerConfig));
  return { _class_name: config._class_name, _diffusers_version: version, ...Object.fromEntries(own) };
}

/**
 * A config as that of another scheduler, without the fields that only its own has, as Diffusers' `from_config` makes it.
 * @param json of a `scheduler_config.json`; what is no config of a known scheduler is given back as it is
 */
export function asScheduler(name: SchedulerClass, json: unknown): unknown {
  const own = (json as Partial<SchedulerConfig> | null)?._class_name ?? "";
  if (own === name || !Object.hasOwn(KINDS, own)) return json;
  const names = ({ fields, only = [] }: Kind): string[] => [...fields, ...only];
  const lost = new Set(names(KINDS[own as SchedulerClass])).difference(new Set(names(KINDS[name])));
  const shared = Object.entries(json as object).filter(([field]) => !lost.has(field));
  return { ...Object.fromEntries(shared), _class_name: name };
}
