/**
 * Denoise: a hackable training framework (a `Learner` with callbacks) and diffusion models on it, for Deno.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearSchedule, UNet2DModel, useDevice } from "./mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet2DModel({ in_channels: 1, out_channels: 1, block_out_channels: [32, 64, 64, 64] });
 * assert(model.config.layers_per_block === 2 && linearSchedule().nSteps === 1000);
 * ```
 */
export * from "./core/mod.ts";
export * from "./datasets/mod.ts";
export * from "./callbacks/mod.ts";
export * from "./models/unet/mod.ts";
export * from "./models/ddpm/mod.ts";
export * from "./models/resnet/mod.ts";
/** The classifiers of the lesson, and reports on what they predict. */
export * as resnet from "./models/resnet/mod.ts";
