/** Weights as Diffusers lays them out in a directory: one file, or shards with an index. Nothing of them is executed. */
import * as v from "npm:valibot@1.5.0";
import type { HostArray } from "../data/array.ts";
import { parseJson, showJson } from "./json.ts";
import { decodeSafetensors } from "./safetensors.ts";
import { recordOf, requireSchema } from "./schema.ts";

/** A file of JSON that tells of others is at most so large. */
const MAX_JSON_BYTES = 16 * 2 ** 20;
/** Bytes of the widest number that a file of weights has. */
const WIDEST_BYTES = 8;
/** Bytes that names and shapes may take beside the numbers. */
const NAMES_BYTES = 2 ** 20;

/** Text of a file, and what Python writes of numbers that JSON lacks. */
const TEXT_OR_NUMBER = /("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b/g;

/**
 * The JSON of a file. Of numbers that JSON lacks, which Python writes by their names, it has the names.
 * @throws Error that names the path, for a file that is not there, is over 16 MiB, or is no JSON.
 */
export async function readJsonFile(path: string): Promise<unknown> {
  try {
    const { size } = await Deno.stat(path);
    if (size > MAX_JSON_BYTES) throw new Error(`it has ${size} bytes, over the limit of ${MAX_JSON_BYTES}`);
    const text = await Deno.readTextFile(path);
    return parseJson(text.replace(TEXT_OR_NUMBER, (all, quoted) => quoted ?? `"${all}"`));
  } catch (cause) {
    throw new Error(`Could not read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Options of {@link findWeightFiles}. */
export interface WeightFilesOptions {
  /** Which of several files, as Diffusers names them, such as `fp16`; default none. */
  variant?: string;
}

/** Files of one model's weights. */
export interface WeightFiles {
  /** Their paths. */
  paths: string[];
  /** Bytes of all. */
  bytes: number;
  /** Which file has each tensor, of shards; null for one file. */
  index: Record<string, string> | null;
}

const INDEX: v.GenericSchema<unknown, { weight_map: Record<string, string> }> = v.looseObject({
  weight_map: recordOf(v.string()),
});

/** @throws Error unless a name is that of a safetensors file in the same directory. */
function requireFileName(name: string, index: string): void {
  if (/^[^/\\:\0]+\.safetensors$/.test(name)) return;
  throw new Error(`${index}: ${showJson(name)} is no name of a .safetensors file in the same directory`);
}

/** Whether a file is there. */
function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(({ isFile }) => isFile, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}

/**
 * The files with a model's weights: `stem.safetensors`, or the shards that `stem.safetensors.index.json` names.
 * @param dir where they are
 * @param stem the name without its ending, such as `diffusion_pytorch_model`
 * @throws Error for none, for an index that names a file outside of the directory, and where there are pickled weights
 *   alone, which are never read: they can run any program.
 */
export async function findWeightFiles(
  dir: string,
  stem: string,
  { variant }: WeightFilesOptions = {},
): Promise<WeightFiles> {
  if (variant !== undefined && !/^[\w-]+$/.test(variant)) {
    throw new Error(`variant is letters and digits, such as "fp16", not ${showJson(variant)}`);
  }
  const named = variant === undefined ? "" : `${variant}.`;
  const one = `${dir}/${stem}.${named}safetensors`, many = `${dir}/${stem}.safetensors.index.${named}json`;
  if (await exists(one)) return { paths: [one], bytes: (await Deno.stat(one)).size, index: null };
  if (!await exists(many)) throw await missing(dir, one, `${dir}/${stem}.${named}bin`);
  const { weight_map: index } = requireSchema(INDEX, await readJsonFile(many), many);
  const names = [...new Set(Object.values(index))].sort();
  if (names.length === 0) throw new Error(`${many}: "weight_map" names no tensor`);
  for (const name of names) requireFileName(name, many);
  const paths = names.map((name) => `${dir}/${name}`);
  let bytes = 0;
  for (const path of paths) {
    if (!await exists(path)) throw new Error(`${many} names ${path}, which is not there`);
    bytes += (await Deno.stat(path)).size;
  }
  return { paths, bytes, index };
}

/** Why there are no weights that can be read. */
async function missing(dir: string, path: string, pickled: string): Promise<Error> {
  if (!await exists(pickled)) return new Error(`There are no weights: ${path} is not there`);
  return new Error(
    `${pickled} is pickled, which can run any program as it is read, and is not. Convert it where you trust it: ` +
      `python -c 'from diffusers import UNet2DModel as M; M.from_pretrained("${dir}").save_pretrained("${dir}")'`,
  );
}

/**
 * The arrays of a model's weight files, by name, in PyTorch's layout.
 * @param mostNumbers that the model has; files that are larger than that many can be are refused before they are read
 * @throws Error that names the file: too large, no safetensors, or a shard that has another tensor than the index says.
 */
export async function readWeightFiles(
  { paths, bytes, index }: WeightFiles,
  mostNumbers: number,
): Promise<Record<string, HostArray>> {
  const most = WIDEST_BYTES * mostNumbers + NAMES_BYTES;
  if (bytes > most) {
    throw new Error(
      `${paths.join(", ")}: ${bytes} bytes; the model's ${mostNumbers} numbers take at most ${most}`,
    );
  }
  const all: Record<string, HostArray> = Object.create(null);
  for (const path of paths) {
    const { tensors } = await Deno.readFile(path).then(decodeSafetensors).catch((cause) => {
      throw new Error(`Could not load ${path}: ${cause.message}`, { cause });
    });
    for (const [name, array] of Object.entries(tensors)) {
      if (index && `/${index[name]}` !== path.slice(path.lastIndexOf("/"))) {
        throw new Error(`${path} has ${showJson(name)}, which the index does not say of it`);
      }
      all[name] = array;
    }
  }
  const lost = Object.keys(index ?? {}).find((name) => !Object.hasOwn(all, name));
  if (lost !== undefined) {
    throw new Error(`${paths.join(", ")}: the index has ${showJson(lost)}, no file does`);
  }
  return all;
}
