/** Denoising diffusion: schedules, noising, training callbacks, samplers. */
export * from "./schedule.ts";
export * from "./model.ts";
export * from "./callbacks.ts";
export * from "./sample.ts";
export * from "./pretrained.ts";
