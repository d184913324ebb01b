/** UNet2DModel. */
import { Conv2d, Embedding, F, GroupNorm, Module, type Tensor, tf } from "../../core/mod.ts";
import { DownBlock, UNetMidBlock2D, UpBlock } from "./blocks.ts";
import { completeConfig, type UNet2DConfig } from "./config.ts";
import { TimestepEmbedding, timestepEmbedding } from "./embedding.ts";

/** A number for each of n images: of one for all, or of n. */
function perImage(name: "t" | "classes", x: Tensor | number, n: number): Tensor {
  if (typeof x === "number") return tf.fill([n], x);
  if (x.size === 1) return tf.tile(tf.reshape(x, [1]), [n]);
  if (x.shape.length === 1 && x.size === n) return x;
  const one = name === "t" ? "one timestep" : "one class";
  throw new Error(`UNet2DModel: ${name} has the shape [${x.shape}]; ${n} images take ${one}, or [${n}]`);
}

/** Classes of images: one for all, a class for each [N], or with `class_embed_type: "identity"` embeddings [N,E]. */
export type ClassLabels = Tensor | number;

/**
 * The network behind {@link UNet2DModel}, without a forward of its own: subclasses decide how inputs come and outputs go.
 */
export abstract class UNet2D<In extends unknown[], Out> extends Module<In, Out> {
  readonly #config: UNet2DConfig;
  /** Of the noisy image. */
  conv_in: Conv2d;
  /** What the blocks are told of the timestep. */
  time_embedding: TimestepEmbedding;
  /** What the blocks are told of the class: a table, or what embeds a number; null where that is nothing. */
  class_embedding: Embedding | TimestepEmbedding | null;
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
   * @throws Error for a field that is not known or not supported, and for a config that no network fits, such as 16
   *   channels in 32 groups.
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
    this.class_embedding = c.num_class_embeds !== null
      ? new Embedding(c.num_class_embeds, shared.tembChannels)
      : c.class_embed_type === "timestep"
      ? new TimestepEmbedding(channels[0], shared.tembChannels)
      : null;
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

  /** A copy of the whole config, defaults included. */
  get config(): UNet2DConfig {
    return structuredClone(this.#config);
  }

  /** What the network is told of numbers [N], before its layers. */
  #sinusoids(numbers: Tensor): Tensor {
    const c = this.#config;
    return timestepEmbedding(numbers, c.block_out_channels[0], {
      flipSinToCos: c.flip_sin_to_cos,
      freqShift: c.freq_shift,
    });
  }

  /** What the blocks are told of the images' classes; nothing where the network knows of none. */
  #embedClasses(classes: ClassLabels | undefined, n: number): Tensor | undefined {
    const { class_embed_type, num_class_embeds, block_out_channels } = this.#config;
    if (class_embed_type === null && num_class_embeds === null) {
      if (classes === undefined) return undefined;
      throw new Error(
        "UNet2DModel: classes are given to a network without num_class_embeds or class_embed_type",
      );
    }
    if (classes === undefined) {
      throw new Error("UNet2DModel: a network with num_class_embeds or class_embed_type takes classes");
    }
    if (class_embed_type === "identity") {
      const shape = [n, 4 * block_out_channels[0]];
      if (typeof classes !== "number" && String(classes.shape) === String(shape)) return classes;
      const given = typeof classes === "number" ? classes : `[${classes.shape}]`;
      throw new Error(`UNet2DModel: with class_embed_type "identity" classes are [${shape}], not ${given}`);
    }
    const each = perImage("classes", classes, n);
    return this.class_embedding instanceof Embedding
      ? this.class_embedding.call(each)
      : this.class_embedding!.call(this.#sinusoids(each));
  }

  /**
   * The predicted noise.
   * @param x noisy images [N,H,W,in_channels]
   * @param t timesteps [N], or one for all
   * @param classes of the images, where the config has `num_class_embeds` or `class_embed_type`
   * @returns [N,H,W,out_channels]
   * @throws Error if x is of other channels, the downsamplers do not divide it, there are not as many timesteps or
   *   classes, or classes where there should be none or the other way round.
   */
  protected predict(x: Tensor, t: Tensor | number, classes?: ClassLabels): Tensor {
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
    let told = this.time_embedding.call(this.#sinusoids(perImage("t", t, n)));
    const ofClasses = this.#embedClasses(classes, n);
    if (ofClasses) told = tf.add(told, ofClasses);
    const temb = F.silu(told); // every block begins with this SiLU

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
export class UNet2DModel extends UNet2D<[Tensor, Tensor | number, ClassLabels?], { sample: Tensor }> {
  /**
   * The predicted noise, the same in training and evaluation: the network has no dropout and no batch norm.
   * @param x noisy images [N,H,W,in_channels], H and W divided by 2 as often as there are levels after the first
   * @param t timesteps [N], or one for all as a number or a tensor of one
   * @param classes of the images, where the config has `num_class_embeds` or `class_embed_type`; Diffusers' `class_labels`
   * @returns [N,H,W,out_channels] as `sample`
   * @throws Error if x is of other channels, the downsamplers do not divide it, there are not as many timesteps or
   *   classes, or classes where there should be none or the other way round.
   */
  override forward(x: Tensor, t: Tensor | number, classes?: ClassLabels): { sample: Tensor } {
    return { sample: this.predict(x, t, classes) };
  }
}
