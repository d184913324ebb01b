/** Diffusion past the lesson: levels of noise, what networks say of them, samplers, and what wraps a denoiser. */
export {
  type ClassDenoise,
  type Denoise,
  denoiser,
  type DenoiserOptions,
  type DiffusionModel,
  ofClasses,
} from "./denoiser.ts";
export {
  type ClassOptions,
  dropClasses,
  EDMCB,
  type EDMOptions,
  type LogNormalOptions,
  logNormalSigmas,
} from "./edm.ts";
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
