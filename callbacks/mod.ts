/** Callbacks for the Learner. */
export * from "./train.ts";
export * from "./device.ts";
export * from "./metrics.ts";
export * from "./progress.ts";
export * from "./recorder.ts";
export * from "./sched.ts";
export * from "./single_batch.ts";
export * from "./checkpoint.ts";
