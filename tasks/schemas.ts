/** What a run's files may hold: its config, and a row of metrics a line. */
import * as v from "npm:valibot@1.5.0";
import { COUNT, NUMBER, parseJson, recordOf, requireSchema } from "../core/mod.ts";
import type { MetricsRow } from "../mod.ts";
import {
  AUGMENTS,
  CLASSIFIERS,
  type ClassifyConfig,
  type EdmConfig,
  type RunConfig,
  type TrainConfig,
} from "./presets.ts";

/** A schema for each field of a config, so that none is forgotten. */
type Fields<C> = { [K in keyof Required<C>]: v.GenericSchema<unknown, C[K]> };

const POSITIVE = v.pipe(v.number(), v.safeInteger("a whole number"), v.minValue(1, "a number of at least 1"));
const NOT_NEGATIVE = v.pipe(v.number(), v.finite("a finite number"), v.minValue(0, "a number of at least 0"));
const TEXT = v.string();

const RUN: Omit<Fields<RunConfig>, "task"> = {
  preset: TEXT,
  limit: COUNT,
  testLimit: COUNT,
  batch: POSITIVE,
  epochs: POSITIVE,
  lr: NOT_NEGATIVE,
  eps: NOT_NEGATIVE,
  weightDecay: v.optional(NOT_NEGATIVE),
  beta2: v.optional(NOT_NEGATIVE),
  pctStart: v.optional(NOT_NEGATIVE),
  divFactor: v.optional(NOT_NEGATIVE),
  finalDivFactor: v.optional(NOT_NEGATIVE),
  baseMomentum: v.optional(NOT_NEGATIVE),
  maxMomentum: v.optional(NOT_NEGATIVE),
  checkpointEvery: v.optional(POSITIVE),
  mixedPrecision: v.boolean(),
  seed: COUNT,
  dataSource: v.optional(TEXT),
  dataHash: v.optional(TEXT),
};

const TRAIN: Fields<TrainConfig> = {
  ...RUN,
  task: v.literal("train"),
  size: POSITIVE,
  fit: v.picklist(["resize", "pad"]),
  channels: v.array(POSITIVE),
  layers: POSITIVE,
  groups: POSITIVE,
  headDim: POSITIVE,
  attention: v.array(v.boolean()),
  initDdpm: v.boolean(),
  steps: POSITIVE,
  betaMin: NOT_NEGATIVE,
  betaMax: NOT_NEGATIVE,
  variance: v.optional(v.picklist(["fixed_large", "fixed_small"])),
  samples: v.optional(COUNT),
  begin: v.optional(TEXT),
  beginHash: v.optional(TEXT),
};

const EDM: Fields<EdmConfig> = {
  ...RUN,
  task: v.literal("train"),
  method: v.picklist(["edm", "ect"]),
  patch: POSITIVE,
  channels: v.array(POSITIVE),
  layers: POSITIVE,
  groups: POSITIVE,
  headDim: POSITIVE,
  attention: v.array(v.boolean()),
  classDropout: NOT_NEGATIVE,
  meanLogSigma: v.pipe(v.number(), v.finite("a finite number")),
  stdLogSigma: NOT_NEGATIVE,
  warmup: COUNT,
  flat: POSITIVE,
  clip: NOT_NEGATIVE,
  averages: v.pipe(v.array(NOT_NEGATIVE), v.minLength(1, "at least one length")),
  stageBatches: v.optional(POSITIVE),
  begin: TEXT,
  beginHash: v.optional(TEXT),
  imagesBefore: v.optional(COUNT),
  sigmaData: v.optional(NOT_NEGATIVE),
  samples: COUNT,
  sampleEvery: v.optional(COUNT),
  accumulate: v.optional(POSITIVE),
  images: v.optional(TEXT),
  size: v.optional(POSITIVE),
  grey: v.optional(v.boolean()),
  classes: v.optional(v.nullable(v.boolean())),
  crop: v.optional(v.picklist(["centre", "random"])),
  flip: v.optional(v.boolean()),
  strict: v.optional(v.boolean()),
  classNames: v.optional(v.array(TEXT)),
  scoreEvery: v.optional(COUNT),
  scoreN: v.optional(POSITIVE),
};

const CLASSIFY: Fields<ClassifyConfig> = {
  ...RUN,
  task: v.literal("classify"),
  model: v.picklist(Object.keys(CLASSIFIERS) as (keyof typeof CLASSIFIERS)[]),
  drop: NOT_NEGATIVE,
  augment: v.array(v.picklist(Object.keys(AUGMENTS) as (keyof typeof AUGMENTS)[])),
  tta: v.boolean(),
  passes: v.optional(POSITIVE),
};

const CONFIGS: Record<RunConfig["task"], v.GenericSchema<unknown, RunConfig>> = {
  train: v.strictObject(TRAIN),
  classify: v.strictObject(CLASSIFY),
};
const EDM_CONFIG: v.GenericSchema<unknown, RunConfig> = v.strictObject(EDM);
/** A config of any task. */
const ANY_CONFIG = v.looseObject({
  task: v.picklist(["train", "classify"]),
  method: v.optional(v.picklist(["edm", "ect"])),
});

/** The text's value. */
function parse(text: string, what: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new Error(`${what} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** What configs of before a field was kept have had for it. */
const BEFORE = { task: "train", mixedPrecision: false };

/**
 * The config in a text; of earlier versions too.
 * @param path what to call it
 * @throws Error that names the path and each field that is wrong, missing or unknown.
 */
export function parseConfig(text: string, path: string): RunConfig {
  const value = parse(text, path);
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  const config = isObject ? { ...BEFORE, ...value } : value;
  const { task, method } = requireSchema(ANY_CONFIG, config, path);
  return requireSchema(method === undefined ? CONFIGS[task] : EDM_CONFIG, config, path);
}

/** The numbers that JSON lacks. */
const LACKING = ["NaN", "Infinity", "-Infinity"];
const VALUE = v.union([NUMBER, v.picklist(LACKING)], "a number");
const ROW = v.looseObject({ epoch: COUNT, train: v.picklist(["train", "eval"]), loss: VALUE });
const VALUES = recordOf(VALUE);

/** Rows as JSON, a line each; numbers that JSON lacks are text: `"NaN"`, `"Infinity"`. */
export function formatMetrics(rows: readonly MetricsRow[]): string {
  const lacking = (value: unknown) => typeof value === "number" && !Number.isFinite(value);
  return rows.map((row) => JSON.stringify(row, (_, x) => lacking(x) ? String(x) : x) + "\n").join("");
}

/**
 * The rows that {@link formatMetrics} wrote.
 * @param path what to call the text
 * @throws Error that names the path, the line and each field that is wrong.
 */
export function parseMetrics(text: string, path: string): MetricsRow[] {
  if (text !== "" && !text.endsWith("\n")) throw new Error(`${path} is truncated: its last line has no end`);
  return text.split("\n").slice(0, -1).map((line, i) => {
    const what = `${path}, line ${i + 1}`, row = requireSchema(ROW, parse(line, what), what);
    const { train: _, ...numbers } = row;
    requireSchema(VALUES, numbers, what);
    const values = Object.entries(row).map(([name, x]) => [name, name === "train" ? x : Number(x)]);
    return Object.fromEntries(values) as MetricsRow;
  });
}
