/** The U-Nets from scratch of miniai's notebook 28, without and with classes. */
import {
  BatchNorm1d,
  Conv2d,
  Embedding,
  Linear,
  Module,
  Sequential,
  SiLU,
  type Tensor,
  tf,
} from "../../core/mod.ts";
import { EmbDownBlock, EmbResBlock, EmbUpBlock, preConv } from "./emb_blocks.ts";
import { timestepEmbedding } from "./embedding.ts";

/** Options of {@link CondUNetModel}. */
export interface CondUNetOptions {
  /** Channels of the noisy image; default 3. */
  in_channels?: number;
  /** Channels of the output; default 3. */
  out_channels?: number;
  /** Channels of each level, the largest images first; default [224, 448, 672, 896]. */
  nfs?: number[];
  /** Residual blocks of a level on the way down, one more on the way up; default 1. */
  num_layers?: number;
}

/** Options of {@link EmbUNetModel}. */
export interface EmbUNetOptions extends CondUNetOptions {
  /** Channels of an attention head, a divisor of the channels of each level that has attention; default 8. */
  attn_chans?: number;
  /** The first level with attention, from 0; default 1. */
  attn_start?: number;
}

/** What a {@link CondUNetModel} takes as one argument: xₜ with its t and classes. */
export type CondUNetInput = [xt: Tensor, t: Tensor | number, classes: Tensor];
/** What an {@link EmbUNetModel} takes as one argument: xₜ with its t. */
export type EmbUNetInput = [xt: Tensor, t: Tensor | number];

/** @throws RangeError unless a number is whole and at least so much. */
function requireWhole(who: string, name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new RangeError(`${who}: ${name} is a whole number of at least ${least}, not ${value}`);
}

/** The network of both models; they decide what is added to the timestep's embedding. */
export abstract class EmbUNet<In extends unknown[]> extends Module<In, Tensor> {
  /** Of the noisy image. */
  conv_in: Conv2d;
  /** What the blocks are told of the timestep. */
  emb_mlp: Sequential;
  /** The way down, the largest images first. */
  downs: EmbDownBlock[];
  /** The smallest images. */
  mid_block: EmbResBlock;
  /** The way up, the smallest images first. */
  ups: EmbUpBlock[];
  /** The output. */
  conv_out: Sequential;
  /** Channels of the embedding that the blocks are told. */
  protected readonly embChannels: number;
  readonly #channels: { in: number; first: number; levels: number };

  /**
   * Makes the parts with random weights.
   * @throws RangeError for an option out of its range, or heads that do not divide the channels of a level.
   */
  constructor(options: EmbUNetOptions) {
    super();
    const { in_channels = 3, out_channels = 3, nfs = [224, 448, 672, 896], num_layers = 1 } = options;
    const { attn_chans = 0, attn_start = 0 } = options, who = new.target.name;
    for (const [name, value] of Object.entries({ in_channels, out_channels, num_layers })) {
      requireWhole(who, name, value, 1);
    }
    for (const [name, value] of Object.entries({ attn_chans, attn_start })) {
      requireWhole(who, name, value, 0);
    }
    if (nfs.length === 0) throw new RangeError(`${who}: nfs has the channels of at least one level`);
    for (const channels of nfs) requireWhole(who, "each of nfs", channels, 1);
    requireWhole(who, "the first of nfs", nfs[0], 4); // two frequencies
    const first = nfs[0], levels = nfs.length, last = levels - 1;
    const embChannels = this.embChannels = 4 * first;
    this.#channels = { in: in_channels, first, levels };
    const attention = (level: number) => level < attn_start ? 0 : attn_chans;
    this.conv_in = new Conv2d(in_channels, first, 3, { padding: 1 });
    this.emb_mlp = new Sequential(
      new Sequential(new BatchNorm1d(first), new SiLU(), new Linear(first, embChannels)),
      new Sequential(new SiLU(), new Linear(embChannels, embChannels)),
    );
    this.downs = nfs.map((channels, i) =>
      new EmbDownBlock({
        embChannels,
        inChannels: nfs[Math.max(i - 1, 0)],
        outChannels: channels,
        layers: num_layers,
        addDown: i < last,
        attnChannels: attention(i),
      })
    );
    this.mid_block = new EmbResBlock(embChannels, nfs[last]);
    const up = nfs.toReversed();
    this.ups = up.map((channels, i) =>
      new EmbUpBlock({
        embChannels,
        inChannels: up[Math.min(i + 1, last)],
        prevChannels: up[Math.max(i - 1, 0)],
        outChannels: channels,
        layers: num_layers + 1,
        addUp: i < last,
        attnChannels: attention(last - i),
      })
    );
    this.conv_out = preConv(first, out_channels, { bias: false });
  }

