/**
 * Denoise: a hackable training framework (a `Learner` with callbacks) and diffusion models on it, for Deno.
 *
 * A script calls {@link useDevice}, makes a model ({@link UNet}, {@link Sequential}), {@link DataLoaders} and a
 * {@link TrainLearner} with its callbacks, and draws with {@link sample}. What has a name too general to stand alone is
 * in a namespace, whose reference is `deno doc` of its module, or on JSR that of the package's part:
 *
 * - `tf`: the array library, TensorFlow.js (js.tensorflow.org/api)
 * - `nn`: modules and layers (`core/nn/mod.ts`, `@denoise/denoise/nn`)
 * - `F`: what layers compute (`core/nn/functional.ts`, `@denoise/denoise/nn/functional`)
 * - `init`: how weights begin (`core/nn/init.ts`, `@denoise/denoise/nn/init`)
 * - `transforms`: changes to images on the host (`core/data/transforms/mod.ts`, `@denoise/denoise/transforms`)
 * - `diffusion`: schedules, samplers, and networks of classes that ship (`models/diffusion/mod.ts`, `@denoise/denoise/diffusion`)
 * - `unet`: the parts of the U-Net (`models/unet/mod.ts`, `@denoise/denoise/unet`)
 * - `resnet`: the classifiers, with reports on what they predict (`models/resnet/mod.ts`, `@denoise/denoise/resnet`)
 * - `scores`: FID and its kin, by features of our own classifier (`models/scores/mod.ts`, `@denoise/denoise/scores`)
 * - `ops`: our own operations, and how a device gets kernels (`core/ops/mod.ts`, `@denoise/denoise/ops`)
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

// Arrays and devices
export {
  closeDevice,
  currentDevice,
  currentGpu,
  type DataType,
  type Device,
  type DeviceChoice,
  type DeviceError,
  type DeviceOptions,
  type Dispatch,
  type DispatchListener,
  type EachElement,
  type Gpu,
  HostArray,
  type Shader,
  Tensor,
  type TensorInfo,
  tf,
  type TypedArray,
  useDevice,
} from "./core/mod.ts";
/** Our own operations, and how a device gets its kernels; its reference is `deno doc core/ops/mod.ts`. */
export * as ops from "./core/ops/mod.ts";

// Random numbers
export { defaultGenerator, Generator, type GeneratorState, setSeed } from "./core/mod.ts";

// Gradients
export { copyOf, grad, noGrad, Parameter, Tape } from "./core/mod.ts";

// Models
export {
  AvgPool2d,
  type BatchNorm,
  BatchNorm1d,
  BatchNorm2d,
  type BatchNormOptions,
  type Buffer,
  Conv2d,
  type Conv2dLayerOptions,
  type Conv2dOptions,
  Dropout,
  Dropout2d,
  Embedding,
  Flatten,
  type ForwardHook,
  GELU,
  GeneralRelu,
  type GeneralReluOptions,
  GlobalAvgPool,
  GroupNorm,
  type GroupNormOptions,
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
} from "./core/mod.ts";
/** Modules, layers and their initialisation; its reference is `deno doc core/nn/mod.ts`. */
export * as nn from "./core/nn/mod.ts";
/** What layers compute, as functions; its reference is `deno doc core/nn/functional.ts`. */
export * as F from "./core/nn/functional.ts";
/** Initial numbers of weights; its reference is `deno doc core/nn/init.ts`. */
export * as init from "./core/nn/init.ts";

// Optimisers
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
} from "./core/mod.ts";

// Data
export {
  ArrayDataset,
  type Augment,
  type Batch,
  type Collate,
  DataLoader,
  type DataLoaderOptions,
  DataLoaders,
  type Dataset,
  type DownloadOptions,
  type FolderOptions,
  type ImageTransform,
  type Loader,
  loaderOf,
  type StreamOptions,
  subset,
  take,
} from "./core/mod.ts";
/** Changes to images on the host; its reference is `deno doc core/data/transforms/mod.ts`. */
export * as transforms from "./core/data/transforms/mod.ts";
export {
  type CifarOptions,
  cifarSource,
  embeddedFashionMnist,
  type Emoji,
  emoji,
  EMOJI_CLASSES,
  type EmojiOptions,
  FASHION_MNIST_CLASSES,
  type FashionMnist,
  fashionMnist,
  type FashionMnistOptions,
  folderSource,
  type IdxOptions,
  idxSource,
  type ImageCache,
  type ImageDataset,
  imageDataset,
  type ImageEntry,
  imageFolder,
  type ImageLayout,
  type ImageOptions,
  type ImageSource,
  type NumpyOptions,
  numpySource,
  openImages,
  openImageSource,
  type ParquetOptions,
  parquetSource,
  type Pixels,
  readIdx,
  type SkippedImage,
  type SourceOptions,
} from "./datasets/mod.ts";

