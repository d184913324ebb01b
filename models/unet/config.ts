/** The config of a U-Net, with the names and defaults of Diffusers' `UNet2DModel`. */
import { type Activation, ACTIVATIONS } from "./blocks/activation.ts";
import { DOWN_BLOCKS, UP_BLOCKS } from "./blocks/by_type.ts";
import type { ResizeType } from "./blocks/down.ts";
import type { TimeScaleShift } from "./blocks/options.ts";
import { SKIP_IMAGE_CHANNELS } from "./blocks/skip_parts.ts";

/** A block on the way down: residual blocks, with or without attention, and what halves the image. */
export type DownBlockType =
  | "DownBlock2D"
  | "AttnDownBlock2D"
  | "ResnetDownsampleBlock2D"
  | "SkipDownBlock2D"
  | "AttnSkipDownBlock2D";
/** A block on the way up: residual blocks, with or without attention, and what doubles the image. */
export type UpBlockType =
  | "UpBlock2D"
  | "AttnUpBlock2D"
  | "ResnetUpsampleBlock2D"
  | "SkipUpBlock2D"
  | "AttnSkipUpBlock2D";
/** How classes are told beside the timestep where it is no table: embedded as a timestep is, or as they are given. */
export type ClassEmbedType = "timestep" | "identity";
/** How the network is told the timestep: by sinusoids, by sinusoids of its logarithm, or by a table that is learned. */
export type TimeEmbeddingType = "positional" | "fourier" | "learned";

/** The fields of Diffusers' `config.json`; docs/unet.md has a table of what each takes and refuses. */
export interface UNet2DConfig {
  /** Height and width, or one number for both, for the record: any that the downsamplers divide works. Default null. */
  sample_size: number | [height: number, width: number] | null;
  /** Channels of the noisy image; default 3. */
  in_channels: number;
  /** Channels of the output; default 3. */
  out_channels: number;
  /** Whether images from 0 to 1 are brought to −1…1 first, by 2x − 1; default false. */
  center_input_sample: boolean;
  /**
   * How the network is told the timestep: `"positional"`, sinusoids of it; `"fourier"`, sinusoids of its logarithm at
   * random frequencies, the output being divided by it, which is then a noise level above 0; `"learned"`, a table of
   * `num_train_timesteps` rows. Default `"positional"`.
   */
  time_embedding_type: TimeEmbeddingType;
  /** Channels of what the blocks are told of the timestep; null for four times the first of `block_out_channels`. Default null. */
  time_embedding_dim: number | null;
  /** Subtracted from the number of frequencies in the positional embedding's exponent, at least 0 and below it; default 0. */
  freq_shift: number;
  /** Cosines before sines in the positional embedding; default true. */
  flip_sin_to_cos: boolean;
  /** A block for each level, the largest images first; default attention in all but the first. */
  down_block_types: DownBlockType[];
  /** The middle, or null for none; default `"UNetMidBlock2D"`. */
  mid_block_type: "UNetMidBlock2D" | null;
  /** A block for each level, the smallest images first; default attention in all but the last. */
  up_block_types: UpBlockType[];
  /** Channels of each level, each a multiple of `norm_num_groups`; default [224, 448, 672, 896]. */
  block_out_channels: number[];
  /** Residual blocks of a down block, an up block having one more; default 2. */
  layers_per_block: number;
  /** What the outputs of the middle's blocks are divided by, above 0; default 1. */
  mid_block_scale_factor: number;
  /** Zeros around the image that a convolution halves, 0 or 1; default 1. */
  downsample_padding: number;
  /** What halves the image in an `AttnDownBlock2D`: a convolution, or a residual block; default `"conv"`. */
  downsample_type: ResizeType;
  /** What doubles the image in an `AttnUpBlock2D`: a convolution, or a residual block; default `"conv"`. */
  upsample_type: ResizeType;
  /** Probability of a zero in the residual blocks, in training, from 0 to 1; default 0. */
  dropout: number;
  /** The activation of the residual blocks; the embeddings and the output have SiLU. Default `"silu"`. */
  act_fn: Activation;
  /** Channels of an attention head, a divisor of those of each level with attention; null for one head; default 8. */
  attention_head_dim: number | null;
  /**
   * Groups of every norm, a divisor of each level's channels; null, where all blocks are of the skip kinds, for a quarter
   * of the channels, at most 32. Default 32.
   */
  norm_num_groups: number | null;
  /**
   * Groups of the norm in the middle's attention; null for `norm_num_groups`, and with `resnet_time_scale_shift:
   * "scale_shift"` for no norm. Default null.
   */
  attn_norm_num_groups: number | null;
  /** Epsilon of every norm, above 0; default 1e-5. */
  norm_eps: number;
  /**
   * How residual blocks are told the timestep: `"default"`, by what is added before the second norm; `"scale_shift"`, by
   * a scale and a shift after it. Default `"default"`.
   */
  resnet_time_scale_shift: TimeScaleShift;
  /** Whether the middle has attention; default true. */
  add_attention: boolean;
  /**
   * How the network is told the class: `"timestep"`, a number embedded as the timestep is; `"identity"`, an embedding
   * that comes with the call; null, by the table of `num_class_embeds` if there is one. Default null.
   */
  class_embed_type: ClassEmbedType | null;
  /** Rows of the table of class embeddings, one for each class that the network is told; null for none. Default null. */
  num_class_embeds: number | null;
  /** Rows of the table of a `"learned"` time embedding, which must have some; else for the record. Default null. */
  num_train_timesteps: number | null;
}

