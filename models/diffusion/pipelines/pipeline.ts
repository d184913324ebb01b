/** Networks with their schedulers as folders that Diffusers' `DDPMPipeline` and `DDIMPipeline` read and write. */
import * as v from "npm:valibot@1.5.0";
import {
  encodeSafetensors,
  findWeightFiles,
  type Folder,
  type FolderFile,
  type FolderOptions,
  loadArrays,
  openFolder,
  readJsonFile,
  readWeightFiles,
  requireSchema,
  type SafeTensorsOptions,
  toTorch,
  writeFile,
} from "../../../core/mod.ts";
import {
  completeConfig,
  leastParameters,
  toDiffusersConfig,
  type UNet2D,
  type UNet2DConfig,
  UNet2DModel,
} from "../../unet/mod.ts";
import { type ClassDenoise, denoiser } from "../denoiser.ts";
import { type Scheduler, scheduler } from "./scheduler.ts";
import {
  asScheduler,
  type SchedulerClass,
  type SchedulerConfig,
  toSchedulerJson,
} from "./scheduler_config.ts";

/** The pipelines that are read and written. */
export type PipelineClass = "DDPMPipeline" | "DDIMPipeline";

/** A network and how it draws. */
export interface Pipeline {
  /** Which pipeline of Diffusers it is. */
  kind: PipelineClass;
  /** The network, in evaluation mode. */
  model: UNet2DModel;
  /** How it draws. */
  scheduler: Scheduler;
  /** x̂₀ by the network: what samplers draw with. */
  denoise: ClassDenoise;
}

/** The schedulers with which Diffusers' pipelines of such a network draw. */
const WRITABLE: readonly SchedulerClass[] = ["DDPMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler"];

/** The files of a pipeline. */
const PLACES = {
  index: "model_index.json",
  config: "config.json",
  scheduler: "scheduler_config.json",
  card: "README.md",
  picture: "samples.png",
} as const;
/** The folders of its parts. */
const UNET = "unet/", SCHEDULER = "scheduler/";
/** The name of the file with the weights, without its ending. */
const WEIGHTS = "diffusion_pytorch_model";
/** The least bytes that a number has in a file. */
const NARROWEST_BYTES = 2;

const INDEX: v.GenericSchema<unknown, { _class_name: PipelineClass }> = v.looseObject({
  _class_name: v.picklist(["DDPMPipeline", "DDIMPipeline"], '"DDPMPipeline" or "DDIMPipeline"'),
  unet: v.tuple([
    v.literal("diffusers", '"diffusers", as no code of a repository is run'),
    v.literal("UNet2DModel", '"UNet2DModel"'),
  ]),
});

/** Options of {@link loadPipeline}. */
export interface LoadPipelineOptions extends FolderOptions {
  /** Which of several files of weights to read, as Diffusers names them, such as `fp16`; default none. */
  variant?: string;
}

