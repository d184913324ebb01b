/** The way down beside a smaller and smaller image: SkipDownBlock2D and AttnSkipDownBlock2D of Diffusers. */
import { Conv2d, Module, type Tensor, tf } from "../../../core/mod.ts";
import type { AttentionBlock } from "./attention.ts";
import { type BlockOptions, requireLayers } from "./options.ts";
import { firDown } from "./resize.ts";
import { ResnetBlock2D } from "./resnet.ts";
import { SKIP_IMAGE_CHANNELS, skipAttention, skipNorms, skipResize } from "./skip_parts.ts";

/** What a {@link SkipDownBlock} is made with; groups follow from the channels. */
export interface SkipDownBlockOptions extends Omit<BlockOptions, "groups"> {
  /** Whether the block halves the image. */
  addDownsample: boolean;
}

/**
 * Residual blocks, attention after each where asked; then both the state and the image beside it are halved by a filter,
 * and a convolution adds the image to the state (the input skip of NCSN++, Song et al. 2021, appendix H.1).
 */
export class SkipDownBlock extends Module<[Tensor, Tensor, Tensor], { states: Tensor[]; image: Tensor }> {
  /** Residual blocks. */
  resnets: ResnetBlock2D[];
  /** Attention after each of them, or none. */
  attentions: AttentionBlock[];
  /** Halves the state; null where nothing is halved. */
  resnet_down: ResnetBlock2D | null;
  /** Of the halved image; null where nothing is halved. */
  skip_conv: Conv2d | null;

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels (attention has 32 groups); RangeError for numbers out of
   *   range.
   */
  constructor(options: SkipDownBlockOptions) {
    super();
    const { inChannels, outChannels, layers, addAttention, addDownsample } = options;
    requireLayers("SkipDownBlock", layers);
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) => {
      const from = i === 0 ? inChannels : outChannels;
      return new ResnetBlock2D({ ...options, ...skipNorms(from, outChannels), inChannels: from });
    });
    this.attentions = addAttention ? each.map(() => skipAttention(options)) : [];
    this.resnet_down = addDownsample ? skipResize(options, firDown) : null;
    this.skip_conv = addDownsample ? new Conv2d(SKIP_IMAGE_CHANNELS, outChannels, 1) : null;
  }

  /**
   * The outputs of all layers, for the skip connections, and the image for the next block.
   * @param x [N,H,W,inChannels]
   * @param temb [N,tembChannels], after the activation
   * @param image [N,H,W,3], the noisy image at the size of x
   * @returns states [N,H,W,outChannels] of each residual block and its attention, then [N,H/2,W/2,outChannels] where the
   *   block halves, the last one the block's own; and the image, halved with them
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor, image: Tensor): { states: Tensor[]; image: Tensor } {
    const states: Tensor[] = [];
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(x, temb);
      if (this.attentions[i]) x = this.attentions[i].call(x);
      states.push(x);
    });
    if (this.resnet_down) {
      image = firDown(image);
      states.push(tf.add(this.skip_conv!.call(image), this.resnet_down.call(x, temb)));
    }
    return { states, image };
  }
}