/** Diffusers' defaults. */
export const UNET2D_DEFAULTS: Readonly<UNet2DConfig> = {
  sample_size: null,
  in_channels: 3,
  out_channels: 3,
  center_input_sample: false,
  time_embedding_type: "positional",
  time_embedding_dim: null,
  freq_shift: 0,
  flip_sin_to_cos: true,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
  mid_block_type: "UNetMidBlock2D",
  up_block_types: ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
  block_out_channels: [224, 448, 672, 896],
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  downsample_padding: 1,
  downsample_type: "conv",
  upsample_type: "conv",
  dropout: 0,
  act_fn: "silu",
  attention_head_dim: 8,
  norm_num_groups: 32,
  attn_norm_num_groups: null,
  norm_eps: 1e-5,
  resnet_time_scale_shift: "default",
  add_attention: true,
  class_embed_type: null,
  num_class_embeds: null,
  num_train_timesteps: null,
};

/** What a field takes by itself. */
interface Field {
  /** In words, as an error has them after "must be". */
  takes: string;
  /** Whether a value is such. */
  fits(value: unknown): boolean;
  /** Where it changes something, if not in every network. */
  where?: string;
  /** What other networks of Diffusers have here, or this one there, and is refused. */
  refused?: readonly string[];
}

const isCount = (x: unknown): boolean => Number.isInteger(x) && (x as number) >= 1;
const isPositive = (x: unknown): boolean => Number.isFinite(x) && (x as number) > 0;

/** A field that takes a positive whole number. */
const COUNT: Field = { takes: "a positive whole number", fits: isCount };
/** A field that takes a positive whole number, or null. */
const COUNT_OR_NULL: Field = {
  takes: "null or a positive whole number",
  fits: (x) => x === null || isCount(x),
};
/** A field that takes a number above 0. */
const POSITIVE: Field = { takes: "a number above 0", fits: isPositive };
/** A field that takes true or false. */
const SWITCH: Field = { takes: "true or false", fits: (x) => typeof x === "boolean" };

/** A field that takes one of some values. */
function oneOf(values: readonly unknown[], refused: readonly string[] = []): Field {
  const [last, ...others] = values.map((value) => JSON.stringify(value)).toReversed();
  const takes = others.length ? `${others.toReversed().join(", ")} or ${last}` : last;
  return { takes, fits: (x) => values.includes(x), refused };
}

/** A field that takes a list of such values, one for each level. */
function listOf(each: Field): Field {
  return {
    ...each,
    takes: `a list with an entry for each level, each ${each.takes}`,
    fits: (x) => Array.isArray(x) && x.every((value) => each.fits(value)),
  };
}

/** Where the fields of the positional embedding change something. */
const POSITIONAL = 'with `time_embedding_type: "positional"`';

