/** The config of a U-Net, with the names and defaults of Diffusers' `UNet2DModel`. */

/** A block on the way down: residual blocks, with or without attention. */
export type DownBlockType = "DownBlock2D" | "AttnDownBlock2D";
/** A block on the way up: residual blocks, with or without attention. */
export type UpBlockType = "UpBlock2D" | "AttnUpBlock2D";
/** How classes are told beside the timestep where it is no table: embedded as a timestep is, or as they are given. */
export type ClassEmbedType = "timestep" | "identity";

/**
 * The fields of Diffusers' `config.json`. A field of its other networks (`dropout`, `upsample_type`, …) is taken where
 * it has the value that changes nothing.
 */
export interface UNet2DConfig {
  /** Height and width, or one number for both, for the record: any that the downsamplers divide works. Default null. */
  sample_size: number | [height: number, width: number] | null;
  /** Channels of the noisy image; default 3. */
  in_channels: number;
  /** Channels of the output; default 3. */
  out_channels: number;
  /** How the network is told the timestep; only `"positional"`, the sinusoidal embedding, which is the default. */
  time_embedding_type: "positional";
  /** Subtracted from the number of frequencies in the embedding's exponent, at least 0 and below it; default 0. */
  freq_shift: number;
  /** Cosines before sines in the embedding; default true. */
  flip_sin_to_cos: boolean;
  /** A block for each level, the largest images first; default attention in all but the first. */
  down_block_types: DownBlockType[];
  /** A block for each level, the smallest images first; default attention in all but the last. */
  up_block_types: UpBlockType[];
  /** Channels of each level, each a multiple of `norm_num_groups`; default [224, 448, 672, 896]. */
  block_out_channels: number[];
  /** Residual blocks of a down block, an up block having one more; default 2. */
  layers_per_block: number;
  /** What the outputs of the middle's blocks are divided by, above 0; default 1. */
  mid_block_scale_factor: number;
  /** Zeros around the image that a downsampler halves, 0 or 1; default 1. */
  downsample_padding: number;
  /** The activation; only `"silu"`, which is the default. */
  act_fn: "silu";
  /** Channels of an attention head, a divisor of those of each level with attention; null for one head; default 8. */
  attention_head_dim: number | null;
  /** Groups of every norm, a divisor of each level's channels; default 32. */
  norm_num_groups: number;
  /** Epsilon of every norm, above 0; default 1e-5. */
  norm_eps: number;
  /** Whether the middle has attention; default true. */
  add_attention: boolean;
  /**
   * How the network is told the class: `"timestep"`, a number embedded as the timestep is; `"identity"`, an embedding
   * that comes with the call; null, by the table of `num_class_embeds` if there is one. Default null.
   */
  class_embed_type: ClassEmbedType | null;
  /** Rows of the table of class embeddings, one for each class that the network is told; null for none. Default null. */
  num_class_embeds: number | null;
}

/** Diffusers' defaults. */
export const UNET2D_DEFAULTS: Readonly<UNet2DConfig> = {
  sample_size: null,
  in_channels: 3,
  out_channels: 3,
  time_embedding_type: "positional",
  freq_shift: 0,
  flip_sin_to_cos: true,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
  up_block_types: ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
  block_out_channels: [224, 448, 672, 896],
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  downsample_padding: 1,
  act_fn: "silu",
  attention_head_dim: 8,
  norm_num_groups: 32,
  norm_eps: 1e-5,
  add_attention: true,
  class_embed_type: null,
  num_class_embeds: null,
};

/** Fields of other networks of Diffusers, with the only values that change nothing here. */
const UNSUPPORTED: Readonly<Record<string, unknown>> = {
  center_input_sample: false,
  time_embedding_dim: null,
  mid_block_type: "UNetMidBlock2D",
  downsample_type: "conv",
  upsample_type: "conv",
  dropout: 0,
  attn_norm_num_groups: null,
  resnet_time_scale_shift: "default",
};
/** Fields that say nothing about a network with sinusoidal embeddings. */
const WITHOUT_EFFECT = ["num_train_timesteps"];

/** @throws Error that names the field, its value and what would be right, unless it fits. */
function requireField(field: string, value: unknown, fits: boolean, right: string): void {
  if (!fits) throw new Error(`UNet2DModel: ${field} must be ${right}, not ${JSON.stringify(value) ?? value}`);
}

const isCount = (x: unknown): boolean => Number.isInteger(x) && (x as number) >= 1;

/** Whether a value is null, one count, or two. */
const isSize = (x: unknown): boolean =>
  x === null || isCount(x) || (Array.isArray(x) && x.length === 2 && x.every(isCount));

