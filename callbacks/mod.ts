/** Callbacks for the Learner, and the tools that it gets from them. */
import "./attach.ts";

export { AccumulateGradCB } from "./accumulate_grad.ts";
export { ActivationStats, type ModuleStats } from "./activation_stats.ts";
export { BatchTransformCB, type BatchTransformOptions } from "./batch_transform.ts";
export { CapturePreds, capturePreds } from "./capture.ts";
export { CheckpointCB, type CheckpointOptions } from "./checkpoint.ts";
export { DeviceCB } from "./device.ts";
export { EarlyStoppingCB, type EarlyStoppingOptions } from "./early_stopping.ts";
export { AverageCB, EMACB } from "./ema.ts";
export { GradientClipCB } from "./gradient_clip.ts";
export { type HookFunc, HooksCallback, type HooksOptions } from "./hooks.ts";
export { lrFind, LRFinderCB } from "./lr_finder.ts";
export { Accuracy, Mean, type Metric } from "./metric.ts";
export { batchSize, formatRow, MetricsCB, type MetricsRow } from "./metrics.ts";
export { MixedPrecision, type MixedPrecisionOptions } from "./mixed_precision.ts";
export { ORDER } from "./order.ts";
export { averageFactors, type AveragePlace, mixAverages, PowerEMACB, powerOf } from "./power_ema.ts";
export { ProgressCB } from "./progress.ts";
export { type Recorded, RecorderCB } from "./recorder.ts";
export { BatchSchedCB, EpochSchedCB, SchedCB } from "./sched.ts";
export { showImageBatch } from "./show.ts";
export { SingleBatchCB } from "./single_batch.ts";
export { summary } from "./summary.ts";
export { TerminateOnNaNCB } from "./terminate_on_nan.ts";
export { isDropout, TestTimeDropoutCB } from "./test_time_dropout.ts";
export { TrainCB } from "./train.ts";
export { flipBatch, tta } from "./tta.ts";
