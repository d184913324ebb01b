/** UNet2DModel. */
import { constant, Conv2d, F, GroupNorm, Linear, Module, type Tensor, tf } from "../../core/mod.ts";
import { type BlockOptions, DownBlock, UNetMidBlock2D, UpBlock } from "./blocks.ts";

/** Names of blocks on the way down. */
export type DownBlockType = "DownBlock2D" | "AttnDownBlock2D";
/** Names of blocks on the way up. */
export type UpBlockType = "UpBlock2D" | "AttnUpBlock2D";

/** The fields of Diffusers' `config.json`, with its names and defaults. */
export interface UNet2DConfig {
  /** Height and width, for the record; any that the downsamplers divide works. */
  sample_size: number | null;
  in_channels: number;
  out_channels: number;
  time_embedding_type: "positional";
  /** Subtracted from the number of frequencies in the embedding's exponent. */
  freq_shift: number;
  /** Cosines before sines in the embedding. */
  flip_sin_to_cos: boolean;
  down_block_types: DownBlockType[];
  up_block_types: UpBlockType[];
  block_out_channels: number[];
  /** Residual blocks of a down block; an up block has one more. */
  layers_per_block: number;
  mid_block_scale_factor: number;
  downsample_padding: number;
  act_fn: "silu";
  /** Channels of an attention head; null for one head. */
  attention_head_dim: number | null;
  norm_num_groups: number;
  norm_eps: number;
  /** Whether the middle block has attention. */
  add_attention: boolean;
}

