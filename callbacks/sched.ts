/** BatchSchedCB. */
import { Callback, type Json, type Learner, type Optimizer, type Scheduler } from "../core/mod.ts";

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
export class BatchSchedCB extends Callback {
  #schedule!: Scheduler;
  /** @param make the schedule for an optimiser, and for the fit's number of training batches */
  constructor(readonly make: (opt: Optimizer, totalSteps: number) => Scheduler) {
    super();
  }
  beforeFit(learn: Learner): void {
    this.#schedule = this.make(learn.opt!, learn.nEpochs * learn.dls.train.length);
  }
  afterBatch(learn: Learner): void {
    if (learn.training) this.#schedule.step();
  }
  state(): Json {
    return this.#schedule.stepNum;
  }
  loadState(state: Json): void {
    this.#schedule.stepNum = state as number;
  }
}
