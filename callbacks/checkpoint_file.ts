/** The file of a checkpoint: safetensors, with all that is no tensor as JSON in its metadata, and a checksum of both. */
import * as v from "npm:valibot@1.5.0";
import {
  type Callback,
  COUNT,
  decodeSafetensors,
  encodeSafetensors,
  fromTorch,
  type GeneratorState,
  HostArray,
  type Json,
  type Learner,
  type OptimizerState,
  recordOf,
  requireSchema,
  type SafeTensors,
  sha256,
  showJson,
  type Tensor,
  toTorch,
  writeFile,
} from "../core/mod.ts";
import { EMACB } from "./ema.ts";
import { parseJson, stringifyJson } from "./json.ts";

/** All of a checkpoint that is not a tensor. */
interface CheckpointRecord {
  /** The epoch to go on in. */
  epoch: number;
  /** Batches of its training half that are done. */
  iter: number;
  /** The shared random generator. */
  random: GeneratorState;
  /** The training loader, as it was when the epoch began. */
  order: Json;
  optimizer: Omit<OptimizerState, "tensors">;
  /** The class of the optimiser; files of before lack it. */
  optimizerClass?: string;
  /** States by {@link nameCallbacks}'s names; in files of before there were names, a list by place. */
  callbacks: Record<string, Json> | Json[];
}

const MODEL = "model.",
  OPTIMIZER = "optimizer.",
  CALLBACK = "callback.",
  GRADIENT = "gradient.";

/** What the metadata has: the format of the file, the record, and the checksum, which files of before lack. */
const FORMAT = "format", RECORD = "denoise.checkpoint", CHECKSUM = "denoise.sha256";

const GROUP = v.looseObject({
  lr: v.number(),
  momentum: v.optional(v.number()),
  betas: v.optional(v.tuple([v.number(), v.number()])),
  eps: v.optional(v.number()),
  weightDecay: v.optional(v.number()),
});
/** Any JSON, which whoever wrote it checks itself. */
const JSON_VALUE = v.custom<Json>((value) => value !== undefined, "a value");
const RECORD_SCHEMA: v.GenericSchema<unknown, CheckpointRecord> = v.strictObject({
  epoch: COUNT,
  iter: COUNT,
  random: v.strictObject({ seed: COUNT, counter: COUNT }),
  order: JSON_VALUE,
  optimizer: v.strictObject({
    step: COUNT,
    steps: v.optional(v.array(COUNT)),
    sizes: v.optional(v.array(COUNT)),
    groups: v.array(GROUP),
  }),
  optimizerClass: v.optional(v.string()),
  callbacks: v.union([v.array(JSON_VALUE), recordOf(JSON_VALUE)]),
});

