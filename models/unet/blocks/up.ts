/** The way up: UpBlock2D, AttnUpBlock2D and ResnetUpsampleBlock2D of Diffusers. */
import { F, Module, type Tensor, tf } from "../../../core/mod.ts";
import { AttentionBlock } from "./attention.ts";
import type { ResizeType } from "./down.ts";
import { type BlockOptions, requireLayers, requireSkips } from "./options.ts";
import { Upsample2D } from "./resize.ts";
import { ResnetBlock2D } from "./resnet.ts";

/** What an {@link UpBlock} is made with. */
export interface UpBlockOptions extends BlockOptions {
  /** Channels of what comes from the block before. */
  prevOutputChannel: number;
  /** Whether an upsampler comes last. */
  addUpsample: boolean;
  /** What doubles the image; default `"conv"`. */
  upsampleType?: ResizeType;
}

/** Channels that the i-th of an up block's residual blocks takes: those before it, and those of its skip connection. */
export function channelsInto(i: number, options: UpBlockChannels): [before: number, skip: number] {
  const { inChannels, prevOutputChannel, outChannels, layers } = options;
  return [i === 0 ? prevOutputChannel : outChannels, i === layers - 1 ? inChannels : outChannels];
}

/** What {@link channelsInto} reads of an up block's options. */
export type UpBlockChannels = Pick<
  UpBlockOptions,
  "inChannels" | "prevOutputChannel" | "outChannels" | "layers"
>;

/** Residual blocks that each take one skip connection, attention where asked, then an upsampler where asked. */
export class UpBlock extends Module<[Tensor, Tensor[], Tensor], Tensor> {
  /** Residual blocks. */
  resnets: ResnetBlock2D[];
  /** Attention after each of them, or none. */
  attentions: AttentionBlock[];
  /** One, or none. */
  upsamplers: (Upsample2D | ResnetBlock2D)[];

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels; RangeError for numbers out of range.
   */
  constructor(options: UpBlockOptions) {
    super();
    const { outChannels, layers, addAttention, addUpsample, upsampleType } = options;
    requireLayers("UpBlock", layers);
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) => {
      const [before, skip] = channelsInto(i, options);
      return new ResnetBlock2D({ ...options, inChannels: before + skip });
    });
    const attention = () => new AttentionBlock({ ...options, channels: outChannels });
    this.attentions = addAttention ? each.map(attention) : [];
    const upsampler = () =>
      upsampleType === "resnet"
        ? new ResnetBlock2D({ ...options, inChannels: outChannels, resize: F.upsampleNearest })
        : new Upsample2D(outChannels);
    this.upsamplers = addUpsample ? [upsampler()] : [];
  }

  /**
   * The block's output.
   * @param x [N,H,W,prevOutputChannel]
   * @param skips [N,H,W,…] of a down block, as many as there are residual blocks; the last is used first
   * @param temb [N,tembChannels], after the activation
   * @returns [N,H,W,outChannels], or of twice the size
   * @throws Error for another number of skips, or other shapes.
   */
  override forward(x: Tensor, skips: Tensor[], temb: Tensor): Tensor {
    requireSkips("UpBlock", this.resnets.length, skips.length);
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(tf.concat([x, skips[skips.length - 1 - i]], -1), temb);
      if (this.attentions[i]) x = this.attentions[i].call(x);
    });
    for (const up of this.upsamplers) x = up instanceof ResnetBlock2D ? up.call(x, temb) : up.call(x);
    return x;
  }
}
