/** Modules, layers and their initialisation. */
export { Buffer, type ForwardHook, type LoadReport, Module, type StateDict, withMode } from "./module.ts";
export {
  AvgPool2d,
  BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  type BatchNormOptions,
  Conv2d,
  type Conv2dLayerOptions,
  Dropout,
  Dropout2d,
  Flatten,
  GELU,
  GeneralRelu,
  type GeneralReluOptions,
  GlobalAvgPool,
  GroupNorm,
  type LayerOptions,
  Linear,
  ReLU,
  Sequential,
  SiLU,
  Upsample,
} from "./layers.ts";
export { Embedding } from "./embedding.ts";
export { initWeights, lsuvInit, type LsuvOptions } from "./init_model.ts";
/** Initial numbers of weights. */
export * as init from "./init.ts";
export type { Conv2dOptions, GroupNormOptions } from "./functional.ts";
/** What layers compute, as functions. */
export * as F from "./functional.ts";
