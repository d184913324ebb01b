/** Denoise's core: tensors, autograd, modules, optimisers, data, the Learner, files and pictures. */
export { type DataType, hostValues, Tensor, type TensorInfo, tf, type TypedArray } from "./tf.ts";
export {
  closeDevice,
  currentDevice,
  currentGpu,
  type Device,
  type DeviceChoice,
  type DeviceOptions,
  useDevice,
} from "./device/device.ts";
export { MAX_THREADS } from "./device/wasm/assembly/abi.ts";
export type { DispatchListener, EachElement, Gpu } from "./device/webgpu/gpu.ts";
export { DeviceError } from "./device/device_error.ts";
export type { Dispatch, Shader } from "./device/webgpu/shader.ts";
export { constant } from "./device/constants.ts";
export { breathe } from "./event_loop.ts";
export {
  branch,
  copyOfGenerator,
  defaultGenerator,
  Generator,
  type GeneratorState,
  setSeed,
} from "./random.ts";
/** Our own operations, and how a device gets its kernels. */
export * as ops from "./ops/mod.ts";
export { copyOf, grad, noGrad, Parameter, requireSynchronous, Tape } from "./autograd/tape.ts";
export {
  AvgPool2d,
  type BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  type BatchNormOptions,
  Buffer,
  Conv2d,
  type Conv2dLayerOptions,
  type Conv2dOptions,
  Dropout,
  Dropout2d,
  Embedding,
  F,
  Flatten,
  type ForwardHook,
  GELU,
  GeneralRelu,
  type GeneralReluOptions,
  GlobalAvgPool,
  GroupNorm,
  type GroupNormOptions,
  init,
  initWeights,
  type LayerOptions,
  Linear,
  type LoadReport,
  lsuvInit,
  type LsuvOptions,
  Module,
  ReLU,
  Sequential,
  SiLU,
  type StateDict,
  Upsample,
  withMode,
} from "./nn/mod.ts";
/** Modules, layers and their initialisation. */
export * as nn from "./nn/mod.ts";
export {
  Adam,
  type AdamOptions,
  AdamW,
  type GroupOptions,
  InverseSqrtLR,
  type InverseSqrtOptions,
  OneCycleLR,
  type OneCycleOptions,
  type OptFunc,
  Optimizer,
  type OptimizerState,
  type ParamGroup,
  type Scheduler,
  SGD,
  type SGDOptions,
} from "./optim/mod.ts";
export { HostArray } from "./data/array.ts";
export { ArrayDataset, type Dataset, subset, take } from "./data/dataset.ts";
export {
  type Batch,
  type Collate,
  DataLoader,
  type DataLoaderOptions,
  DataLoaders,
  type Loader,
  loaderOf,
  type StreamOptions,
} from "./data/loader.ts";
export type { Augment, ImageTransform } from "./data/transforms/mod.ts";
/** Changes to images on the host. */
export * as transforms from "./data/transforms/mod.ts";
export {
  type BatchTransform,
  Callback,
  callModel,
  CancelBatchException,
  CancelEpochException,
  CancelFitException,
  type Done,
  Fit,
  type FitOptions,
  type Json,
  Learner,
  type LearnerEvent,
  type LearnerOptions,
  type LearnerPhase,
  type LossFunc,
  type LRFinder,
  type LRFinderOptions,
  type LRFindOptions,
  MomentumLearner,
  optimizerOf,
  perFit,
  type PhaseBody,
  type ShowBatchOptions,
  type SummaryRow,
  tensorsIn,
  TrainLearner,
} from "./learner/mod.ts";
export { cacheDirectory, isGranted } from "./io/cache.ts";
export { downloadFile, type DownloadOptions } from "./io/download.ts";
export { finishWriting, readBytes, sha256, sweepTemporaryFiles, writeFile } from "./io/files.ts";
export { type Folder, type FolderFile, type FolderOptions, openFolder } from "./io/folder.ts";
export {
  type HubAddress,
  type HubFile,
  type HubFiles,
  hubFiles,
  type HubKind,
  parseHubAddress,
} from "./io/hugging_face.ts";
export { parseJson, showJson } from "./io/json.ts";
export { COUNT, NUMBER, recordOf, requireSchema } from "./io/schema.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafeTensors,
  type SafeTensorsOptions,
} from "./io/safetensors.ts";
export {
  findWeightFiles,
  readJsonFile,
  readWeightFiles,
  type WeightFiles,
  type WeightFilesOptions,
} from "./io/weight_files.ts";
export { fromTorch, loadArrays, loadWeights, saveWeights, toTorch } from "./io/weights.ts";
export { encodeGif, encodePng, type GridOptions, imageGrid, type Picture } from "./vis/image.ts";
export { type LinePlot, linePlot, type Point, renderPlot } from "./vis/plot.ts";
export { showImages, type ShowOptions } from "./vis/show.ts";
export { type ProgressBar, progressBar } from "./vis/progress.ts";
