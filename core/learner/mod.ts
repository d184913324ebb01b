/** The Learner and the callback protocol. */
export { Callback, type Done, type Json, type LearnerEvent, type LearnerPhase } from "./callback.ts";
export { CancelBatchException, CancelEpochException, CancelFitException } from "./cancel.ts";
export { Fit, perFit, type PhaseBody } from "./fit.ts";
export { type FitOptions, Learner, type LearnerOptions, type LossFunc } from "./learner.ts";
export { callModel, optimizerOf } from "./steps.ts";
export { tensorsIn } from "./tensors.ts";
export {
  type BatchTransform,
  type LRFinder,
  type LRFinderOptions,
  type LRFindOptions,
  type ShowBatchOptions,
  type SummaryRow,
} from "./tools.ts";
export { MomentumLearner, TrainLearner } from "./train_learner.ts";
