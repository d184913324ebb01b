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
 * import { BatchSchedCB, OneCycleLR } from "../mod.ts";
 * const cb = new BatchSchedCB((opt) => new OneCycleLR(opt, { maxLr: 5e-3, totalSteps: 2345 }));
 * assert(cb.order === 0);
 * ```
 */
export class BatchSchedCB extends SchedCB {
  protected totalSteps(learn: Learner): number {
    return learn.nEpochs * learn.dls.train.length;
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
 * import { EpochSchedCB, OneCycleLR } from "../mod.ts";
 * const cb = new EpochSchedCB((opt, epochs) => new OneCycleLR(opt, { maxLr: 1e-2, totalSteps: epochs }));
 * assert(cb.order === 0);
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