/** Diffusers' defaults. */
export const UNET2D_DEFAULTS: UNet2DConfig = {
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

function checked(config: UNet2DConfig): UNet2DConfig {
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

/**
 * Sinusoidal embedding of timesteps (Vaswani et al. 2017, section 3.5; Diffusers' `get_timestep_embedding`).
 * @param t [N] @param dim even @returns [N,dim]
 */
export function timestepEmbedding(
  t: Tensor,
  dim: number,
  { flipSinToCos = false, freqShift = 0, maxPeriod = 10000 } = {},
): Tensor {
  const half = Math.floor(dim / 2);
  const frequencies = constant(`frequencies ${half} ${freqShift} ${maxPeriod}`, () => {
    const powers = Array.from({ length: half }, (_, i) => -Math.log(maxPeriod) * i / (half - freqShift));
    return tf.tensor2d(powers.map(Math.exp), [1, half]);
  });
  const angles = tf.mul(tf.reshape(tf.cast(t, "float32"), [-1, 1]), frequencies);
  const [sin, cos] = [tf.sin(angles), tf.cos(angles)];
  const both = tf.concat(flipSinToCos ? [cos, sin] : [sin, cos], 1);
  return dim % 2 ? tf.pad(both, [[0, 0], [0, 1]]) : both;
}

/** linear, SiLU, linear. */
export class TimestepEmbedding extends Module<[Tensor], Tensor> {
  linear_1: Linear;
  linear_2: Linear;
  constructor(channels: number, embedDim: number) {
    super();
    this.linear_1 = new Linear(channels, embedDim);
    this.linear_2 = new Linear(embedDim, embedDim);
  }
  override forward(x: Tensor): Tensor {
    return this.linear_2.call(F.silu(this.linear_1.call(x)));
  }
}

/**
 * The network behind {@link UNet2DModel}, without a forward of its own: subclasses decide how inputs come and outputs go.
 */
export abstract class UNet2D<In extends unknown[], Out> extends Module<In, Out> {
  readonly #config: UNet2DConfig;
  conv_in: Conv2d;
  time_embedding: TimestepEmbedding;
  down_blocks: DownBlock[];
  mid_block: UNetMidBlock2D;
  up_blocks: UpBlock[];
  conv_norm_out: GroupNorm;
  conv_out: Conv2d;

  /** @throws Error for a config that no network fits, such as 16 channels in 32 groups. */
  constructor(config: Partial<UNet2DConfig> = {}) {
    super();
    const c = this.#config = checked({ ...UNET2D_DEFAULTS, ...config });
    const channels = c.block_out_channels;
    const first = channels[0], last = channels.at(-1)!;
    const options: BlockOptions = {
      tembChannels: first * 4,
      groups: c.norm_num_groups,
      eps: c.norm_eps,
      headDim: c.attention_head_dim,
      downsamplePadding: c.downsample_padding,
    };
    channels.forEach((n) => F.requireGroups(c.norm_num_groups, n));
    this.conv_in = new Conv2d(c.in_channels, first, 3, { padding: 1 });
    this.time_embedding = new TimestepEmbedding(first, first * 4);
    this.down_blocks = channels.map((out, i) =>
      new DownBlock(
        ...[i === 0 ? first : channels[i - 1], out, c.layers_per_block] as const,
        i < channels.length - 1,
        c.down_block_types[i] === "AttnDownBlock2D",
        options,
      )
    );
    this.mid_block = new UNetMidBlock2D(last, c.add_attention, c.mid_block_scale_factor, options);
    const up = channels.toReversed();
    this.up_blocks = up.map((out, i) =>
      new UpBlock(
        up[Math.min(i + 1, up.length - 1)],
        up[Math.max(i - 1, 0)],
        ...[out, c.layers_per_block + 1] as const,
        i < up.length - 1,
        c.up_block_types[i] === "AttnUpBlock2D",
        options,
      )
    );
    this.conv_norm_out = new GroupNorm(c.norm_num_groups, first, { eps: c.norm_eps, silu: true });
    this.conv_out = new Conv2d(first, c.out_channels, 3, { padding: 1 });
  }

  /** The whole config, defaults included. */
  get config(): UNet2DConfig {
    return this.#config;
  }

  /**
   * @param x noisy images [N,H,W,in_channels]
   * @param t timesteps [N], or one for all
   * @returns the predicted noise [N,H,W,out_channels]
   * @throws Error if the downsamplers do not divide the image.
   */
  protected predict(x: Tensor, t: Tensor | number): Tensor {
    const c = this.#config;
    const [n, h, w] = x.shape, factor = 2 ** (c.block_out_channels.length - 1);
    if (h % factor || w % factor) {
      throw new Error(
        `An image of ${h}×${w} does not halve ${Math.log2(factor)} times: pad it to a multiple of ${factor}`,
      );
    }
    const steps = typeof t === "number" ? tf.fill([n], t) : t;
    const embedded = timestepEmbedding(steps, c.block_out_channels[0], {
      flipSinToCos: c.flip_sin_to_cos,
      freqShift: c.freq_shift,
    });
    const temb = F.silu(this.time_embedding.call(embedded)); // every block begins with this SiLU

    let y = this.conv_in.call(x);
    const skips = [y];
    for (const block of this.down_blocks) {
      skips.push(...block.call(y, temb));
      y = skips.at(-1)!;
    }
    y = this.mid_block.call(y, temb);
    for (const block of this.up_blocks) {
      y = block.call(y, skips.splice(-block.resnets.length), temb);
    }
    return this.conv_out.call(this.conv_norm_out.call(y));
  }
}

/**
 * The U-Net that predicts an image's noise from the noisy image and its timestep (Ho et al. 2020, appendix B): the
 * architecture, config fields and parameter names of Diffusers v0.11. Images are NHWC.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { tf, UNet2DModel, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet2DModel({
 *   in_channels: 1,
 *   out_channels: 1,
 *   block_out_channels: [16, 32, 64, 64],
 *   norm_num_groups: 8,
 * });
 * const { sample } = model.call(tf.zeros([2, 32, 32, 1]), tf.tensor1d([10, 500]));
 * assert(sample.shape.join() === "2,32,32,1");
 * ```
 */
export class UNet2DModel extends UNet2D<[Tensor, Tensor | number], { sample: Tensor }> {
  /**
   * @param x noisy images [N,H,W,in_channels]
   * @param t timesteps [N], or one for all
   * @returns the predicted noise [N,H,W,out_channels] as `sample`
   */
  override forward(x: Tensor, t: Tensor | number): { sample: Tensor } {
    return { sample: this.predict(x, t) };
  }
}
