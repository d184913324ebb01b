/** The attention block of the U-Net. */
import { F, GroupNorm, Linear, Module, type Tensor, tf } from "../../../core/mod.ts";
import { requireDivisor } from "./options.ts";

/** What an {@link AttentionBlock} is made with. */
export interface AttentionBlockOptions {
  /** Channels of the image. */
  channels: number;
  /** Channels of an attention head, a divisor of `channels`; null for one head. */
  headDim: number | null;
  /** Groups of the norm, a divisor of `channels`; null for no norm. */
  groups: number | null;
  /** Epsilon of the norm, above 0. */
  eps: number;
  /** What the output is divided by, above 0; default 1. */
  rescaleOutputFactor?: number;
}

/** Self-attention over the pixels, plus the input (Diffusers' `AttentionBlock`). */
export class AttentionBlock extends Module<[Tensor], Tensor> {
  /** Norm of the input; null without. */
  group_norm: GroupNorm | null;
  /** What each pixel looks for. */
  query: Linear;
  /** What each pixel is found by. */
  key: Linear;
  /** What each pixel gives. */
  value: Linear;
  /** Of what the pixels are given. */
  proj_attn: Linear;
  /** Attention heads. */
  readonly heads: number;
  /** What the output is divided by. */
  readonly rescaleOutputFactor: number;

  /**
   * Makes the parts with random weights.
   * @throws Error unless the heads and the groups divide the channels; RangeError for numbers out of range.
   */
  constructor({ channels, headDim, groups, eps, rescaleOutputFactor = 1 }: AttentionBlockOptions) {
    super();
    requireDivisor("AttentionBlock", "rescaleOutputFactor", rescaleOutputFactor);
    if (headDim !== null && !(headDim >= 1 && channels % headDim === 0)) {
      throw new Error(`${channels} channels do not divide into heads of ${headDim} (attention_head_dim)`);
    }
    this.heads = headDim === null ? 1 : channels / headDim;
    this.rescaleOutputFactor = rescaleOutputFactor;
    this.group_norm = groups === null ? null : new GroupNorm(groups, channels, { eps });
    this.query = new Linear(channels, channels);
    this.key = new Linear(channels, channels);
    this.value = new Linear(channels, channels);
    this.proj_attn = new Linear(channels, channels);
  }

  /**
   * What the pixels are given, plus x.
   * @param x [N,H,W,channels]
   * @returns x's shape
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length !== 4) throw new Error(`AttentionBlock takes [N,H,W,C], not [${x.shape}]`);
    const [n, h, w, c] = x.shape;
    const tokens = tf.reshape(this.group_norm ? this.group_norm.call(x) : x, [n, h * w, c]);
    const [q, k, v] = [this.query, this.key, this.value].map((m) => m.call(tokens));
    const attended = F.attention(q, k, v, this.heads);
    const y = tf.reshape(this.proj_attn.call(attended, tf.reshape(x, tokens.shape)), x.shape);
    return this.rescaleOutputFactor === 1 ? y : tf.div(y, this.rescaleOutputFactor);
  }
}
