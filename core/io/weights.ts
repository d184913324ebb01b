/** Model weights as files: PyTorch's names and layouts outside, ours inside. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { HostArray } from "../data/array.ts";
import type { LoadReport, Module, StateDict } from "../nn/module.ts";
import { decodeSafetensors, encodeSafetensors } from "./safetensors.ts";
import { writeFile } from "./files.ts";

/** Our filters are [kh,kw,in,out]; files have PyTorch's [out,in,kh,kw]. Other tensors are alike. */
const TO_TORCH = [3, 2, 0, 1];
const FROM_TORCH = [2, 3, 1, 0];

/** Copies tensors to the host, filters in PyTorch's layout. */
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

/** Tensors on the device from arrays in PyTorch's layout; the caller frees them. */
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
 * @param metadata text by name that goes with them; default none
 * @throws Error as {@link writeFile}.
 */
export async function saveWeights(
  model: Module,
  path: string,
  metadata: Record<string, string> = {},
): Promise<void> {
  await writeFile(path, encodeSafetensors(await toTorch(model.stateDict()), metadata));
}

/**
 * Loads a safetensors file in PyTorch's layout into a model.
 * @param source the path, or the bytes
 * @param strict whether missing and unknown tensors are errors; default true
 * @returns what was missing, unknown or of another shape
 * @throws Error for an unreadable or invalid file, and as {@link Module.loadStateDict} where it does not fit.
 */
export async function loadWeights(
  model: Module,
  source: string | Uint8Array,
  strict = true,
): Promise<LoadReport> {
  const bytes = typeof source === "string" ? await Deno.readFile(source) : source;
  const state = fromTorch(decodeSafetensors(bytes).tensors);
  try {
    return model.loadStateDict(state, strict);
  } finally {
    tf.dispose(state);
  }
}
