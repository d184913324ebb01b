/** UNet2DModel and its parts, with the names of Diffusers. Images are NHWC. */
export {
  AttentionBlock,
  type AttentionBlockOptions,
  type BlockOptions,
  DownBlock,
  type DownBlockOptions,
  Downsample2D,
  type MidBlockOptions,
  type NormOptions,
  ResnetBlock2D,
  type ResnetBlockOptions,
  UNetMidBlock2D,
  UpBlock,
  type UpBlockOptions,
  Upsample2D,
} from "./blocks.ts";
export {
  type ClassEmbedType,
  type DownBlockType,
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
export { TimestepEmbedding, timestepEmbedding, type TimestepEmbeddingOptions } from "./embedding.ts";
export {
  fromPatches,
  PatchUNet,
  type PatchUNetConfig,
  type PatchUNetInput,
  toPatches,
} from "./patch_unet.ts";
export { type ClassLabels, UNet2D, UNet2DModel } from "./unet.ts";