// Training
export {
  type BatchTransform,
  Callback,
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
  perFit,
  type PhaseBody,
  type ShowBatchOptions,
  type SummaryRow,
  tensorsIn,
  TrainLearner,
  withMode,
} from "./core/mod.ts";
export {
  AccumulateGradCB,
  Accuracy,
  ActivationStats,
  AverageCB,
  averageFactors,
  type AveragePlace,
  BatchDraws,
  BatchSchedCB,
  BatchTransformCB,
  type BatchTransformOptions,
  CapturePreds,
  capturePreds,
  CheckpointCB,
  type CheckpointOptions,
  DeviceCB,
  EarlyStoppingCB,
  type EarlyStoppingOptions,
  EMACB,
  EpochSchedCB,
  flipBatch,
  GradientClipCB,
  type HookFunc,
  HooksCallback,
  type HooksOptions,
  lrFind,
  LRFinderCB,
  Mean,
  type Metric,
  MetricsCB,
  type MetricsRow,
  mixAverages,
  MixedPrecision,
  type MixedPrecisionOptions,
  type ModuleStats,
  ORDER,
  PowerEMACB,
  powerOf,
  ProgressCB,
  type Recorded,
  RecorderCB,
  SchedCB,
  showImageBatch,
  SingleBatchCB,
  summary,
  TerminateOnNaNCB,
  TestTimeDropoutCB,
  TrainCB,
  tta,
} from "./callbacks/mod.ts";

// Diffusion
export {
  betaSchedule,
  type BetaScheduleOptions,
  DDPMCB,
  type DDPMOptions,
  ddpmStep,
  DDPMTrainCB,
  initDdpm,
  linearSchedule,
  type LinearScheduleOptions,
  type Noised,
  type NoiseDraw,
  type NoiseModel,
  noisify,
  type Pretrained,
  pretrained,
  respace,
  type RespaceOptions,
  sample,
  type SampleOptions,
  type SampleStep,
  type Schedule,
  type StepInputs,
  UNet,
  type UNetInput,
  type Variance,
} from "./models/ddpm/mod.ts";
/** Diffusion past the lesson: schedules, samplers, guidance; its reference is `deno doc models/diffusion/mod.ts`. */
export * as diffusion from "./models/diffusion/mod.ts";
export {
  type ClassEmbedType,
  type ClassLabels,
  type CondUNetInput,
  CondUNetModel,
  type CondUNetOptions,
  type EmbUNetInput,
  EmbUNetModel,
  type EmbUNetOptions,
  PatchUNet,
  type PatchUNetConfig,
  type PatchUNetInput,
  timestepEmbedding,
  type TimestepEmbeddingOptions,
  UNET2D_DEFAULTS,
  type UNet2DConfig,
  UNet2DModel,
} from "./models/unet/mod.ts";
export type {
  Activation,
  AttentionBlock,
  AttentionBlockOptions,
  BlockOptions,
  ConfigFieldDescription,
  DownBlock,
  DownBlockOptions,
  DownBlockType,
  Downsample2D,
  GaussianFourierProjection,
  MidBlockOptions,
  NormOptions,
  ResizeType,
  ResnetBlock2D,
  ResnetBlockOptions,
  SkipDownBlock,
  SkipDownBlockOptions,
  SkipUpBlock,
  SkipUpBlockOptions,
  StyleOptions,
  TimeEmbeddingType,
  TimeScaleShift,
  TimestepEmbedding,
  UNet2D,
  UNetMidBlock2D,
  UpBlock,
  UpBlockOptions,
  UpBlockType,
  Upsample2D,
} from "./models/unet/mod.ts";
/** The parts of the U-Net, with the names of Diffusers; its reference is `deno doc models/unet/mod.ts`. */
export * as unet from "./models/unet/mod.ts";

// Classifiers
/** The classifiers of the lesson, and reports on what they predict; its reference is `deno doc models/resnet/mod.ts`. */
export * as resnet from "./models/resnet/mod.ts";
/** Scores of images that a network draws; its reference is `deno doc models/scores/mod.ts`. */
export * as scores from "./models/scores/mod.ts";

// Files and pictures
export {
  decodeSafetensors,
  encodeGif,
  encodePng,
  encodeSafetensors,
  fromTorch,
  type GridOptions,
  imageGrid,
  type LinePlot,
  linePlot,
  loadWeights,
  type Picture,
  type Point,
  renderPlot,
  type SafeTensors,
  type SafeTensorsOptions,
  saveWeights,
  showImages,
  type ShowOptions,
  toTorch,
} from "./core/mod.ts";
