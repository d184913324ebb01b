/** Denoising diffusion: schedules, noising, training callbacks, samplers. */
export {
  betaSchedule,
  type BetaScheduleOptions,
  linearSchedule,
  type LinearScheduleOptions,
  respace,
  type RespaceOptions,
  type Schedule,
  type Variance,
} from "./schedule.ts";
export { type Noised, type NoiseDraw, noisify } from "./noisify.ts";
export { initDdpm, UNet, type UNetInput } from "./model.ts";
export { DDPMCB, type DDPMOptions, DDPMTrainCB } from "./callbacks.ts";
export {
  ddpmStep,
  type NoiseModel,
  sample,
  type SampleOptions,
  type SampleStep,
  type StepInputs,
} from "./sample.ts";
export { type Pretrained, pretrained } from "./pretrained.ts";
