/** The way down: DownBlock2D, AttnDownBlock2D and ResnetDownsampleBlock2D of Diffusers. */
import { F, Module, type Tensor } from "../../../core/mod.ts";
import { AttentionBlock } from "./attention.ts";
import { type BlockOptions, requireLayers } from "./options.ts";
import { Downsample2D } from "./resize.ts";
import { ResnetBlock2D } from "./resnet.ts";

/** What halves or doubles images between levels: a convolution, or a residual block with pooled or repeated pixels. */
export type ResizeType = "conv" | "resnet";

/** What a {@link DownBlock} is made with. */
export interface DownBlockOptions extends BlockOptions {
  /** Whether a downsampler comes last. */
  addDownsample: boolean;
  /** Zeros around the image that a convolution halves, 1 or 0; see {@link Downsample2D}. */
  downsamplePadding: number;
  /** What halves the image; default `"conv"`. */
  downsampleType?: ResizeType;
}

/** Residual blocks, attention after each where asked, then a downsampler where asked. */
export class DownBlock extends Module<[Tensor, Tensor], Tensor[]> {
  /** Residual blocks. */
  resnets: ResnetBlock2D[];
  /** Attention after each of them, or none. */
  attentions: AttentionBlock[];
  /** One, or none. */
  downsamplers: (Downsample2D | ResnetBlock2D)[];

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels; RangeError for numbers out of range.
   */
  constructor({ inChannels, outChannels, layers, ...options }: DownBlockOptions) {
    super();
    requireLayers("DownBlock", layers);
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) =>
      new ResnetBlock2D({ ...options, inChannels: i === 0 ? inChannels : outChannels, outChannels })
    );
    const attention = () => new AttentionBlock({ ...options, channels: outChannels });
    this.attentions = options.addAttention ? each.map(attention) : [];
    const downsampler = () =>
      options.downsampleType === "resnet"
        ? new ResnetBlock2D({ ...options, inChannels: outChannels, outChannels, resize: F.averagePool })
        : new Downsample2D(outChannels, options.downsamplePadding);
    this.downsamplers = options.addDownsample ? [downsampler()] : [];
  }

  /**
   * The outputs of all layers, for the skip connections.
   * @param x [N,H,W,inChannels]
   * @param temb [N,tembChannels], after the activation
   * @returns [N,H,W,outChannels] of each residual block and its attention, then [N,H/2,W/2,outChannels] of the
   *   downsampler; the last one is the block's own
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor): Tensor[] {
    const states: Tensor[] = [];
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(x, temb);
      if (this.attentions[i]) x = this.attentions[i].call(x);
      states.push(x);
    });
    for (const down of this.downsamplers) {
      states.push(x = down instanceof ResnetBlock2D ? down.call(x, temb) : down.call(x));
    }
    return states;
  }
}
