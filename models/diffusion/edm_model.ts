/** Networks of EDM as files that say all that a sampler needs to know. */
import * as v from "npm:valibot@1.5.0";
import {
  COUNT,
  decodeSafetensors,
  encodeSafetensors,
  loadWeights,
  parseJson,
  requireSchema,
  type SafeTensorsOptions,
  type StateDict,
  toTorch,
} from "../../core/mod.ts";
import { PatchUNet, type PatchUNetConfig } from "../unet/mod.ts";
import { consistency, consistencyLevels } from "./consistency.ts";
import { type ClassDenoise, denoiser } from "./denoiser.ts";
import { levels } from "./levels.ts";
import { ve } from "./process.ts";
import { dpmSolver } from "./samplers/dpm_solver.ts";
import type { Sampler, WalkOptions } from "./sampling.ts";

/** What a file of a network says beside its weights. */
export interface EDMFacts {
  /** Standard deviation of the pixels that it was trained on. */
  sigmaData: number;
  /** Names of the classes, by number; the network is told the number after the last for none of them. */
  classes: string[];
  /** Images that it has seen in training. */
  imagesSeen: number;
  /** Length of the average of the weights, as {@link PowerEMACB}'s; null for the weights themselves. */
  averageLength: number | null;
}

/** A network trained as EDM's, and what samplers need to know of it. */
export interface EDMModel extends EDMFacts {
  /** The network. */
  model: PatchUNet;
  /** What samplers draw with. */
  denoise: ClassDenoise;
}

/** The names of what files say, in their metadata. */
const CONFIG = "config", FACTS = "edm";

const FACTS_SCHEMA: v.GenericSchema<unknown, EDMFacts> = v.strictObject({
  sigmaData: v.pipe(v.number(), v.gtValue(0, "a number above 0")),
  classes: v.array(v.string()),
  imagesSeen: COUNT,
  averageLength: v.nullable(v.pipe(v.number(), v.gtValue(0, "a number above 0"))),
});

/** Options of {@link encodeEDMModel}. */
export interface EDMFileOptions extends SafeTensorsOptions {
  /** Weights in place of the network's own, such as an average of them; they stay the caller's. */
  weights?: StateDict;
}

/** The bytes of a file with a network's weights and what is known of it. */
export async function encodeEDMModel(
  model: PatchUNet,
  { sigmaData, classes, imagesSeen, averageLength }: EDMFacts,
  { weights = model.stateDict(), floats }: EDMFileOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const facts: EDMFacts = { sigmaData, classes, imagesSeen, averageLength };
  const metadata = { [CONFIG]: JSON.stringify(model.config), [FACTS]: JSON.stringify(facts) };
  return encodeSafetensors(await toTorch(weights), metadata, { floats });
}

/** A value that is JSON in a file's metadata. */
function parsed(metadata: Record<string, string>, name: string, what: string): unknown {
  if (metadata[name] === undefined) throw new Error(`${what}: its metadata lacks "${name}"`);
  try {
    return parseJson(metadata[name]);
  } catch (cause) {
    throw new Error(`${what}: "${name}" of its metadata: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A network of a file that {@link encodeEDMModel} made.
 * @param bytes of the file
 * @param what names the file in errors; default "The file"
 * @throws Error for bytes that are no such file, or a network that its weights do not fit.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, unet, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new unet.PatchUNet({
 *   in_channels: 1,
 *   out_channels: 1,
 *   block_out_channels: [8, 8],
 *   down_block_types: ["DownBlock2D", "DownBlock2D"],
 *   up_block_types: ["UpBlock2D", "UpBlock2D"],
 *   norm_num_groups: 4,
 *   num_class_embeds: 3,
 * });
 * const facts = { sigmaData: 0.7, classes: ["Bag", "Coat"], imagesSeen: 0, averageLength: null };
 * const loaded = await diffusion.decodeEDMModel(await diffusion.encodeEDMModel(model, facts));
 * assert(loaded.classes.join() === "Bag,Coat" && loaded.model.config.patch_size === 2);
 * ```
 */
export async function decodeEDMModel(bytes: Uint8Array, what = "The file"): Promise<EDMModel> {
  const { metadata } = decodeSafetensors(bytes);
  const facts = requireSchema(
    FACTS_SCHEMA,
    parsed(metadata, FACTS, what),
    `${what}: "${FACTS}" of its metadata`,
  );
  const model = new PatchUNet(parsed(metadata, CONFIG, what) as Partial<PatchUNetConfig>);
  await loadWeights(model, bytes);
  const denoise = denoiser(model, { prediction: "edm", sigmaData: facts.sigmaData });
  return { ...facts, model, denoise };
}

/**
 * How networks of the presets `edm` and `ect` are drawn with where nothing else is said: noise of σ 40, which the images
 * drown in, and the least that they are asked of, as pixels have 256 values; 18 steps, and 2 of consistency tuning.
 */
export const EDM_DRAWING: Readonly<Record<"sigmaMin" | "sigmaMax" | "steps" | "fewSteps", number>> = {
  sigmaMin: 0.01,
  sigmaMax: 40,
  steps: 18,
  fewSteps: 2,
};

/** What {@link sample} draws by: levels of noise, a sampler, and the range of the images' values. */
export interface EDMSteps extends Pick<WalkOptions, "levels" | "clip"> {
  /** The sampler. */
  sampler: Sampler;
}

/**
 * How a network of the presets `edm` and `ect` draws in so many steps, for {@link sample}: by {@link dpmSolver} through
 * the levels of Karras et al. 2022, or, where it was tuned to draw in few, by {@link consistency}. Images are in [−1, 1].
 * @param n steps, a whole number of at least 1; default 18, of few 2
 * @param few whether the network was tuned to draw in few steps; default false
 * @throws RangeError for another n.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion } from "../../mod.ts";
 * assertEquals(diffusion.edmSteps(10).levels.length, 11);
 * assertEquals(diffusion.edmSteps(1, true).levels.map(({ σ }) => σ), [40, 0]);
 * ```
 */
export function edmSteps(n?: number, few = false): EDMSteps {
  const { sigmaMin, sigmaMax, steps, fewSteps } = EDM_DRAWING, clip = [-1, 1] as const;
  if (few) return { levels: consistencyLevels(n ?? fewSteps, sigmaMax), sampler: consistency(), clip };
  const path = levels(ve({ sigmaMin, sigmaMax }), n ?? steps, { spacing: "karras" });
  return { levels: path, sampler: dpmSolver(), clip };
}
