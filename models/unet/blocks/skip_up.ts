/** The way up beside a larger and larger image: SkipUpBlock2D and AttnSkipUpBlock2D of Diffusers. */
import { Conv2d, GroupNorm, Module, type Tensor, tf } from "../../../core/mod.ts";
import type { AttentionBlock } from "./attention.ts";
import { type BlockOptions, requireLayers, requireSkips } from "./options.ts";
import { firUp } from "./resize.ts";
import { ResnetBlock2D } from "./resnet.ts";
import { SKIP_IMAGE_CHANNELS, skipAttention, skipGroups, skipNorms, skipResize } from "./skip_parts.ts";
import { channelsInto } from "./up.ts";

/** What a {@link SkipUpBlock} is made with; groups follow from the channels. */
export interface SkipUpBlockOptions extends Omit<BlockOptions, "groups"> {
  /** Channels of what comes from the block before. */
  prevOutputChannel: number;
  /** Whether the block doubles the image. */
  addUpsample: boolean;
}

/**
 * Residual blocks that each take one skip connection, attention after the last where asked; the image beside them is
 * doubled by a filter, a convolution of the state is added to it, and the state is doubled (the output skip of NCSN++,
 * Song et al. 2021, appendix H.1).
 */
export class SkipUpBlock
  extends Module<[Tensor, Tensor[], Tensor, Tensor | null], { x: Tensor; image: Tensor | null }> {
  /** Residual blocks. */
  resnets: ResnetBlock2D[];
  /** Attention after the last of them, or none. */
  attentions: AttentionBlock[];
  /** Doubles the state; null where the state is not doubled. */
  resnet_up: ResnetBlock2D | null;
  /** Of the state, to the image; null where the state is not doubled. */
  skip_conv: Conv2d | null;
  /** Norm and SiLU of the state before `skip_conv`; null where the state is not doubled. */
  skip_norm: GroupNorm | null;

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels (attention has 32 groups); RangeError for numbers out of
   *   range.
   */
  constructor(options: SkipUpBlockOptions) {
    super();
    const { outChannels, layers, addAttention, addUpsample, eps } = options;
    requireLayers("SkipUpBlock", layers);
    this.resnets = Array.from({ length: layers }, (_, i) => {
      const [before, skip] = channelsInto(i, options), norms = skipNorms(before + skip, outChannels);
      // Diffusers quarters the skip connection's channels alone where there is attention.
      if (addAttention) norms.groups = Math.min(before + Math.floor(skip / 4), 32);
      return new ResnetBlock2D({ ...options, ...norms, inChannels: before + skip });
    });
    this.attentions = addAttention ? [skipAttention(options)] : [];
    this.resnet_up = addUpsample ? skipResize(options, firUp) : null;
    this.skip_conv = addUpsample ? new Conv2d(outChannels, SKIP_IMAGE_CHANNELS, 3, { padding: 1 }) : null;
    this.skip_norm = addUpsample
      ? new GroupNorm(skipGroups(outChannels), outChannels, { eps, silu: true })
      : null;
  }

  /**
   * The block's output, and the image for the next block.
   * @param x [N,H,W,prevOutputChannel]
   * @param skips [N,H,W,…] of a down block, as many as there are residual blocks; the last is used first
   * @param temb [N,tembChannels], after the activation
   * @param image [N,H/2,W/2,3] of the block before, or null where that has none
   * @returns x [N,H,W,outChannels], or of twice the size; and the image [N,H,W,3], null where there is none yet
   * @throws Error for another number of skips, or other shapes.
   */
  override forward(
    x: Tensor,
    skips: Tensor[],
    temb: Tensor,
    image: Tensor | null,
  ): { x: Tensor; image: Tensor | null } {
    requireSkips("SkipUpBlock", this.resnets.length, skips.length);
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(tf.concat([x, skips[skips.length - 1 - i]], -1), temb);
    });
    for (const attention of this.attentions) x = attention.call(x);
    const doubled = image && firUp(image);
    if (!this.resnet_up) return { x, image: doubled };
    const added = this.skip_conv!.call(this.skip_norm!.call(x));
    return { x: this.resnet_up.call(x, temb), image: doubled ? tf.add(doubled, added) : added };
  }
}
