/** UNet2DModel and its blocks. */
export * from "./blocks.ts";
export * from "./unet.ts";