/** What each field takes by itself; {@link RULES} has what they do not take together. */
const FIELDS: Readonly<Record<keyof UNet2DConfig, Field>> = {
  sample_size: {
    takes: "null, or one or two positive whole numbers",
    fits: (x) => x === null || isCount(x) || (Array.isArray(x) && x.length === 2 && x.every(isCount)),
    where: "nowhere: images of any size that the levels halve are taken",
  },
  in_channels: COUNT,
  out_channels: COUNT,
  center_input_sample: SWITCH,
  time_embedding_type: oneOf(["positional", "fourier", "learned"] satisfies TimeEmbeddingType[]),
  time_embedding_dim: COUNT_OR_NULL,
  freq_shift: {
    takes: "a number of at least 0",
    fits: (x) => Number.isFinite(x) && (x as number) >= 0,
    where: POSITIONAL,
  },
  flip_sin_to_cos: { ...SWITCH, where: POSITIONAL },
  down_block_types: listOf(oneOf(Object.keys(DOWN_BLOCKS), [
    "CrossAttnDownBlock2D",
    "SimpleCrossAttnDownBlock2D",
    "DownEncoderBlock2D",
    "AttnDownEncoderBlock2D",
    "KDownBlock2D",
    "KCrossAttnDownBlock2D",
  ])),
  mid_block_type: oneOf([null, "UNetMidBlock2D"], [
    "UNetMidBlock2DCrossAttn",
    "UNetMidBlock2DSimpleCrossAttn",
  ]),
  up_block_types: listOf(oneOf(Object.keys(UP_BLOCKS), [
    "CrossAttnUpBlock2D",
    "SimpleCrossAttnUpBlock2D",
    "UpDecoderBlock2D",
    "AttnUpDecoderBlock2D",
    "KUpBlock2D",
    "KCrossAttnUpBlock2D",
  ])),
  block_out_channels: listOf(COUNT),
  layers_per_block: COUNT,
  mid_block_scale_factor: { ...POSITIVE, where: "in the middle" },
  downsample_padding: {
    takes: "a whole number of at least 0",
    fits: (x) => Number.isInteger(x) && (x as number) >= 0,
    where: "where a convolution halves the image",
  },
  downsample_type: { ...oneOf(["conv", "resnet"] satisfies ResizeType[]), where: "in `AttnDownBlock2D`" },
  upsample_type: { ...oneOf(["conv", "resnet"] satisfies ResizeType[]), where: "in `AttnUpBlock2D`" },
  dropout: { takes: "a number from 0 to 1", fits: (x) => typeof x === "number" && x >= 0 && x <= 1 },
  act_fn: oneOf(Object.keys(ACTIVATIONS)),
  attention_head_dim: COUNT_OR_NULL,
  norm_num_groups: COUNT_OR_NULL,
  attn_norm_num_groups: { ...COUNT_OR_NULL, where: "in the attention of the middle" },
  norm_eps: POSITIVE,
  resnet_time_scale_shift: oneOf(["default", "scale_shift"] satisfies TimeScaleShift[], [
    "ada_group",
    "spatial",
  ]),
  add_attention: { ...SWITCH, where: "in the middle" },
  class_embed_type: oneOf([null, "timestep", "identity"], ["projection", "simple_projection"]),
  num_class_embeds: COUNT_OR_NULL,
  num_train_timesteps: { ...COUNT_OR_NULL, where: 'with `time_embedding_type: "learned"`' },
};

/** What a field must be beside others. */
interface Rule {
  field: keyof UNet2DConfig;
  /** In words, as an error has them after "must be". */
  must: string;
  broken(config: UNet2DConfig): boolean;
}

const isSkip = (type: DownBlockType | UpBlockType): boolean => type.includes("Skip");

/** Whether a convolution halves an image: each block but the last does, and those two kinds by one. */
function halvesByConvolution({ down_block_types, downsample_type }: UNet2DConfig): boolean {
  return down_block_types.slice(0, -1).some((type) =>
    type === "DownBlock2D" || type === "AttnDownBlock2D" && downsample_type === "conv"
  );
}

