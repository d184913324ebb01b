/** BatchSchedCB and EpochSchedCB. */
import { Callback, type Json, type Learner, type Optimizer, type Scheduler } from "../core/mod.ts";

/** Makes a schedule from the optimiser when the fit begins; subclasses step it. */
abstract class SchedCB extends Callback {
  protected schedule!: Scheduler;
  /** @param make the schedule for an optimiser, and for how often it is stepped in the fit */
  constructor(readonly make: (opt: Optimizer, totalSteps: number) => Scheduler) {
    super();
  }
  protected abstract totalSteps(learn: Learner): number;
  beforeFit(learn: Learner): void {
    this.schedule = this.make(learn.opt!, this.totalSteps(learn));
  }
  state(): Json {
    return this.schedule.stepNum;
  }
  loadState(state: Json): void {
    this.schedule.stepNum = state as number;
  }
}

/**
 * Makes a schedule from the optimiser when the fit begins and steps it after each training batch.
 * Source: miniai 12_accel_sgd.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   BatchSchedCB,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   OneCycleLR,
 *   RecorderCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const sched = new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps }));
 * const rates = new RecorderCB({ lr: (learn) => learn.opt!.paramGroups[0].lr });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), rates, sched] }).fit(5);
 * const { lr } = rates.values;
 * assert(lr[0] < 0.005 && Math.max(...lr) === lr[2] && lr.at(-1)! < 1e-6);
 * ```
 */
export class BatchSchedCB extends SchedCB {
  protected totalSteps(learn: Learner): number {
    const { length } = learn.dls.train;
    if (length === undefined) {
      throw new Error(
        "BatchSchedCB needs the number of batches in an epoch: the training loader has no length",
      );
    }
    return learn.nEpochs * length;
  }
  afterBatch(learn: Learner): void {
    if (learn.training) this.schedule.step();
  }
}

/**
 * Makes a schedule from the optimiser when the fit begins and steps it after each training epoch.
 * Source: miniai 12_accel_sgd.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   DataLoaders,
 *   DeviceCB,
 *   EpochSchedCB,
 *   HostArray,
 *   Linear,
 *   OneCycleLR,
 *   RecorderCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const sched = new EpochSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps }));
 * const rates = new RecorderCB({ lr: (learn) => learn.opt!.paramGroups[0].lr });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), rates, sched] }).fit(5);
 * assert(new Set(rates.values.lr).size === 5); // one for the two batches of an epoch
 * ```
 */
export class EpochSchedCB extends SchedCB {
  protected totalSteps(learn: Learner): number {
    return learn.nEpochs;
  }
  afterEpoch(learn: Learner): void {
    if (learn.training) this.schedule.step();
  }
}
