/** Denoise's core: tensors, autograd, modules, optimisers, data, the Learner, files and pictures. */
export { type Tensor, tf } from "./tf.ts";
export * from "./device/device.ts";
export * from "./random.ts";
export { grad, noGrad, Parameter, Tape } from "./autograd/tape.ts";
export * from "./nn/mod.ts";
export * from "./optim/mod.ts";
export * from "./data/array.ts";
export * from "./io/safetensors.ts";
export * from "./io/weights.ts";
export * from "./io/files.ts";
