/** The config of a U-Net, with the names and defaults of Diffusers' `UNet2DModel`. */

/** A block on the way down: residual blocks, with or without attention. */
export type DownBlockType = "DownBlock2D" | "AttnDownBlock2D";
/** A block on the way up: residual blocks, with or without attention. */
export type UpBlockType = "UpBlock2D" | "AttnUpBlock2D";

/** The fields of Diffusers' `config.json`. */
export interface UNet2DConfig {
  /** Height and width, for the record: any that the downsamplers divide works. Default null. */
  sample_size: number | null;
  /** Channels of the noisy image; default 3. */
  in_channels: number;
  /** Channels of the output; default 3. */
  out_channels: number;
  /** How the network is told the timestep; only `"positional"`, the sinusoidal embedding. */
  time_embedding_type: "positional";
  /** Subtracted from the number of frequencies in the embedding's exponent; default 0. */
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
  /** What the outputs of the middle's blocks are divided by; default 1. */
  mid_block_scale_factor: number;
  /** Zeros around the image that a downsampler halves, 0 or 1; default 1. */
  downsample_padding: number;
  /** The activation; only `"silu"`. */
  act_fn: "silu";
  /** Channels of an attention head, null for one head; default 8. */
  attention_head_dim: number | null;
  /** Groups of every norm; default 32. */
  norm_num_groups: number;
  /** Epsilon of every norm; default 1e-5. */
  norm_eps: number;
  /** Whether the middle has attention; default true. */
  add_attention: boolean;
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
};

/**
 * The whole config of the fields that are given.
 * @throws Error for one that no network fits, naming the field, its value and what would be right.
 */
export function completeConfig(fields: Partial<UNet2DConfig>): UNet2DConfig {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const config: UNet2DConfig = { ...UNET2D_DEFAULTS, ...Object.fromEntries(given) };
  const { down_block_types: down, up_block_types: up, block_out_channels: channels } = config;
  if (down.length !== channels.length || up.length !== channels.length) {
    throw new Error(
      `down_block_types (${down.length}), up_block_types (${up.length}) and block_out_channels ` +
        `(${channels.length}) must have the same length`,
    );
  }
  const known = ["DownBlock2D", "AttnDownBlock2D", "UpBlock2D", "AttnUpBlock2D"];
  for (const type of [...down, ...up]) {
    if (!known.includes(type)) throw new Error(`Unknown block type "${type}": one of ${known.join(", ")}`);
  }
  if (config.act_fn !== "silu") throw new Error(`act_fn "${config.act_fn}" is not supported: use "silu"`);
  if (config.time_embedding_type !== "positional") {
    throw new Error(`time_embedding_type "${config.time_embedding_type}" is not supported: use "positional"`);
  }
  return config;
}
