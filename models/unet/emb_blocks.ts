/** The parts of the U-Net from scratch (miniai notebook 28), with its names. Images are NHWC. */
import {
  BatchNorm2d,
  Conv2d,
  F,
  GroupNorm,
  Linear,
  Module,
  Sequential,
  SiLU,
  type Tensor,
  tf,
  Upsample,
} from "../../core/mod.ts";
import { requireLayers } from "./blocks/options.ts";

/** Options of {@link preConv}. */
export interface PreConvOptions {
  /** Height and width of the filter, an odd number; default 3. */
  kernelSize?: number;
  /** Pixels from one output to the next, a positive whole number; default 1. */
  stride?: number;
  /** Whether there is a bias; default true. */
  bias?: boolean;
}

/**
 * Batch norm, SiLU, convolution, whose margin of zeros keeps the size: `pre_conv`.
 * @returns from [N,H,W,inChannels] to [N,H/stride,W/stride,outChannels], rounded up
 * @throws RangeError for sizes that are not positive and whole, and an even kernelSize.
 */
export function preConv(inChannels: number, outChannels: number, options: PreConvOptions = {}): Sequential {
  const { kernelSize = 3, stride = 1, bias = true } = options;
  if (kernelSize % 2 === 0) throw new RangeError(`preConv: kernelSize is an odd number, not ${kernelSize}`);
  const padding = Math.floor(kernelSize / 2);
  return new Sequential(
    new BatchNorm2d(inChannels),
    new SiLU(),
    new Conv2d(inChannels, outChannels, kernelSize, { stride, padding, bias }),
  );
}

/** Self-attention over tokens with one layer for queries, keys and values, as `SelfAttention` of notebook 28. */
export class SelfAttention extends Module<[Tensor], Tensor> {
  /** Layer norm of each token: a group norm of one group, over tokens as images of one pixel. */
  norm: GroupNorm;
  /** Queries, keys and values, side by side within each head. */
  qkv: Linear;
  /** Of what the tokens are given. */
  proj: Linear;
  /** Attention heads. */
  readonly heads: number;

  /**
   * Makes the layers with random weights.
   * @param channels of a token
   * @param headChannels channels of a head, which divide them
   * @throws RangeError unless they do.
   */
  constructor(channels: number, headChannels: number) {
    super();
    if (!Number.isInteger(headChannels) || headChannels < 1 || channels % headChannels) {
      throw new RangeError(`SelfAttention: ${channels} channels do not divide into heads of ${headChannels}`);
    }
    this.heads = channels / headChannels;
    this.norm = new GroupNorm(1, channels);
    this.qkv = new Linear(channels, 3 * channels);
    this.proj = new Linear(channels, channels);
  }

  /**
   * What the tokens are given.
   * @param x [N,tokens,channels]
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    const [n, tokens, channels] = x.shape, { heads } = this, width = channels / heads;
    const normed = this.norm.call(tf.reshape(x, [n * tokens, channels]));
    const each = tf.reshape(this.qkv.call(normed), [n, tokens, heads, 3 * width]);
    const [q, k, v] = tf.split(each, 3, -1).map((part) => tf.reshape(part, [n, tokens, channels]));
    return this.proj.call(F.attention(q, k, v, heads));
  }
}

/** {@link SelfAttention} over the pixels of images [N,H,W,C]. */
export class SelfAttention2D extends SelfAttention {
  /**
   * What the pixels are given.
   * @param x [N,H,W,C]
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    const [n, h, w, channels] = x.shape;
    return tf.reshape(super.forward(tf.reshape(x, [n, h * w, channels])), x.shape);
  }
}

/**
 * Two convolutions whose middle the embedding scales and shifts, plus the input, then attention where asked, plus what it
 * is given.
 */
export class EmbResBlock extends Module<[Tensor, Tensor], Tensor> {
  /** Of the embedding after SiLU: scales, then shifts of the middle's channels. */
  emb_proj: Linear;
  /** To the output's channels. */
  conv1: Sequential;
  /** The last convolution. */
  conv2: Sequential;
  /** Of the input, where the channels change; else null. */
  idconv: Conv2d | null;
  /** Attention over the pixels of the sum; null for none. */
  attn: SelfAttention2D | null;

  /**
   * Makes the parts with random weights.
   * @param embChannels channels of the embedding
   * @param inChannels of the input
   * @param outChannels of the output; default those of the input
   * @param attnChannels channels of an attention head; default 0, no attention
   * @throws RangeError unless the heads divide the output's channels.
   */
  constructor(embChannels: number, inChannels: number, outChannels = inChannels, attnChannels = 0) {
    super();
    this.emb_proj = new Linear(embChannels, 2 * outChannels);
    this.conv1 = preConv(inChannels, outChannels);
    this.conv2 = preConv(outChannels, outChannels);
    this.idconv = inChannels === outChannels ? null : new Conv2d(inChannels, outChannels, 1);
    this.attn = attnChannels ? new SelfAttention2D(outChannels, attnChannels) : null;
  }

