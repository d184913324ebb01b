/** The middle of the U-Net. */
import { Module, type Tensor } from "../../../core/mod.ts";
import { AttentionBlock } from "./attention.ts";
import type { StyleOptions } from "./options.ts";
import { ResnetBlock2D } from "./resnet.ts";

/** What a {@link UNetMidBlock2D} is made with. */
export interface MidBlockOptions extends StyleOptions {
  /** Channels of the image. */
  channels: number;
  /** Channels of the time embedding. */
  tembChannels: number;
  /** Whether there is attention between the residual blocks. */
  addAttention: boolean;
  /** Channels of an attention head; null for one head. */
  headDim: number | null;
  /** What each part's output is divided by, above 0. */
  scaleFactor: number;
  /**
   * Groups of the attention's norm, a divisor of the channels; null for no norm. Default `groups`, and with
   * `timeScaleShift: "scale_shift"` null, as in Diffusers since 0.17.
   */
  attentionGroups?: number | null;
}

/** A residual block, attention where asked, a residual block. */
export class UNetMidBlock2D extends Module<[Tensor, Tensor], Tensor> {
  /** The first and the last part. */
  resnets: ResnetBlock2D[];
  /** One, or none. */
  attentions: AttentionBlock[];

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels; RangeError for numbers out of range.
   */
  constructor({ channels, addAttention, scaleFactor, ...options }: MidBlockOptions) {
    super();
    const { attentionGroups = options.timeScaleShift === "scale_shift" ? null : options.groups } = options;
    const resnet = () =>
      new ResnetBlock2D({
        ...options,
        inChannels: channels,
        outChannels: channels,
        outputScaleFactor: scaleFactor,
      });
    this.resnets = [resnet(), resnet()];
    const attention = () =>
      new AttentionBlock({
        ...options,
        channels,
        groups: attentionGroups,
        rescaleOutputFactor: scaleFactor,
      });
    this.attentions = addAttention ? [attention()] : [];
  }

  /**
   * The middle's output.
   * @param x [N,H,W,channels]
   * @param temb [N,tembChannels], after the activation
   * @returns x's shape
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor): Tensor {
    x = this.resnets[0].call(x, temb);
    for (const attention of this.attentions) x = attention.call(x);
    return this.resnets[1].call(x, temb);
  }
}
