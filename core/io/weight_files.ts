/** Weights as Diffusers lays them out in a folder: one file, or shards with an index. Nothing of them is executed. */
import * as v from "npm:valibot@1.5.0";
import type { HostArray } from "../data/array.ts";
import type { Folder, FolderFile } from "./folder.ts";
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
 * @throws Error that names the file, where it cannot be read, is over 16 MiB, which is not downloaded, or is no JSON.
 */
export async function readJsonFile(file: FolderFile): Promise<unknown> {
  const { name, size } = file;
  try {
    if (size > MAX_JSON_BYTES) throw new Error(`it has ${size} bytes, over the limit of ${MAX_JSON_BYTES}`);
    const text = await Deno.readTextFile(await file.download());
    return parseJson(text.replace(TEXT_OR_NUMBER, (all, quoted) => quoted ?? `"${all}"`));
  } catch (cause) {
    throw new Error(`Could not read ${name}: ${(cause as Error).message}`, { cause });
  }
}

/** Options of {@link findWeightFiles}. */
export interface WeightFilesOptions {
  /** Which of several files, as Diffusers names them, such as `fp16`; default none. */
  variant?: string;
}

/** Files of one model's weights. */
export interface WeightFiles {
  /** The files. */
  files: FolderFile[];
  /** Bytes of all. */
  bytes: number;
  /** Which file has each tensor, of shards; null for one file. */
  index: Record<string, string> | null;
}

const INDEX: v.GenericSchema<unknown, { weight_map: Record<string, string> }> = v.looseObject({
  weight_map: recordOf(v.string()),
});

/** @throws Error unless a name is that of a safetensors file in the same folder. */
function requireFileName(name: string, index: string): void {
  if (/^[^/\\:\0]+\.safetensors$/.test(name)) return;
  throw new Error(`${index}: ${showJson(name)} is no name of a .safetensors file in the same directory`);
}

/**
 * The files with a model's weights: `stem.safetensors`, or the shards that `stem.safetensors.index.json` names. Of them only
 * the index is downloaded.
 * @param folder where they are
 * @param stem the path in it without its ending, such as `unet/diffusion_pytorch_model`
 * @throws Error for none, for an index that names a file outside of its folder, and where there are pickled weights alone,
 *   which are never read: they can run any program.
 */
export async function findWeightFiles(
  folder: Folder,
  stem: string,
  { variant }: WeightFilesOptions = {},
): Promise<WeightFiles> {
  if (variant !== undefined && !/^[\w-]+$/.test(variant)) {
    throw new Error(`variant is letters and digits, such as "fp16", not ${showJson(variant)}`);
  }
  const named = variant === undefined ? "" : `${variant}.`;
  const one = `${stem}.${named}safetensors`, whole = await folder.find(one);
  if (whole) return { files: [whole], bytes: whole.size, index: null };
  const many = await folder.find(`${stem}.safetensors.index.${named}json`);
  if (!many) throw await missing(folder, one, `${stem}.${named}bin`);
  const { weight_map: index } = requireSchema(INDEX, await readJsonFile(many), many.name);
  const names = [...new Set(Object.values(index))].sort();
  if (names.length === 0) throw new Error(`${many.name}: "weight_map" names no tensor`);
  for (const name of names) requireFileName(name, many.name);
  const files: FolderFile[] = [], dir = stem.replace(/[^/]*$/, "");
  for (const name of names) {
    const file = await folder.find(`${dir}${name}`);
    if (!file) throw new Error(`${many.name} names ${name}, which is not there`);
    files.push(file);
  }
  return { files, bytes: files.reduce((sum, { size }) => sum + size, 0), index };
}

/** Why there are no weights that can be read. */
async function missing(folder: Folder, path: string, pickledPath: string): Promise<Error> {
  const pickled = await folder.find(pickledPath);
  if (!pickled) return new Error(`There are no weights: ${folder.nameOf(path)} ${folder.lack}`);
  const there = folder.nameOf(path.replace(/\/?[^/]*$/, "")), dir = folder.isLocal ? there : "DIR";
  const copied = folder.isLocal ? "" : ` with DIR a copy of ${there} on this disk`;
  return new Error(
    `${pickled.name} is pickled, which can run any program as it is read, and is not. Convert it where you trust ` +
      `it: python -c 'from diffusers import UNet2DModel as M; M.from_pretrained("${dir}").save_pretrained("${dir}")'` +
      copied,
  );
}

/**
 * The arrays of a model's weight files, by name, in PyTorch's layout.
 * @param mostNumbers that the model has; files that are larger than that many can be are refused before they are downloaded and read
 * @throws Error that names the file: too large, no safetensors, or a shard that has another tensor than the index says.
 */
export async function readWeightFiles(
  { files, bytes, index }: WeightFiles,
  mostNumbers: number,
): Promise<Record<string, HostArray>> {
  const names = files.map(({ name }) => name).join(", "), most = WIDEST_BYTES * mostNumbers + NAMES_BYTES;
  if (bytes > most) {
    throw new Error(
      `${names}: ${bytes} bytes; the model's ${mostNumbers} numbers take at most ${most}`,
    );
  }
  const all: Record<string, HostArray> = Object.create(null);
  for (const file of files) {
    const { tensors } = await file.download().then(Deno.readFile).then(decodeSafetensors).catch((cause) => {
      throw new Error(`Could not load ${file.name}: ${cause.message}`, { cause });
    });
    for (const [name, array] of Object.entries(tensors)) {
      if (index && index[name] !== file.path.replace(/^.*\//, "")) {
        throw new Error(`${file.name} has ${showJson(name)}, which the index does not say of it`);
      }
      all[name] = array;
    }
  }
  const lost = Object.keys(index ?? {}).find((name) => !Object.hasOwn(all, name));
  if (lost !== undefined) {
    throw new Error(`${names}: the index has ${showJson(lost)}, no file does`);
  }
  return all;
}
