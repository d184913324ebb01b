/** The network that `--from` or `--begin` names, of which a run begins with the weights. */
import { fileURLToPath } from "node:url";
import { decodeSafetensors } from "../core/mod.ts";
import { diffusion, type unet } from "../mod.ts";
import { fromCaller } from "./caller.ts";
import { runName, UsageError } from "./cli.ts";
import { imagesOf } from "./data.ts";
import { type EdmConfig, isEdm, isOfPictures, type TrainConfig } from "./presets.ts";
import { exists, readConfig, runFiles } from "./runs.ts";

/** Whether a name is that of a file, as neither a run's nor a shipped model's is. */
export const isFile = (name: string): boolean => /[/\\]/.test(name) || name.endsWith(".safetensors");

/**
 * The file of a model: one that ships, one of a run, or a file itself.
 * @throws UsageError if there is none, or the run has no weights of EDM's training.
 */
export async function fileOf(from: string, runs: string): Promise<string> {
  if (Object.hasOwn(diffusion.PRETRAINED, from)) {
    return fileURLToPath(diffusion.PRETRAINED[from as diffusion.PretrainedName].weights);
  }
  if (isFile(from)) {
    const file = fromCaller(from);
    if (await exists(file)) return file;
    throw new UsageError(`--from ${from}: there is no such file`);
  }
  const config = await readConfig<TrainConfig | EdmConfig>(runs, runName(from), "train").catch((error) => {
    if (!(error instanceof UsageError)) throw error;
    const shipped = Object.keys(diffusion.PRETRAINED).join(", ");
    throw new UsageError(`--from ${from}: ${error.message}. Models that ship: ${shipped}`);
  });
  const { weights } = runFiles(runs, from);
  if (!isEdm(config)) throw new UsageError(`--from ${from}: the run is of a DDPM, not of EDM's training`);
  if (await exists(weights)) return weights;
  throw new UsageError(`--from ${from}: the run has no weights yet: its training has not finished an epoch`);
}

/** The network of a file, as far as a config decides it. */
type Network = Pick<EdmConfig, "patch" | "channels" | "layers" | "groups" | "headDim" | "attention"> & {
  /** Height and width of its images, where it says, and their channels. */
  size?: number;
  imageChannels: number;
};

/**
 * Reads what the network of a file is, without its weights.
 * @param option that names it, with its value
 * @throws UsageError if the file is none of EDM's training.
 */
export async function readNetwork(option: string, file: string): Promise<Network> {
  try {
    const { metadata } = decodeSafetensors(await Deno.readFile(file));
    if (metadata.edm === undefined) throw new Error('its metadata lacks "edm"');
    const config: unet.PatchUNetConfig = JSON.parse(metadata.config ?? "");
    return {
      patch: config.patch_size,
      channels: config.block_out_channels,
      layers: config.layers_per_block as number,
      groups: config.norm_num_groups as number,
      headDim: config.attention_head_dim as number,
      attention: config.down_block_types.map((type) => type === "AttnDownBlock2D"),
      size: typeof config.sample_size === "number" ? config.sample_size : undefined,
      imageChannels: config.in_channels,
    };
  } catch (cause) {
    throw new UsageError(`${option}: it is no network of EDM: ${(cause as Error).message}`, { cause });
  }
}

const show = (value: unknown): string =>
  [value].flat().map((v) => v === true ? "yes" : v === false ? "no" : v).join();

/**
 * Gives a config the network of a file.
 * @param option that names the file, with its value
 * @param isGiven whether the command line sets a field
 * @throws UsageError where the command line asks for another network, or the images are not those of the file's.
 */
export function takeNetwork(
  option: string,
  config: EdmConfig,
  { size, imageChannels, ...network }: Network,
  isGiven: (field: string) => boolean,
): void {
  for (const [field, value] of Object.entries(network)) {
    const own = config[field as keyof EdmConfig];
    if (isGiven(field) && show(own) !== show(value)) {
      const flag = `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      throw new UsageError(`${flag} ${show(own)}: the network of ${option} has ${show(value)}`);
    }
  }
  Object.assign(config, network);
  const images = imagesOf(config), kind = (channels: number) => channels === 1 ? "grey" : "RGB";
  if (images.channels === imageChannels && images.size === (size ?? images.size)) return;
  const flags = [
    ...(images.size === (size ?? images.size) ? [] : [`--size ${size}`]),
    ...(images.channels === imageChannels ? [] : [imageChannels === 1 ? "--grey" : "--no-grey"]),
  ];
  throw new UsageError(
    `${option}: its images are ${kind(imageChannels)} ones of ${size}×${size}, not ${
      kind(images.channels)
    } ones of ` +
      `${images.size}×${images.size}: ${
        isOfPictures(config) ? `give ${flags.join(" ")}` : "give --images WHERE"
      }`,
  );
}