  /**
   * The block's output.
   * @param x [N,H,W,inChannels]
   * @param emb [N,embChannels]
   * @returns [N,H,W,outChannels]
   */
  override forward(x: Tensor, emb: Tensor): Tensor {
    const h = this.conv1.call(x);
    const both = this.emb_proj.call(F.silu(emb)), [n, , , channels] = h.shape;
    const [scale, shift] = tf.split(tf.reshape(both, [n, 1, 1, 2 * channels]), 2, -1);
    const moved = tf.add(tf.add(h, tf.mul(h, scale)), shift);
    const y = tf.add(this.conv2.call(moved), this.idconv ? this.idconv.call(x) : x) as Tensor;
    return this.attn ? tf.add(y, this.attn.call(y)) : y;
  }
}

/** What {@link EmbDownBlock} and {@link EmbUpBlock} are made with. */
export interface EmbBlockOptions {
  /** Channels of the embedding. */
  embChannels: number;
  /** Channels of the input; of a block on the way up, those of the last output of the way down that it takes. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Residual blocks, one at least. */
  layers: number;
  /** Channels of an attention head; 0 for no attention. */
  attnChannels: number;
}

/** What an {@link EmbDownBlock} is made with. */
export interface EmbDownBlockOptions extends EmbBlockOptions {
  /** Whether the image is halved at the end. */
  addDown: boolean;
}

/** What an {@link EmbUpBlock} is made with. */
export interface EmbUpBlockOptions extends EmbBlockOptions {
  /** Channels of what comes from the block before. */
  prevChannels: number;
  /** Whether the image is doubled at the end. */
  addUp: boolean;
}

/** Residual blocks, then a convolution of stride 2 where asked. */
export class EmbDownBlock extends Module<[Tensor, Tensor], Tensor[]> {
  /** Residual blocks. */
  resnets: EmbResBlock[];
  /** Halves the image; null for none. */
  down: Conv2d | null;

  /**
   * Makes the parts with random weights.
   * @throws RangeError for numbers out of range, and heads that do not divide the output's channels.
   */
  constructor(options: EmbDownBlockOptions) {
    super();
    const { embChannels, inChannels, outChannels, layers, addDown, attnChannels } = options;
    requireLayers("EmbDownBlock", layers);
    this.resnets = Array.from(
      { length: layers },
      (_, i) => new EmbResBlock(embChannels, i === 0 ? inChannels : outChannels, outChannels, attnChannels),
    );
    this.down = addDown ? new Conv2d(outChannels, outChannels, 3, { stride: 2, padding: 1 }) : null;
  }

  /**
   * The outputs of all layers, which the way up takes again.
   * @param x [N,H,W,inChannels]
   * @param emb [N,embChannels]
   * @returns the last one is the block's own
   */
  override forward(x: Tensor, emb: Tensor): Tensor[] {
    const saved = this.resnets.map((resnet) => x = resnet.call(x, emb));
    if (this.down) saved.push(this.down.call(x));
    return saved;
  }
}

/** Residual blocks that each take one output of the way down, then twice the size where asked. */
export class EmbUpBlock extends Module<[Tensor, Tensor, Tensor[]], Tensor> {
  /** Residual blocks. */
  resnets: EmbResBlock[];
  /** Doubles the image by repeating pixels, then a convolution; null for none. */
  up: Sequential | null;

  /**
   * Makes the parts with random weights.
   * @throws RangeError for numbers out of range, and heads that do not divide the output's channels.
   */
  constructor(options: EmbUpBlockOptions) {
    super();
    const { embChannels, inChannels, prevChannels, outChannels, layers, addUp, attnChannels } = options;
    requireLayers("EmbUpBlock", layers);
    this.resnets = Array.from({ length: layers }, (_, i) => {
      const from = i === 0 ? prevChannels : outChannels, saved = i === layers - 1 ? inChannels : outChannels;
      return new EmbResBlock(embChannels, from + saved, outChannels, attnChannels);
    });
    this.up = addUp
      ? new Sequential(new Upsample(2), new Conv2d(outChannels, outChannels, 3, { padding: 1 }))
      : null;
  }

  /**
   * The block's output.
   * @param x [N,H,W,prevChannels]
   * @param emb [N,embChannels]
   * @param saved as many outputs of the way down as there are residual blocks; the last is used first
   * @returns [N,H,W,outChannels], or of twice the size
   * @throws Error for another number of outputs of the way down.
   */
  override forward(x: Tensor, emb: Tensor, saved: Tensor[]): Tensor {
    if (saved.length !== this.resnets.length) {
      throw new Error(`EmbUpBlock takes ${this.resnets.length} outputs of the way down, not ${saved.length}`);
    }
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(tf.concat([x, saved[saved.length - 1 - i]], -1), emb);
    });
    return this.up ? this.up.call(x) : x;
  }
}