/**
 * Reads what Diffusers' `save_pretrained` or {@link savePipeline} wrote: `model_index.json`, `unet/` and `scheduler/`, whose
 * files lie beside the index where a part has no folder. Weights may be sharded, and of 64, 32 or 16 bits.
 * Only JSON and safetensors are read, of names within the folder, and no more than the config has room for; only what is
 * read is downloaded.
 *
 * A script needs the permission to read a directory; for an address besides `--allow-net` of its host, and to read and write
 * the cache directory; for Hugging Face that of huggingface.co and of the hosts that it keeps files on (`*.hf.co`,
 * `*.xethub.hf.co`), and to read `HF_HOME`, `HF_TOKEN` and `HOME` (`--allow-env`).
 * @param where a directory, the `https:` address of one (`http:` on this machine), or a model of Hugging Face:
 *   `OWNER/NAME[@REVISION]`, where that is no path that is there, or `hf://OWNER/NAME[@REVISION][/PATH]`
 * @throws Error that names the file, the field and its value: of another pipeline, network or scheduler, a value that is
 *   not supported, weights that are missing, do not fit, or are pickled; a model that is not there or is private, and what
 *   cannot be downloaded, or has another SHA-256 than `sha256` says.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule, UNet2DModel, useDevice } from "../../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet2DModel({
 *   sample_size: 8,
 *   block_out_channels: [8, 8],
 *   down_block_types: ["DownBlock2D", "DownBlock2D"],
 *   up_block_types: ["UpBlock2D", "UpBlock2D"],
 *   norm_num_groups: 4,
 * });
 * const dir = await Deno.makeTempDir();
 * await diffusion.savePipeline(dir, { model, scheduler: diffusion.schedulerConfig(linearSchedule()) });
 * const { denoise, scheduler } = await diffusion.loadPipeline(dir);
 * const images = await diffusion.sample(denoise, [1, 8, 8, 3], scheduler.sampling(2));
 * assert(images.shape.join() === "1,8,8,3");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export async function loadPipeline(where: string, options: LoadPipelineOptions = {}): Promise<Pipeline> {
  const folder = await openFolder(where, options);
  const index = await partOf(folder, "", PLACES.index);
  const { _class_name: kind } = requireSchema(INDEX, await readJsonFile(index), index.name);
  const configFile = await partOf(folder, UNET, PLACES.config),
    schedulerFile = await partOf(folder, SCHEDULER, PLACES.scheduler);
  const config = named(configFile.name, await readJsonFile(configFile), readConfig);
  const how = named(
    schedulerFile.name,
    await readJsonFile(schedulerFile),
    (json) =>
      scheduler(
        (kind === "DDIMPipeline" ? asScheduler("DDIMScheduler", json) : json) as Partial<SchedulerConfig>,
      ),
  );
  const stem = configFile.path.replace(/[^/]*$/, WEIGHTS),
    weights = await findWeightFiles(folder, stem, options);
  const least = leastParameters(config);
  if (least * NARROWEST_BYTES > weights.bytes) {
    throw new Error(
      `${configFile.name} is of a network of over ${least} numbers, and the weights have ${weights.bytes} bytes`,
    );
  }
  const [unread] = folder.unchecked();
  if (unread !== undefined) {
    const read = [index, configFile, schedulerFile, ...weights.files].map(({ path }) => path).join(", ");
    throw new Error(`${where}: sha256 has ${unread}, and what is read is ${read}`);
  }
  const model = new UNet2DModel(config);
  try {
    const numbers = Object.values(model.stateDict()).reduce((sum, x) => sum + x.size, 0);
    const arrays = await readWeightFiles(weights, numbers);
    named(weights.files.map(({ name }) => name).join(", "), arrays, (arrays) => loadArrays(model, arrays));
  } catch (error) {
    model.dispose();
    throw error;
  }
  return { kind, model: model.eval(), scheduler: how, denoise: denoiser(model, how) };
}

/**
 * A file of a part of a pipeline: in the part's folder, or beside the index.
 * @throws Error that names it where it is in neither.
 */
async function partOf(folder: Folder, part: string, name: string): Promise<FolderFile> {
  const file = await folder.find(part + name) ?? (part && await folder.find(name));
  if (file) return file;
  throw new Error(`Could not read ${folder.nameOf(part + name)}: it ${folder.lack}`);
}

