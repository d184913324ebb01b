/** Denoise's core: tensors, autograd, modules, optimisers, data, the Learner, files and pictures. */
export { tf } from "./tf.ts";
import { tf } from "./tf.ts";
/** An n-dimensional array on the current device. Free it with `dispose()` unless a scope does. */
export const Tensor = tf.Tensor;
/** An n-dimensional array on the current device. */
export type Tensor = tf.Tensor;
export * from "./device/device.ts";
export * from "./device/constants.ts";
export { breathe } from "./event_loop.ts";
export * from "./random.ts";
export * as ops from "./ops/mod.ts";
export { copyOf, grad, noGrad, Parameter, Tape } from "./autograd/tape.ts";
export * from "./nn/mod.ts";
export * from "./optim/mod.ts";
export * from "./data/array.ts";
export * from "./data/augment.ts";
export * from "./data/dataset.ts";
export * from "./data/loader.ts";
export * from "./data/transforms.ts";
export * from "./learner/mod.ts";
export * from "./io/files.ts";
export * from "./io/safetensors.ts";
export * from "./io/weights.ts";
export * from "./vis/image.ts";
export * from "./vis/plot.ts";
export * from "./vis/show.ts";
export * from "./vis/progress.ts";
