/** What tests of DDPM share. */
import type { UNet2DConfig } from "../../../mod.ts";

/** A U-Net that is quick to run, with attention. */
export const TINY: Partial<UNet2DConfig> = {
  in_channels: 1,
  out_channels: 1,
  block_out_channels: [8, 8],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
  up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
  attention_head_dim: 4,
  norm_num_groups: 4,
};
