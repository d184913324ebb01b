/** The blocks by the names that a config has for them. */
import type { DownBlockType, UpBlockType } from "../config.ts";
import { DownBlock, type DownBlockOptions } from "./down.ts";
import { SkipDownBlock } from "./skip_down.ts";
import { SkipUpBlock } from "./skip_up.ts";
import { UpBlock, type UpBlockOptions } from "./up.ts";

/** Makes each kind of block on the way down; the names say whether there is attention and what halves the image. */
export const DOWN_BLOCKS: Readonly<
  Record<DownBlockType, (options: Omit<DownBlockOptions, "addAttention">) => DownBlock | SkipDownBlock>
> = {
  DownBlock2D: (o) => new DownBlock({ ...o, addAttention: false, downsampleType: "conv" }),
  AttnDownBlock2D: (o) => new DownBlock({ ...o, addAttention: true }),
  ResnetDownsampleBlock2D: (o) => new DownBlock({ ...o, addAttention: false, downsampleType: "resnet" }),
  SkipDownBlock2D: (o) => new SkipDownBlock({ ...o, addAttention: false }),
  AttnSkipDownBlock2D: (o) => new SkipDownBlock({ ...o, addAttention: true }),
};

/** Makes each kind of block on the way up; the names say whether there is attention and what doubles the image. */
export const UP_BLOCKS: Readonly<
  Record<UpBlockType, (options: Omit<UpBlockOptions, "addAttention">) => UpBlock | SkipUpBlock>
> = {
  UpBlock2D: (o) => new UpBlock({ ...o, addAttention: false, upsampleType: "conv" }),
  AttnUpBlock2D: (o) => new UpBlock({ ...o, addAttention: true }),
  ResnetUpsampleBlock2D: (o) => new UpBlock({ ...o, addAttention: false, upsampleType: "resnet" }),
  SkipUpBlock2D: (o) => new SkipUpBlock({ ...o, addAttention: false }),
  AttnSkipUpBlock2D: (o) => new SkipUpBlock({ ...o, addAttention: true }),
};