/** What the fields, each right by itself, must be beside each other; Diffusers' network fails or is another there. */
const RULES: readonly Rule[] = [
  {
    field: "freq_shift",
    must: "below the number of frequencies, half of block_out_channels[0]",
    broken: (c) =>
      c.time_embedding_type === "positional" && c.freq_shift >= Math.floor(c.block_out_channels[0] / 2),
  },
  {
    field: "num_train_timesteps",
    must: 'a positive whole number where time_embedding_type is "learned"',
    broken: (c) => c.time_embedding_type === "learned" && c.num_train_timesteps === null,
  },
  {
    field: "num_class_embeds",
    must: "null where there is a class_embed_type",
    broken: (c) => c.class_embed_type !== null && c.num_class_embeds !== null,
  },
  {
    field: "downsample_padding",
    must: "0 or 1 where a convolution halves the image",
    broken: (c) => c.downsample_padding > 1 && halvesByConvolution(c),
  },
  {
    field: "norm_num_groups",
    must: "a positive whole number where a block is not of the skip kinds",
    broken: (c) => c.norm_num_groups === null && ![...c.down_block_types, ...c.up_block_types].every(isSkip),
  },
  {
    field: "in_channels",
    must: `${SKIP_IMAGE_CHANNELS} where a block of the skip kinds halves the image`,
    broken: (c) => c.in_channels !== SKIP_IMAGE_CHANNELS && c.down_block_types.slice(0, -1).some(isSkip),
  },
  {
    field: "out_channels",
    must: `${SKIP_IMAGE_CHANNELS} where a block of the skip kinds doubles the image`,
    broken: (c) => c.out_channels !== SKIP_IMAGE_CHANNELS && c.up_block_types.slice(0, -1).some(isSkip),
  },
  {
    field: "down_block_types",
    must: "such that before a block of the skip kinds that halves the image all are of those kinds",
    broken: (c) => {
      const halving = c.down_block_types.slice(0, -1);
      return halving.some((type, i) => isSkip(type) && !halving.slice(0, i).every(isSkip));
    },
  },
  {
    field: "up_block_types",
    must: "such that after a block of the skip kinds all are of those kinds",
    broken: ({ up_block_types: types }) =>
      types.some((type, i) => isSkip(type) && !types.slice(i).every(isSkip)),
  },
];

/** What a config's field takes, as docs/unet.md has it. */
export interface ConfigFieldDescription {
  /** Its name. */
  field: keyof UNet2DConfig;
  /** What it takes by itself, in words. */
  takes: string;
  /** Diffusers' default. */
  default: unknown;
  /** Where it changes something, in words; undefined for everywhere. */
  where?: string;
  /** What it must be beside other fields, in words. */
  together: string[];
  /** Values that Diffusers knows of and are refused by the field's name, as any other is. */
  refused: string[];
}

/**
 * What each field of a U-Net's config takes, in the order of Diffusers: the table of docs/unet.md. A field that is not
 * among them is refused by its name.
 */
export function describeConfig(): ConfigFieldDescription[] {
  return Object.entries(UNET2D_DEFAULTS).map(([name, value]) => {
    const field = name as keyof UNet2DConfig, { takes, where, refused = [] } = FIELDS[field];
    const together = RULES.filter((rule) => rule.field === field).map(({ must }) => must);
    return { field, takes, default: structuredClone(value), where, together, refused: [...refused] };
  });
}

/** @throws Error that names the field, its value and what would be right, unless it fits. */
function requireField(field: string, value: unknown, fits: boolean, right: string): void {
  if (fits) return;
  const said = typeof value === "number" ? value : JSON.stringify(value) ?? value;
  throw new Error(`UNet2DModel: ${field} must be ${right}, not ${said}`);
}

/** @throws Error for a field that is not known. */
function requireKnown(fields: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(fields)) {
    if (Object.hasOwn(UNET2D_DEFAULTS, field)) continue;
    throw new Error(
      `UNet2DModel: there is no config field "${field}" (${JSON.stringify(value)}); there are ` +
        Object.keys(UNET2D_DEFAULTS).join(", "),
    );
  }
}

/** @throws Error for a value that no network has. */
function requireValues(config: UNet2DConfig): void {
  for (const { field, takes } of describeConfig()) {
    requireField(field, config[field], FIELDS[field].fits(config[field]), takes);
  }
}

