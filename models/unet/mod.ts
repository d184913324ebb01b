/** UNet2DModel and its parts, with the names of Diffusers. Images are NHWC. */
export type { Activation } from "./blocks/activation.ts";
export { AttentionBlock, type AttentionBlockOptions } from "./blocks/attention.ts";
export { DownBlock, type DownBlockOptions, type ResizeType } from "./blocks/down.ts";
export { type MidBlockOptions, UNetMidBlock2D } from "./blocks/mid.ts";
export type { BlockOptions, NormOptions, StyleOptions, TimeScaleShift } from "./blocks/options.ts";
export { Downsample2D, firDown, firUp, Upsample2D } from "./blocks/resize.ts";
export { ResnetBlock2D, type ResnetBlockOptions } from "./blocks/resnet.ts";
export { SkipDownBlock, type SkipDownBlockOptions } from "./blocks/skip_down.ts";
export { SkipUpBlock, type SkipUpBlockOptions } from "./blocks/skip_up.ts";
export { UpBlock, type UpBlockOptions } from "./blocks/up.ts";
export {
  type ClassEmbedType,
  completeConfig,
  type ConfigFieldDescription,
  describeConfig,
  type DownBlockType,
  leastParameters,
  type TimeEmbeddingType,
  toDiffusersConfig,
  UNET2D_DEFAULTS,
  type UNet2DConfig,
  type UpBlockType,
} from "./config.ts";
export {
  type EmbBlockOptions,
  EmbDownBlock,
  type EmbDownBlockOptions,
  EmbResBlock,
  EmbUpBlock,
  type EmbUpBlockOptions,
  preConv,
  type PreConvOptions,
  SelfAttention,
  SelfAttention2D,
} from "./emb_blocks.ts";
export {
  type CondUNetInput,
  CondUNetModel,
  type CondUNetOptions,
  EmbUNet,
  type EmbUNetInput,
  EmbUNetModel,
  type EmbUNetOptions,
} from "./emb_unet.ts";
export {
  GaussianFourierProjection,
  TimestepEmbedding,
  timestepEmbedding,
  type TimestepEmbeddingOptions,
} from "./embedding.ts";
export {
  fromPatches,
  PatchUNet,
  type PatchUNetConfig,
  type PatchUNetInput,
  toPatches,
} from "./patch_unet.ts";
export { type ClassLabels, UNet2D, UNet2DModel } from "./unet.ts";
