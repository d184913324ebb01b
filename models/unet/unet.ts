/** UNet2DModel. */
import { Conv2d, Embedding, GroupNorm, Module, type Tensor, tf } from "../../core/mod.ts";
import { ACTIVATIONS } from "./blocks/activation.ts";
import { DOWN_BLOCKS, UP_BLOCKS } from "./blocks/by_type.ts";
import type { DownBlock } from "./blocks/down.ts";
import { UNetMidBlock2D } from "./blocks/mid.ts";
import { SkipDownBlock } from "./blocks/skip_down.ts";
import { skipGroups } from "./blocks/skip_parts.ts";
import { SkipUpBlock } from "./blocks/skip_up.ts";
import type { UpBlock } from "./blocks/up.ts";
import { completeConfig, type UNet2DConfig } from "./config.ts";
import {
  GaussianFourierProjection,
  requireNoiseLevels,
  TimestepEmbedding,
  timestepEmbedding,
} from "./embedding.ts";

/** Standard deviation of the frequencies of a Fourier embedding, Diffusers' number. */
const FOURIER_SCALE = 16;

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
  /** Frequencies of a Fourier embedding, or the table of a learned one; null for the positional one, which has none. */
  time_proj: GaussianFourierProjection | Embedding | null;
  /** What the blocks are told of the timestep. */
  time_embedding: TimestepEmbedding;
  /** What the blocks are told of the class: a table, or what embeds a number; null where that is nothing. */
  class_embedding: Embedding | TimestepEmbedding | null;
  /** The way down, the largest images first. */
  down_blocks: (DownBlock | SkipDownBlock)[];
  /** The smallest images; null without a middle. */
  mid_block: UNetMidBlock2D | null;
  /** The way up, the smallest images first. */
  up_blocks: (UpBlock | SkipUpBlock)[];
  /** Norm and SiLU before the output. */
  conv_norm_out: GroupNorm;
  /** The output. */
  conv_out: Conv2d;

  /**
   * Makes the parts with random weights.
   * @param config fields that differ from {@link UNET2D_DEFAULTS}, or a `config.json` of Diffusers
   * @throws Error for a field that is not known or not supported, and for a config that no network fits, such as 16
   *   channels in 32 groups.
   */
  constructor(config: Partial<UNet2DConfig> = {}) {
    super();
    const c = this.#config = completeConfig(config);
    const channels = c.block_out_channels, top = channels.length - 1;
    const groupsOf = (channels: number) => c.norm_num_groups ?? skipGroups(channels);
    const shared = {
      tembChannels: c.time_embedding_dim ?? channels[0] * 4,
      eps: c.norm_eps,
      headDim: c.attention_head_dim,
      act: c.act_fn,
      timeScaleShift: c.resnet_time_scale_shift,
      dropout: c.dropout,
    };
    const timeChannels = c.time_embedding_type === "fourier" ? 2 * channels[0] : channels[0];
    this.conv_in = new Conv2d(c.in_channels, channels[0], 3, { padding: 1 });
    this.time_proj = c.time_embedding_type === "fourier"
      ? new GaussianFourierProjection(channels[0], FOURIER_SCALE)
      : c.time_embedding_type === "learned"
      ? new Embedding(c.num_train_timesteps!, channels[0])
      : null;
    this.time_embedding = new TimestepEmbedding(timeChannels, shared.tembChannels);
    this.class_embedding = c.num_class_embeds !== null
      ? new Embedding(c.num_class_embeds, shared.tembChannels)
      : c.class_embed_type === "timestep"
      ? new TimestepEmbedding(timeChannels, shared.tembChannels)
      : null;
    this.down_blocks = channels.map((outChannels, i) =>
      DOWN_BLOCKS[c.down_block_types[i]]({
        ...shared,
        inChannels: channels[Math.max(i - 1, 0)],
        outChannels,
        groups: groupsOf(outChannels),
        layers: c.layers_per_block,
        addDownsample: i < top,
        downsamplePadding: c.downsample_padding,
        downsampleType: c.downsample_type,
      })
    );
    this.mid_block = c.mid_block_type && new UNetMidBlock2D({
      ...shared,
      channels: channels[top],
      groups: groupsOf(channels[top]),
      attentionGroups: c.attn_norm_num_groups ?? undefined,
      addAttention: c.add_attention,
      scaleFactor: c.mid_block_scale_factor,
    });
    const up = channels.toReversed();
    this.up_blocks = up.map((outChannels, i) =>
      UP_BLOCKS[c.up_block_types[i]]({
        ...shared,
        inChannels: up[Math.min(i + 1, top)],
        prevOutputChannel: up[Math.max(i - 1, 0)],
        outChannels,
        groups: groupsOf(outChannels),
        layers: c.layers_per_block + 1,
        addUpsample: i < top,
        upsampleType: c.upsample_type,
      })
    );
    this.conv_norm_out = new GroupNorm(groupsOf(channels[0]), channels[0], { eps: c.norm_eps, silu: true });
    this.conv_out = new Conv2d(channels[0], c.out_channels, 3, { padding: 1 });
  }

  /** A copy of the whole config, defaults included. */
  get config(): UNet2DConfig {
    return structuredClone(this.#config);
  }

  /** What the network is told of numbers [N], before its layers. */
  #project(numbers: Tensor): Tensor {
    if (this.time_proj) return this.time_proj.call(numbers);
    const c = this.#config;
    return timestepEmbedding(numbers, c.block_out_channels[0], {
      flipSinToCos: c.flip_sin_to_cos,
      freqShift: c.freq_shift,
    });
  }

  /** What the blocks are told of the images' classes; nothing where the network knows of none. */
  #embedClasses(classes: ClassLabels | undefined, n: number): Tensor | undefined {
    const { class_embed_type, num_class_embeds } = this.#config;
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
      const shape = [n, this.time_embedding.linear_2.outFeatures];
      if (typeof classes !== "number" && String(classes.shape) === String(shape)) return classes;
      const given = typeof classes === "number" ? classes : `[${classes.shape}]`;
      throw new Error(`UNet2DModel: with class_embed_type "identity" classes are [${shape}], not ${given}`);
    }
    if (class_embed_type === "timestep") this.#requireTimes(classes);
    const each = perImage("classes", classes, n);
    return this.class_embedding instanceof Embedding
      ? this.class_embedding.call(each)
      : this.class_embedding!.call(this.#project(each));
  }

  /** What the blocks are told of timesteps [N] and of the images' classes, after the activation with which all begin. */
  #tell(times: Tensor, classes: ClassLabels | undefined): Tensor {
    const told = this.time_embedding.call(this.#project(times));
    const ofClasses = this.#embedClasses(classes, times.size);
    return ACTIVATIONS[this.#config.act_fn](ofClasses ? tf.add(told, ofClasses) : told);
  }

  /** @throws RangeError for timesteps that cannot be told, as long as the host has them: one for all is not tiled yet. */
  #requireTimes(t: Tensor | number): void {
    if (this.#config.time_embedding_type === "fourier") requireNoiseLevels(t);
  }

  /** @throws Error unless images have the network's channels, and halve as often as it does. */
  #requireImages(x: Tensor): void {
    const c = this.#config;
    if (x.shape.length !== 4 || x.shape[3] !== c.in_channels) {
      throw new Error(`UNet2DModel takes images [N,H,W,${c.in_channels}], not [${x.shape}]`);
    }
    const [, h, w] = x.shape, factor = 2 ** (c.block_out_channels.length - 1);
    if (h % factor || w % factor) {
      throw new Error(
        `An image of ${h}×${w} does not halve ${Math.log2(factor)} times: pad it to a multiple of ${factor}`,
      );
    }
  }

  /**
   * The predicted noise.
   * @param x noisy images [N,H,W,in_channels]
   * @param t timesteps [N], or one for all
   * @param classes of the images, where the config has `num_class_embeds` or `class_embed_type`
   * @returns [N,H,W,out_channels]
   * @throws Error if x is of other channels, the downsamplers do not divide it, there are not as many timesteps or
   *   classes, or classes where there should be none or the other way round; RangeError for timesteps that the config's
   *   `time_embedding_type` does not take.
   */
  protected predict(x: Tensor, t: Tensor | number, classes?: ClassLabels): Tensor {
    this.#requireImages(x);
    const { center_input_sample, time_embedding_type } = this.#config;
    this.#requireTimes(t);
    const n = x.shape[0], times = perImage("t", t, n), temb = this.#tell(times, classes);
    if (center_input_sample) x = tf.sub(tf.mul(x, 2), 1);

    let y = this.conv_in.call(x);
    const skips = [y];
    let image: Tensor | null = x; // what goes beside blocks of the skip kinds
    for (const block of this.down_blocks) {
      if (block instanceof SkipDownBlock) {
        const down = block.call(y, temb, image);
        skips.push(...down.states);
        image = down.image;
      } else skips.push(...block.call(y, temb));
      y = skips.at(-1)!;
    }
    if (this.mid_block) y = this.mid_block.call(y, temb);
    image = null;
    for (const block of this.up_blocks) {
      const states = skips.splice(-block.resnets.length);
      if (block instanceof SkipUpBlock) ({ x: y, image } = block.call(y, states, temb, image));
      else y = block.call(y, states, temb);
    }
    y = this.conv_out.call(this.conv_norm_out.call(y));
    if (image) y = tf.add(y, image);
    return time_embedding_type === "fourier" ? tf.div(y, tf.reshape(times, [n, 1, 1, 1])) : y;
  }
}

/**
 * The U-Net that predicts an image's noise from the noisy image and its timestep (Ho et al. 2020, appendix B): the
 * architectures and config fields of Diffusers' `UNet2DModel`, v0.11 to 0.42 (docs/unet.md has a table), and the
 * parameter names of v0.11. Images are NHWC.
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
   * The predicted noise, the same in training and evaluation where the config has no dropout.
   * @param x noisy images [N,H,W,in_channels], H and W divided by 2 as often as there are levels after the first
   * @param t timesteps [N], or one for all as a number or a tensor of one
   * @param classes of the images, where the config has `num_class_embeds` or `class_embed_type`; Diffusers' `class_labels`
   * @returns [N,H,W,out_channels] as `sample`
   * @throws Error if x is of other channels, the downsamplers do not divide it, there are not as many timesteps or
   *   classes, or classes where there should be none or the other way round; RangeError for timesteps that the config's
   *   `time_embedding_type` does not take.
   */
  override forward(x: Tensor, t: Tensor | number, classes?: ClassLabels): { sample: Tensor } {
    return { sample: this.predict(x, t, classes) };
  }
}