/** @throws Error for lists of other lengths. */
function requireLevels({ down_block_types, up_block_types, block_out_channels }: UNet2DConfig): void {
  const levels = block_out_channels.length;
  if (down_block_types.length === levels && up_block_types.length === levels && levels > 0) return;
  throw new Error(
    `UNet2DModel: down_block_types (${down_block_types.length}), up_block_types (${up_block_types.length}) ` +
      `and block_out_channels (${levels}) must have the same length, at least 1`,
  );
}

/** @throws Error for values that do not go together. */
function requireTogether(config: UNet2DConfig): void {
  for (const { field, must, broken } of RULES) requireField(field, config[field], !broken(config), must);
}

/**
 * The whole config of the fields that are given, which may be a `config.json` of Diffusers. One given as undefined is one
 * left out, and what Diffusers notes for itself (`_use_default_values`, …) is passed over, but for what it says of the
 * network: `_class_name`, and a `_diffusers_version` before 0.17, whose networks have other norms.
 * @throws Error for a field that is not known, for a value that is not supported, and for a config that no network fits.
 */
export function completeConfig(fields: Partial<UNet2DConfig>): UNet2DConfig {
  const given = fromDiffusers({ ...fields });
  requireKnown(given);
  const config: UNet2DConfig = { ...UNET2D_DEFAULTS, ...given };
  requireValues(config);
  requireLevels(config);
  requireTogether(config);
  return structuredClone(config);
}

/** The fields of a `config.json` as they would be written today. */
function fromDiffusers(fields: Record<string, unknown>): Record<string, unknown> {
  const { _class_name = CLASS_NAME, _diffusers_version, ...rest } = fields;
  requireField("_class_name", _class_name, _class_name === CLASS_NAME, `"${CLASS_NAME}"`);
  const given = Object.fromEntries(
    Object.entries(rest).filter(([field, value]) => value !== undefined && !field.startsWith("_")),
  );
  for (const field of ["down_block_types", "up_block_types"]) {
    const types = given[field]; // the first versions began them by UNetRes
    if (Array.isArray(types)) given[field] = types.map((type) => String(type).replace(/^UNetRes/, ""));
  }
  const normed = isBefore017(_diffusers_version) && given.resnet_time_scale_shift === "scale_shift";
  if (normed) given.attn_norm_num_groups ??= given.norm_num_groups ?? UNET2D_DEFAULTS.norm_num_groups;
  return given;
}

/** Whether a version of Diffusers is from before 0.17, where the middle's attention always had a norm. */
function isBefore017(version: unknown): boolean {
  const [major, minor] = String(version ?? "").split(".").map(Number);
  return major === 0 && minor < 17;
}

/**
 * Numbers that a network of a config has at the least: those of the second convolutions and the tables. So a file that is
 * too small for it is known before the network is made.
 */
export function leastParameters(c: UNet2DConfig): number {
  const embedded = c.time_embedding_dim ?? 4 * c.block_out_channels[0];
  const blocks = c.block_out_channels.map((channels) => 9 * channels * channels * c.layers_per_block);
  const learned = c.time_embedding_type === "learned" ? c.num_train_timesteps! * c.block_out_channels[0] : 0;
  const tables = embedded * embedded + (c.num_class_embeds ?? 0) * embedded + learned;
  return blocks.reduce((sum, numbers) => sum + numbers, tables);
}

/** What Diffusers calls the network in a `config.json`. */
const CLASS_NAME = "UNet2DModel";
/** The version of Diffusers whose `config.json` this is. */
const DIFFUSERS_VERSION = "0.42.1";

/**
 * A config as Diffusers' `config.json` has it: all fields, the network's name, and the version whose fields they are.
 * `new UNet2DModel(config)` takes it back.
 * @param config of a {@link UNet2DModel}
 * @throws Error as {@link UNet2DModel}, also for the config of a network of another class.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { unet } from "../../mod.ts";
 * const json = unet.toDiffusersConfig({ in_channels: 1, out_channels: 1 });
 * assert(json._class_name === "UNet2DModel" && json.norm_num_groups === 32);
 * ```
 */
export function toDiffusersConfig(config: Partial<UNet2DConfig>): Record<string, unknown> {
  return {
    _class_name: CLASS_NAME,
    _diffusers_version: DIFFUSERS_VERSION,
    ...completeConfig(config),
  };
}
