/** Diffusion past the lesson: levels of noise, what networks say of them, samplers, and what wraps a denoiser. */
export {
  decodeEDMModel,
  EDM_DRAWING,
  type EDMFacts,
  type EDMFileOptions,
  type EDMModel,
  type EDMSteps,
  edmSteps,
  encodeEDMModel,
} from "./edm_model.ts";
export {
  PRETRAINED,
  pretrained,
  type PretrainedModel,
  type PretrainedName,
  type PretrainedOptions,
  type ShippedFile,
} from "./pretrained.ts";
export {
  flowOfSample,
  type Mix,
  mix,
  type NoiseLevel,
  noiseOfSample,
  type Parametrisation,
  parametrisation,
  type Preconditioning,
  preconditioning,
  type Prediction,
  ratio,
  sampleOfFlow,
  sampleOfNoise,
  sampleOfV,
  SIGMA_DATA,
  vOfSample,
} from "./parametrisation.ts";
export {
  type ClassDenoise,
  type Denoise,
  denoiser,
  type DenoiserOptions,
  type DiffusionModel,
  ofClasses,
} from "./denoiser.ts";
export {
  cosineSchedule,
  type CosineScheduleOptions,
  scaledLinearSchedule,
  sigmoidSchedule,
  zeroTerminalSnr,
} from "./schedules.ts";
export {
  type BatchLevel,
  cosine,
  flow,
  levelOf,
  type Process,
  rescaled,
  type TimeOptions,
  ve,
  type VeOptions,
  vp,
} from "./process.ts";
export { levels, type LevelsOptions, type Spacing } from "./levels.ts";
export { plotSchedule } from "./plot.ts";
export {
  type LogitNormalOptions,
  logitNormalTimes,
  type MinSnrOptions,
  minSnrWeights,
  type TrainingBatch,
  trainingBatch,
  type TrainingBatchOptions,
  uniformTimes,
} from "./training.ts";
export {
  consistency,
  ConsistencyCB,
  consistencyLevels,
  consistencyLoss,
  type ConsistencyOptions,
  pairedSigmas,
  type PairSchedule,
} from "./consistency.ts";
export { EDMCB, type EDMOptions, type LogNormalOptions, logNormalSigmas } from "./edm.ts";
export { DiffusionCB, type DiffusionOptions, weightedMseLoss } from "./callback.ts";
export { type ClassOptions, dropClasses } from "./classes.ts";
export {
  type DiffusionSampleOptions,
  sample,
  type Sampler,
  type StepInputs,
  type Stepped,
  walk,
  type Walked,
  type WalkOptions,
} from "./sampling.ts";
export { ddim, type DdimOptions } from "./samplers/ddim.ts";
export { ddpm, type DdpmOptions } from "./samplers/ddpm.ts";
export { dpmSolver, type DpmSolverOptions, dpmSolverSde } from "./samplers/dpm_solver.ts";
export { euler, eulerAncestral, type EulerAncestralOptions } from "./samplers/euler.ts";
export type { Along } from "./samplers/coordinates.ts";
export { heun, type HeunOptions } from "./samplers/heun.ts";
export { lms, type LmsOptions } from "./samplers/lms.ts";
export { midpoint, type MidpointOptions } from "./samplers/midpoint.ts";
export { pndm, type PndmOptions } from "./samplers/pndm.ts";
export { uniPc, type UniPcOptions } from "./samplers/unipc.ts";
export { type GuidanceOptions, guided } from "./guidance.ts";
export {
  fromImages,
  type FromImagesOptions,
  inpainting,
  type InpaintingOptions,
  slerp,
  type Start,
} from "./edit.ts";
export {
  loadPipeline,
  type LoadPipelineOptions,
  type Pipeline,
  type PipelineClass,
  savePipeline,
  type SavePipelineOptions,
} from "./pipelines/pipeline.ts";
export {
  type Scheduler,
  scheduler,
  schedulerConfig,
  type SchedulerConfigOptions,
} from "./pipelines/scheduler.ts";
export {
  readSchedulerConfig,
  type SchedulerClass,
  type SchedulerConfig,
} from "./pipelines/scheduler_config.ts";
