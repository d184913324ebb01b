/** Callbacks for the Learner. */
export * from "./train.ts";
export * from "./device.ts";
export * from "./metrics.ts";
export * from "./progress.ts";
export * from "./recorder.ts";
export * from "./sched.ts";
export * from "./single_batch.ts";
export * from "./checkpoint.ts";
export * from "./lr_finder.ts";
export * from "./grads.ts";
export * from "./stopping.ts";
export * from "./ema.ts";
export * from "./batch_transform.ts";
export * from "./test_time_dropout.ts";
export * from "./capture.ts";
export * from "./hooks.ts";
export * from "./show.ts";
