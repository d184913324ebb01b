/** Optimisers and schedules of the learning rate. */
export {
  type GroupOptions,
  type OptFunc,
  Optimizer,
  type OptimizerState,
  type ParamGroup,
} from "./optimizer.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
export { Adam, type AdamOptions, AdamW } from "./adam.ts";
export { InverseSqrtLR, type InverseSqrtOptions } from "./inverse_sqrt.ts";
export { OneCycleLR, type OneCycleOptions, type Scheduler } from "./schedule.ts";