/** SHA-256 of the record and of the tensors' names, kinds, shapes and bytes. */
async function checksumOf(tensors: Record<string, HostArray>, record: string): Promise<string> {
  const names = Object.keys(tensors).sort();
  const described = names.map((name) => [name, tensors[name].data.constructor.name, tensors[name].shape]);
  const parts = [new TextEncoder().encode(JSON.stringify([record, described]))];
  for (const name of names) {
    const { buffer, byteOffset, byteLength } = tensors[name].data;
    parts.push(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return await sha256(bytes);
}

/** The callbacks that have a state, by its name; a second of a name is called "Name 2". */
function nameCallbacks(
  cbs: readonly Callback[],
  nameOf = (cb: Callback) => cb.stateName,
): Map<string, Callback> {
  const named = new Map<string, Callback>();
  for (const cb of cbs) {
    if (!cb.state && !cb.stateTensors) continue;
    const name = nameOf(cb);
    let unused = name;
    for (let n = 2; named.has(unused); n++) unused = `${name} ${n}`;
    named.set(unused, cb);
  }
  return named;
}

/** Writes a checkpoint of the model, the optimiser and the callbacks' states; the file is replaced as a whole. */
export async function writeCheckpoint(
  path: string,
  learn: Learner,
  place: Omit<CheckpointRecord, "optimizer" | "optimizerClass" | "callbacks">,
): Promise<void> {
  const { tensors, ...optimizer } = learn.opt!.state();
  const callbacks: Record<string, Json> = {}, kept: Record<string, Tensor> = {};
  const keep = (prefix: string, tensors: Record<string, Tensor>) => {
    for (const [name, x] of Object.entries(tensors)) kept[prefix + name] = x;
  };
  keep(OPTIMIZER, tensors);
  const named = nameCallbacks(learn.current.cbs);
  for (const [name, cb] of named) keep(`${CALLBACK}${name}.`, cb.stateTensors?.(learn) ?? {});
  const held = new Set(Object.values(kept));
  for (const [name, { grad }] of learn.model.namedParameters()) {
    if (grad && !held.has(grad)) kept[GRADIENT + name] = grad;
  }
  const [model, rest] = await Promise.all([toTorch(learn.model.stateDict()), HostArray.fromAll(kept)]);
  const arrays: Record<string, HostArray> = {};
  for (const [name, x] of Object.entries(model)) arrays[MODEL + name] = x;
  Object.assign(arrays, rest);
  for (const [name, cb] of named) callbacks[name] = await cb.state?.(learn) ?? null;
  const record: CheckpointRecord = {
    ...place,
    optimizer,
    optimizerClass: learn.opt!.constructor.name,
    callbacks,
  };
  const text = stringifyJson(record), checksum = await checksumOf(arrays, text);
  await writeFile(path, encodeSafetensors(arrays, { [RECORD]: text, [CHECKSUM]: checksum }));
}

/** What {@link readCheckpoint} gives; its tensors are the caller's. */
export interface Checkpoint {
  record: CheckpointRecord;
  /** The model's state dict. */
  model: Record<string, Tensor>;
  /** The optimiser's tensors. */
  optimizer: Record<string, Tensor>;
  /** Gradients that stood between batches, by the parameter's name. */
  gradients: Record<string, Tensor>;
  /** States and tensors of each callback. */
  callbacks: { cb: Callback; state: Json; tensors: Record<string, Tensor> }[];
}

/** @throws Error that names the path, unless the bytes are a file of tensors. */
function decode(path: string, bytes: Uint8Array): SafeTensors {
  try {
    return decodeSafetensors(bytes);
  } catch (cause) {
    throw new Error(`${path} is broken. ${(cause as Error).message}`, { cause });
  }
}

/** @throws Error unless what was read is what was written. */
async function requireWhole(path: string, { tensors, metadata }: SafeTensors): Promise<void> {
  if (metadata[RECORD] === undefined) throw new Error(`${path} is no checkpoint of a fit`);
  const unknown = Object.keys(metadata).find((name) => ![FORMAT, RECORD, CHECKSUM].includes(name));
  if (unknown !== undefined) {
    throw new Error(`${path} is broken: a checkpoint has no metadata called ${showJson(unknown)}`);
  }
  const { [CHECKSUM]: written } = metadata;
  if (written === undefined) return;
  const read = await checksumOf(tensors, metadata[RECORD]);
  if (read !== written) {
    throw new Error(
      `${path} is broken: the SHA-256 of what it holds is ${read}, not ${showJson(written)} as written`,
    );
  }
}

/** The record of a checkpoint. */
function readRecord(path: string, text: string): CheckpointRecord {
  let record: Json;
  try {
    record = parseJson(text);
  } catch (cause) {
    throw new Error(`${path} is broken: its ${RECORD} is no JSON (${(cause as Error).message})`, { cause });
  }
  return requireSchema(RECORD_SCHEMA, record, `${path}: ${RECORD}`);
}

/** @throws Error for a tensor that belongs to nothing here. */
function requireUse(path: string, tensors: Record<string, HostArray>, saved: Saved[], learn: Learner): void {
  const parameters = new Map(learn.model.namedParameters());
  const prefixes = saved.map(({ key }) => `${CALLBACK}${key}.`).concat(MODEL);
  for (const [name, { data, shape }] of Object.entries(tensors)) {
    if (prefixes.some((prefix) => name.startsWith(prefix))) continue;
    const p = name.startsWith(GRADIENT) ? parameters.get(name.slice(GRADIENT.length)) : undefined;
    if (!name.startsWith(OPTIMIZER) && !p) {
      throw new Error(`${path}: nothing in this fit has a tensor ${showJson(name)}`);
    }
    if (!(data instanceof Float32Array)) {
      throw new Error(`${path}: the tensor ${showJson(name)} is not of floats`);
    }
    if (p && String(p.shape) !== String(shape)) {
      throw new Error(`${path}: ${name} has shape [${shape}], the parameter [${p.shape}]`);
    }
  }
}

/**
 * Reads a checkpoint.
 * @throws Error that names the path: there is no such file, it is of another kind, it is not what was written (by its
 * checksum, which files of earlier versions lack), a field of its record is not as it should be, or its optimiser,
 * callbacks or tensors are not those of the fit.
 */
export async function readCheckpoint(path: string, learn: Learner): Promise<Checkpoint> {
  const bytes = await Deno.readFile(path).catch((cause) => {
    throw new Error(`There is no checkpoint to resume from at ${path}`, { cause });
  });
  const file = decode(path, bytes), { tensors, metadata } = file;
  await requireWhole(path, file);
  const record = readRecord(path, metadata[RECORD]);
  const mine = learn.opt!.constructor.name, { optimizerClass = mine } = record;
  if (optimizerClass !== mine) {
    throw new Error(`${path} keeps the state of the optimiser ${optimizerClass}; this fit has ${mine}`);
  }
  const named = (prefix: string) =>
    Object.fromEntries(
      Object.entries(tensors).filter(([k]) => k.startsWith(prefix)).map((
        [k, v],
      ) => [k.slice(prefix.length), v]),
    );
  const tensorsOf = (prefix: string) =>
    Object.fromEntries(Object.entries(named(prefix)).map(([k, v]) => [k, v.toTensor()]));
  const prefixes = Array.isArray(record.callbacks)
    ? byPlace(path, record.callbacks, learn)
    : byName(path, record.callbacks, learn);
  requireUse(path, tensors, prefixes, learn);
  return {
    record,
    model: fromTorch(named(MODEL)),
    optimizer: tensorsOf(OPTIMIZER),
    gradients: tensorsOf(GRADIENT),
    callbacks: prefixes.map(({ cb, state, key }) => ({
      cb,
      state,
      tensors: tensorsOf(`${CALLBACK}${key}.`),
    })),
  };
}

/** A callback, its state, and what its tensors' names begin with. */
interface Saved {
  cb: Callback;
  state: Json;
  key: string;
}

const list = (names: Iterable<string>) => [...names].join(", ") || "none";

function byName(path: string, states: Record<string, Json>, learn: Learner): Saved[] {
  const { cbs } = learn.current, saved = Object.keys(states);
  const fits = (named: Map<string, Callback>) =>
    saved.length === named.size && saved.every((name) => named.has(name));
  let named = nameCallbacks(cbs);
  const byClass = nameCallbacks(cbs, (cb) => cb.constructor.name); // in files of before
  if (!fits(named) && fits(byClass)) named = byClass;
  if (!fits(named)) {
    throw new Error(
      `${path} keeps the states of other callbacks than this fit has: ${list(saved)} there, ` +
        `${list(named.keys())} here`,
    );
  }
  return saved.map((name) => ({ cb: named.get(name)!, state: states[name], key: name }));
}

/** For files of before states had names: callbacks as they were given; those with tensors are counted by themselves. */
function byPlace(path: string, states: Json[], learn: Learner): Saved[] {
  const given = learn.cbs.concat(learn.current.cbs.filter((cb) => !learn.cbs.includes(cb)));
  // EMACB had tensors alone.
  const withState = given.filter((cb) => cb.state && !(cb instanceof EMACB)),
    withTensors = given.filter((cb) => cb.stateTensors);
  if (withState.length !== states.length) {
    throw new Error(
      `${path} keeps the states of ${states.length} callbacks, without their names; this fit has ` +
        `${withState.length} with a state: ${list(nameCallbacks(withState).keys())}`,
    );
  }
  return [...nameCallbacks(given).values()].map((cb) => ({
    cb,
    state: states[withState.indexOf(cb)] ?? null,
    key: String(withTensors.indexOf(cb)),
  }));
}
