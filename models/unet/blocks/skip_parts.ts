/** What blocks with a skip image share, with the numbers that Diffusers fixes (NCSN++, Song et al. 2021, appendix H.1). */
import type { Tensor } from "../../../core/mod.ts";
import { AttentionBlock } from "./attention.ts";
import type { BlockOptions } from "./options.ts";
import { ResnetBlock2D } from "./resnet.ts";

/** Channels of the image that goes beside the blocks. */
export const SKIP_IMAGE_CHANNELS = 3;
/** Groups of attention's norm. */
const ATTENTION_GROUPS = 32;
/** What the outputs of residual blocks and attention are divided by. */
const SCALE_FACTOR = Math.SQRT2;

/** Groups of a norm of so many channels. */
export const skipGroups = (channels: number): number => Math.min(Math.floor(channels / 4), 32);

/** The norms of a residual block, and what its output is divided by. */
export function skipNorms(
  inChannels: number,
  outChannels: number,
): { groups: number; groupsOut: number; outputScaleFactor: number } {
  return {
    groups: skipGroups(inChannels),
    groupsOut: skipGroups(outChannels),
    outputScaleFactor: SCALE_FACTOR,
  };
}

/** Attention over a block's output. */
export function skipAttention(
  { outChannels, headDim, eps }: Pick<BlockOptions, "outChannels" | "headDim" | "eps">,
): AttentionBlock {
  return new AttentionBlock({
    channels: outChannels,
    headDim,
    groups: ATTENTION_GROUPS,
    eps,
    rescaleOutputFactor: SCALE_FACTOR,
  });
}

/** The residual block by which a block's output is halved or doubled; it always has a convolution past it. */
export function skipResize(
  options: Omit<BlockOptions, "groups">,
  resize: (x: Tensor) => Tensor,
): ResnetBlock2D {
  const { outChannels } = options;
  return new ResnetBlock2D({
    ...options,
    ...skipNorms(outChannels, outChannels),
    inChannels: outChannels,
    convShortcut: true,
    resize,
  });
}