/** @throws Error for a field that is not known, or has a value that is not supported. */
function requireKnown(fields: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(fields)) {
    if (Object.hasOwn(UNSUPPORTED, field)) {
      const only = UNSUPPORTED[field];
      requireField(field, value, value === only, `${JSON.stringify(only)}, all that is supported`);
    } else if (!Object.hasOwn(UNET2D_DEFAULTS, field) && !WITHOUT_EFFECT.includes(field)) {
      throw new Error(
        `UNet2DModel: there is no config field "${field}" (${JSON.stringify(value)}); there are ` +
          Object.keys(UNET2D_DEFAULTS).join(", "),
      );
    }
  }
}

/** @throws Error for a value that no network has. */
function requireValues(config: UNet2DConfig): void {
  for (const field of ["in_channels", "out_channels", "layers_per_block", "norm_num_groups"] as const) {
    requireField(field, config[field], isCount(config[field]), "a positive whole number");
  }
  const { sample_size, attention_head_dim, norm_eps } = config;
  requireField("sample_size", sample_size, isSize(sample_size), "null, or one or two positive whole numbers");
  const head = attention_head_dim === null || isCount(attention_head_dim);
  requireField("attention_head_dim", attention_head_dim, head, "null or a positive whole number");
  requireField("norm_eps", norm_eps, norm_eps > 0 && Number.isFinite(norm_eps), "a number above 0");
  const scale = config.mid_block_scale_factor;
  requireField("mid_block_scale_factor", scale, scale > 0 && Number.isFinite(scale), "a number above 0");
  const padding = config.downsample_padding;
  requireField("downsample_padding", padding, padding === 0 || padding === 1, "0 or 1");
  for (const field of ["flip_sin_to_cos", "add_attention"] as const) {
    requireField(field, config[field], typeof config[field] === "boolean", "true or false");
  }
  requireField("act_fn", config.act_fn, config.act_fn === "silu", '"silu", all that is supported');
  const time = config.time_embedding_type;
  requireField("time_embedding_type", time, time === "positional", '"positional", all that is supported');
  const type = config.class_embed_type, types: unknown[] = [null, "timestep", "identity"];
  requireField("class_embed_type", type, types.includes(type), 'null, "timestep" or "identity"');
  const classes = config.num_class_embeds;
  requireField(
    "num_class_embeds",
    classes,
    classes === null || (isCount(classes) && type === null),
    type === null ? "null or a positive whole number" : `null where class_embed_type is "${type}"`,
  );
}

/** @throws Error for lists that make no network. */
function requireLevels(config: UNet2DConfig): void {
  const { down_block_types, up_block_types, block_out_channels, freq_shift } = config;
  for (const field of ["down_block_types", "up_block_types", "block_out_channels"] as const) {
    requireField(field, config[field], Array.isArray(config[field]), "a list with an entry for each level");
  }
  const levels = block_out_channels.length;
  if (down_block_types.length !== levels || up_block_types.length !== levels || levels === 0) {
    throw new Error(
      `UNet2DModel: down_block_types (${down_block_types.length}), up_block_types (${up_block_types.length}) ` +
        `and block_out_channels (${levels}) must have the same length, at least 1`,
    );
  }
  const counts = block_out_channels.every(isCount);
  requireField("block_out_channels", block_out_channels, counts, "positive whole numbers");
  const frequencies = Math.floor(block_out_channels[0] / 2);
  const shifts = Number.isFinite(freq_shift) && freq_shift >= 0 && freq_shift < frequencies;
  requireField(
    "freq_shift",
    freq_shift,
    shifts,
    `at least 0 and below the ${frequencies} frequencies of block_out_channels[0]`,
  );
  const down: DownBlockType[] = ["DownBlock2D", "AttnDownBlock2D"],
    up: UpBlockType[] = ["UpBlock2D", "AttnUpBlock2D"];
  for (const type of down_block_types) {
    requireField("each of down_block_types", type, down.includes(type), `one of ${down.join(", ")}`);
  }
  for (const type of up_block_types) {
    requireField("each of up_block_types", type, up.includes(type), `one of ${up.join(", ")}`);
  }
}

/**
 * The whole config of the fields that are given. One given as undefined is one left out, and what Diffusers notes for
 * itself (`_class_name`, …) is passed over.
 * @throws Error for a field that is not known or not supported, and for a config that no network fits.
 */
export function completeConfig(fields: Partial<UNet2DConfig>): UNet2DConfig {
  const given = Object.fromEntries(
    Object.entries(fields).filter(([field, value]) => value !== undefined && !field.startsWith("_")),
  );
  requireKnown(given);
  const supported = Object.entries(given).filter(([field]) => Object.hasOwn(UNET2D_DEFAULTS, field));
  const config: UNet2DConfig = { ...UNET2D_DEFAULTS, ...Object.fromEntries(supported) };
  requireValues(config);
  requireLevels(config);
  return structuredClone(config);
}
