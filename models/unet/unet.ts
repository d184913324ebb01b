/** UNet2DModel. */
import { Conv2d, F, GroupNorm, Module, type Tensor, tf } from "../../core/mod.ts";
import { DownBlock, UNetMidBlock2D, UpBlock } from "./blocks.ts";
import { completeConfig, type UNet2DConfig } from "./config.ts";
import { TimestepEmbedding, timestepEmbedding } from "./embedding.ts";

/** A timestep for each of n images: of one for all, or of n. */
function stepsOf(t: Tensor | number, n: number): Tensor {
  if (typeof t === "number") return tf.fill([n], t);
  if (t.size === 1) return tf.tile(tf.reshape(t, [1]), [n]);
  if (t.shape.length === 1 && t.size === n) return t;
  throw new Error(`UNet2DModel: t has the shape [${t.shape}]; ${n} images take one timestep, or [${n}]`);
}

/**
 * The network behind {@link UNet2DModel}, without a forward of its own: subclasses decide how inputs come and outputs go.
 */
export abstract class UNet2D<In extends unknown[], Out> extends Module<In, Out> {
  readonly #config: UNet2DConfig;
  /** Of the noisy image. */
  conv_in: Conv2d;
  /** What the blocks are told of the timestep. */
  time_embedding: TimestepEmbedding;
  /** The way down, the largest images first. */
  down_blocks: DownBlock[];
  /** The smallest images. */
  mid_block: UNetMidBlock2D;
  /** The way up, the smallest images first. */
  up_blocks: UpBlock[];
  /** Norm and SiLU before the output. */
  conv_norm_out: GroupNorm;
  /** The output. */
  conv_out: Conv2d;

  /**
   * Makes the parts with random weights.
   * @param config fields that differ from {@link UNET2D_DEFAULTS}
   * @throws Error for a config that no network fits, such as 16 channels in 32 groups.
   */
  constructor(config: Partial<UNet2DConfig> = {}) {
    super();
    const c = this.#config = completeConfig(config);
    const channels = c.block_out_channels, top = channels.length - 1;
    const shared = {
      tembChannels: channels[0] * 4,
      groups: c.norm_num_groups,
      eps: c.norm_eps,
      headDim: c.attention_head_dim,
    };
    this.conv_in = new Conv2d(c.in_channels, channels[0], 3, { padding: 1 });
    this.time_embedding = new TimestepEmbedding(channels[0], shared.tembChannels);
    this.down_blocks = channels.map((outChannels, i) =>
      new DownBlock({
        ...shared,
        inChannels: channels[Math.max(i - 1, 0)],
        outChannels,
        layers: c.layers_per_block,
        addAttention: c.down_block_types[i] === "AttnDownBlock2D",
        addDownsample: i < top,
        downsamplePadding: c.downsample_padding,
      })
    );
    this.mid_block = new UNetMidBlock2D({
      ...shared,
      channels: channels[top],
      addAttention: c.add_attention,
      scaleFactor: c.mid_block_scale_factor,
    });
    const up = channels.toReversed();
    this.up_blocks = up.map((outChannels, i) =>
      new UpBlock({
        ...shared,
        inChannels: up[Math.min(i + 1, top)],
        prevOutputChannel: up[Math.max(i - 1, 0)],
        outChannels,
        layers: c.layers_per_block + 1,
        addAttention: c.up_block_types[i] === "AttnUpBlock2D",
        addUpsample: i < top,
      })
    );
    this.conv_norm_out = new GroupNorm(c.norm_num_groups, channels[0], { eps: c.norm_eps, silu: true });
    this.conv_out = new Conv2d(channels[0], c.out_channels, 3, { padding: 1 });
  }

  /** The whole config, defaults included. */
  get config(): UNet2DConfig {
    return this.#config;
  }

  /**
   * The predicted noise.
   * @param x noisy images [N,H,W,in_channels]
   * @param t timesteps [N], or one for all
   * @returns [N,H,W,out_channels]
   * @throws Error if x is of other channels, the downsamplers do not divide it, or there are not as many timesteps.
   */
  protected predict(x: Tensor, t: Tensor | number): Tensor {
    const c = this.#config;
    if (x.shape.length !== 4 || x.shape[3] !== c.in_channels) {
      throw new Error(`UNet2DModel takes images [N,H,W,${c.in_channels}], not [${x.shape}]`);
    }
    const [n, h, w] = x.shape, factor = 2 ** (c.block_out_channels.length - 1);
    if (h % factor || w % factor) {
      throw new Error(
        `An image of ${h}×${w} does not halve ${Math.log2(factor)} times: pad it to a multiple of ${factor}`,
      );
    }
    const embedded = timestepEmbedding(stepsOf(t, n), c.block_out_channels[0], {
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
   * The predicted noise.
   * @param x noisy images [N,H,W,in_channels]
   * @param t timesteps [N], or one for all
   * @returns [N,H,W,out_channels] as `sample`
   */
  override forward(x: Tensor, t: Tensor | number): { sample: Tensor } {
    return { sample: this.predict(x, t) };
  }
}
