/** Model weights as files: PyTorch's names and layouts outside, ours inside. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { HostArray } from "../data/array.ts";
import type { LoadReport, Module, StateDict } from "../nn/module.ts";
import { decodeSafetensors, encodeSafetensors, type SafeTensorsOptions } from "./safetensors.ts";
import { writeFile } from "./files.ts";

/** Our filters are [kh,kw,in,out]; files have PyTorch's [out,in,kh,kw]. Other tensors are alike. */
const TO_TORCH = [3, 2, 0, 1];
const FROM_TORCH = [2, 3, 1, 0];

/**
 * Attention's parameters as Diffusers names them since 0.18, and the frequencies of a Fourier embedding as it named them
 * up to 0.29 beside `weight`; and as our models do.
 */
const OTHER_NAMES: readonly [RegExp, string][] = [
  [/^time_proj\.W$/, "time_proj.weight"],
  [/\.to_q\./, ".query."],
  [/\.to_k\./, ".key."],
  [/\.to_v\./, ".value."],
  [/\.to_out\.0\./, ".proj_attn."],
];
/** What PyTorch's batch norm counts, which nothing here needs. */
const UNUSED = /(^|\.)num_batches_tracked$/;

/** Arrays by the names that a model has; what no model has is left out. */
function withOurNames(arrays: Record<string, HostArray>, own: StateDict): Record<string, HostArray> {
  const named: Record<string, HostArray> = Object.create(null);
  for (const [name, array] of Object.entries(arrays)) {
    const ours = OTHER_NAMES.reduce((text, [other, our]) => text.replace(other, our), name);
    if (Object.hasOwn(own, name) || !UNUSED.test(name)) named[Object.hasOwn(own, ours) ? ours : name] = array;
  }
  return named;
}

/**
 * Copies tensors to the host, filters in PyTorch's layout.
 * @param state tensors by name, which stay the caller's; those of four axes are filters [kh,kw,in,out]
 * @returns arrays by the same names, filters [out,in,kh,kw]
 */
export async function toTorch(state: StateDict): Promise<Record<string, HostArray>> {
  const own: StateDict = {};
  for (const [name, x] of Object.entries(state)) {
    if (x.shape.length === 4) own[name] = tf.transpose(x, TO_TORCH);
  }
  try {
    return await HostArray.fromAll({ ...state, ...own });
  } finally {
    tf.dispose(own);
  }
}

/**
 * Copies arrays in PyTorch's layout to the device.
 * @param arrays by name; those of four axes are filters [out,in,kh,kw]
 * @returns tensors by the same names, filters [kh,kw,in,out]; the caller frees them
 */
export function fromTorch(arrays: Record<string, HostArray>): StateDict {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, a]): [string, Tensor] => {
      if (a.shape.length !== 4) return [name, a.toTensor()];
      return [name, tf.tidy(() => tf.transpose(a.toTensor(), FROM_TORCH))];
    }),
  );
}

/**
 * Writes a model's parameters and buffers as safetensors that PyTorch reads.
 * @param path the file; its directory must be there
 * @param metadata text by name that goes with them, besides `format: "pt"`; default none
 * @param options how numbers are written; default as they are
 * @throws Error as {@link writeFile}.
 */
export async function saveWeights(
  model: Module,
  path: string,
  metadata: Record<string, string> = {},
  options: SafeTensorsOptions = {},
): Promise<void> {
  await writeFile(path, encodeSafetensors(await toTorch(model.stateDict()), metadata, options));
}

/**
 * Loads a safetensors file in PyTorch's layout into a model. Diffusers' newer names of attention's parameters (`to_q`, …)
 * and its older one of Fourier frequencies (`time_proj.W`) are read as ours; `num_batches_tracked` is left out.
 * @param source the path, or the bytes
 * @param strict whether missing and unknown tensors are errors; default true
 * @returns what was missing, unknown or of another shape
 * @throws Error for an unreadable or invalid file, and as {@link Module.loadStateDict} where it does not fit; it names
 * the path, with what went wrong as its cause.
 */
export async function loadWeights(
  model: Module,
  source: string | Uint8Array,
  strict = true,
): Promise<LoadReport> {
  if (typeof source !== "string") return loadBytes(model, source, strict);
  try {
    return loadBytes(model, await Deno.readFile(source), strict);
  } catch (cause) {
    throw new Error(`Could not load ${source}: ${(cause as Error).message}`, { cause });
  }
}

function loadBytes(model: Module, bytes: Uint8Array, strict: boolean): LoadReport {
  return loadArrays(model, decodeSafetensors(bytes).tensors, strict);
}

/**
 * Loads arrays in PyTorch's layout into a model, by the names that {@link loadWeights} reads.
 * @param arrays by name
 * @param strict whether missing and unknown tensors are errors; default true
 * @returns what was missing, unknown or of another shape
 * @throws Error as {@link Module.loadStateDict}.
 */
export function loadArrays(model: Module, arrays: Record<string, HostArray>, strict = true): LoadReport {
  const state = fromTorch(withOurNames(arrays, model.stateDict()));
  try {
    return model.loadStateDict(state, strict);
  } finally {
    tf.dispose(state);
  }
}