  /** The output for images, timesteps and what else the blocks are told. */
  protected predict(x: Tensor, t: Tensor | number, also?: Tensor): Tensor {
    const { name } = this.constructor, channels = this.#channels, factor = 2 ** (channels.levels - 1);
    const [n, h, w] = x.shape;
    if (x.shape.length !== 4 || x.shape[3] !== channels.in) {
      throw new Error(`${name} takes images [N,H,W,${channels.in}], not [${x.shape}]`);
    }
    if (h % factor || w % factor) {
      throw new Error(`${name}: an image of ${h}×${w} does not halve ${channels.levels - 1} times`);
    }
    const steps = typeof t === "number" ? tf.fill([n], t) : t;
    if (steps.size !== 1 && String(steps.shape) !== String([n])) {
      throw new Error(`${name}: t has the shape [${steps.shape}]; ${n} images take one timestep, or [${n}]`);
    }
    const each = steps.size === n ? tf.reshape(steps, [n]) : tf.tile(tf.reshape(steps, [1]), [n]);
    const told = this.emb_mlp.call(timestepEmbedding(each, channels.first));
    const emb = also ? tf.add(told, also) as Tensor : told;
    let y = this.conv_in.call(x);
    const saved = [y];
    for (const block of this.downs) {
      saved.push(...block.call(y, emb));
      y = saved.at(-1)!;
    }
    y = this.mid_block.call(y, emb);
    for (const block of this.ups) y = block.call(y, emb, saved.splice(-block.resnets.length));
    return this.conv_out.call(y);
  }
}

/**
 * The U-Net from scratch, with attention: residual blocks that the timestep's embedding scales and shifts. The layers, the
 * names of parameters and the options are those of miniai's notebook 28.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { EmbUNetModel, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new EmbUNetModel({ in_channels: 1, out_channels: 1, nfs: [16, 32, 64], num_layers: 1 });
 * const ε = model.call([tf.zeros([2, 32, 32, 1]), tf.tensor1d([0.1, 0.9])]);
 * assert(ε.shape.join() === "2,32,32,1");
 * ```
 */
export class EmbUNetModel extends EmbUNet<[Tensor | EmbUNetInput, (Tensor | number)?]> {
  /**
   * Makes the parts with random weights.
   * @throws RangeError for an option out of its range, or heads that do not divide the channels of a level.
   */
  constructor(options: EmbUNetOptions = {}) {
    super({ attn_chans: 8, attn_start: 1, ...defined(options) });
  }

  /**
   * The noise in images.
   * @param input xₜ [N,H,W,C], or the pair of it and t
   * @param t timesteps [N], or one for all, where the input is xₜ alone
   * @returns [N,H,W,out_channels]
   * @throws Error if there is no t, or the images do not fit.
   */
  override forward(input: Tensor | EmbUNetInput, t?: Tensor | number): Tensor {
    const [x, step] = Array.isArray(input) ? input : [input, t];
    if (step === undefined) throw new Error("EmbUNetModel takes the pair (x, t), or both: there is no t");
    return this.predict(x, step);
  }
}

/**
 * The U-Net from scratch that is told classes: their embedding is added to the timestep's; there is no attention. Source:
 * miniai notebook 28.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { CondUNetModel, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new CondUNetModel(10, { in_channels: 1, out_channels: 1, nfs: [16, 32, 64] });
 * const ε = model.call([tf.zeros([2, 32, 32, 1]), tf.tensor1d([0.1, 0.9]), tf.tensor1d([3, 7], "int32")]);
 * assert(ε.shape.join() === "2,32,32,1");
 * ```
 */
export class CondUNetModel extends EmbUNet<[Tensor | CondUNetInput, (Tensor | number)?, Tensor?]> {
  /** What the blocks are told of the class. */
  cond_emb: Embedding;

  /**
   * Makes the parts with random weights.
   * @param classes how many there are
   * @throws RangeError for an option out of its range.
   */
  constructor(classes: number, options: CondUNetOptions = {}) {
    const { in_channels, out_channels, nfs, num_layers } = options;
    super({ in_channels, out_channels, nfs, num_layers });
    this.cond_emb = new Embedding(classes, this.embChannels);
  }

  /**
   * The noise in images of classes.
   * @param input xₜ [N,H,W,C], or the three of it, t and classes
   * @param t timesteps [N], or one for all, where the input is xₜ alone
   * @param classes whole numbers [N], where the input is xₜ alone
   * @returns [N,H,W,out_channels]
   * @throws Error if there is no t or no classes, or the images do not fit.
   */
  override forward(input: Tensor | CondUNetInput, t?: Tensor | number, classes?: Tensor): Tensor {
    const [x, step, labels] = Array.isArray(input) ? input : [input, t, classes];
    if (step === undefined || labels === undefined) {
      throw new Error(
        `CondUNetModel takes x, t and classes: there ${step === undefined ? "is no t" : "are no classes"}`,
      );
    }
    if (String(labels.shape) !== String([x.shape[0]])) {
      throw new Error(`CondUNetModel: classes are [${x.shape[0]}], not [${labels.shape}]`);
    }
    return this.predict(x, step, this.cond_emb.call(labels));
  }
}

/** The options that are given. */
function defined(options: EmbUNetOptions): EmbUNetOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