/** What `read` makes of a file's content; its error begins with the path. */
function named<In, Out>(path: string, content: In, read: (content: In) => Out): Out {
  try {
    return read(content);
  } catch (cause) {
    throw new Error(`${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The config of a `config.json`. */
function readConfig(json: unknown): UNet2DConfig {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return completeConfig(json);
  throw new Error(`a config is an object, not ${JSON.stringify(json)}`);
}

/** What {@link savePipeline} writes. */
export interface SavePipelineOptions extends SafeTensorsOptions {
  /** The network. */
  // deno-lint-ignore no-explicit-any
  model: UNet2D<any, any>;
  /** How it draws, as {@link schedulerConfig} makes it of a schedule; fields left out are Diffusers' defaults. */
  scheduler: Partial<SchedulerConfig>;
  /** Height and width of the images, which Diffusers draws; default the model's `sample_size`. */
  size?: number | [height: number, width: number];
  /** What the model card says in Markdown, such as the training's figures; default that Denoise made it. */
  card?: string;
  /**
   * Values of black and white in the network's images, of which the card tells how to get pictures; default −1 and 1, which
   * Diffusers' pipelines take them to be.
   */
  range?: readonly [low: number, high: number];
  /** A picture for the card, such as a grid of samples, as PNG; default none. */
  picture?: Uint8Array;
}

/**
 * Writes a directory that `DDPMPipeline.from_pretrained`, or with a DDIMScheduler `DDIMPipeline.from_pretrained`, reads:
 * `model_index.json`, `unet/`, `scheduler/` and a model card. The index is written last, so that a directory without it is
 * not whole.
 * @param dir the directory, which is made where it is not there; what is in it under these names is replaced
 * @throws Error for a network or scheduler that Diffusers' pipelines would not draw with: without a size, over patches, of
 *   a field that is not known, or of a scheduler that asks for other noise; and as {@link writeFile}.
 */
export async function savePipeline(dir: string, options: SavePipelineOptions): Promise<void> {
  const { model, scheduler: given, floats, card = "Trained with Denoise.", range = [-1, 1], picture } =
    options;
  const { sample_size } = model.config, size = options.size ?? sample_size;
  if (size === null) {
    throw new Error(
      "savePipeline: Diffusers draws images of sample_size, and the model's is null: give size",
    );
  }
  const config = toDiffusersConfig({ ...model.config, sample_size: size });
  const version = String(config._diffusers_version), { config: how } = scheduler(given);
  if (!WRITABLE.includes(how._class_name)) {
    throw new Error(
      `savePipeline: Diffusers' pipelines draw with ${WRITABLE.join(", ")}, not ${how._class_name}`,
    );
  }
  const kind: PipelineClass = how._class_name === "DDIMScheduler" ? "DDIMPipeline" : "DDPMPipeline";
  const index = {
    _class_name: kind,
    _diffusers_version: version,
    scheduler: ["diffusers", how._class_name],
    unet: ["diffusers", "UNet2DModel"],
  };
  const weights = encodeSafetensors(await toTorch(model.stateDict()), {}, { floats });
  for (const part of [UNET, SCHEDULER]) await Deno.mkdir(`${dir}/${part}`, { recursive: true });
  await Deno.remove(`${dir}/${PLACES.index}`).catch(() => {});
  const json = (place: string, value: unknown) =>
    writeFile(`${dir}/${place}`, `${JSON.stringify(value, null, 2)}\n`);
  await writeFile(`${dir}/${UNET}${WEIGHTS}.safetensors`, weights);
  await json(UNET + PLACES.config, config);
  await json(SCHEDULER + PLACES.scheduler, toSchedulerJson(how, version));
  if (picture) await writeFile(`${dir}/${PLACES.picture}`, picture);
  await writeFile(`${dir}/${PLACES.card}`, cardOf(kind, how, { card, range, picture }));
  await json(PLACES.index, index);
}

/** Steps that Diffusers' pipelines take where they are told none. */
const USUAL_STEPS: Readonly<Record<PipelineClass, number>> = { DDPMPipeline: 1000, DDIMPipeline: 50 };

/** A model card: what the hub reads of it, the text, and how to draw. */
function cardOf(
  kind: PipelineClass,
  { num_train_timesteps: steps }: SchedulerConfig,
  { card, range: [low, high], picture }:
    & Required<Pick<SavePipelineOptions, "card" | "range">>
    & Pick<SavePipelineOptions, "picture">,
): string {
  const usual = low === -1 && high === 1, options = ["batch_size=4"];
  const shift = low === 0 ? "" : ` ${low < 0 ? "+" : "-"} ${Math.abs(low)}`, from0 = `2 * images - 1${shift}`;
  const pixels = high - low === 1 ? from0 : `(${from0}) / ${high - low}`;
  if (steps < USUAL_STEPS[kind]) options.push(`num_inference_steps=${steps}`);
  if (!usual) options.push('output_type="np"');
  return `---
library_name: diffusers
pipeline_tag: unconditional-image-generation
tags:
- denoise
- diffusers:${kind}
---

${card.trim()}
${picture ? `\n![Samples](${PLACES.picture})\n` : ""}
\`\`\`python
from diffusers import ${kind}

pipeline = ${kind}.from_pretrained("PATH OR OWNER/NAME")
images = pipeline(${options.join(", ")}).images
${
    usual
      ? ""
      : `# Diffusers takes the network's images to go from -1 to 1; they go from ${low} to ${high}. Of these 0 is black, 1 white.
images = (${pixels}).clip(0, 1)
`
  }\`\`\`
`;
}
