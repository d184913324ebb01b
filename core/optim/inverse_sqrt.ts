/** InverseSqrtLR. */
import type { Optimizer } from "./optimizer.ts";
import type { Scheduler } from "./schedule.ts";

/** Options of {@link InverseSqrtLR}. */
export interface InverseSqrtOptions {
  /** The peak, at least 0. */
  maxLr: number;
  /** Steps in which the rate rises from 0, a whole number of at least 0; default 0. */
  warmup?: number;
  /** The step from which the rate falls, a positive whole number; default 10,000. */
  flat?: number;
}

/**
 * A rate that rises, stays, then falls as 1/√t (Karras et al. 2023, eq. 67), which needs not know when training ends:
 * maxLr · min((t+1)/warmup, 1) / √max(t/flat, 1).
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { InverseSqrtLR, Linear, SGD, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const opt = new SGD(new Linear(1, 1).parameters(), { lr: 1 });
 * const sched = new InverseSqrtLR(opt, { maxLr: 0.1, warmup: 10, flat: 100 });
 * sched.stepNum = 400;
 * assert(opt.paramGroups[0].lr === 0.05);
 * ```
 */
export class InverseSqrtLR implements Scheduler {
  #step = 0;
  /** All options, defaults included. */
  readonly options: Required<InverseSqrtOptions>;

  /**
   * Sets the optimiser to the first step.
   * @param optimizer whose learning rate moves
   * @throws RangeError for an option out of its range.
   */
  constructor(readonly optimizer: Optimizer, { maxLr, warmup = 0, flat = 10_000 }: InverseSqrtOptions) {
    if (!(maxLr >= 0 && Number.isFinite(maxLr))) {
      throw new RangeError(`InverseSqrtLR: maxLr is a number of at least 0, not ${maxLr}`);
    }
    if (!Number.isInteger(warmup) || warmup < 0) {
      throw new RangeError(`InverseSqrtLR: warmup is a whole number of at least 0, not ${warmup}`);
    }
    if (!Number.isInteger(flat) || flat < 1) {
      throw new RangeError(`InverseSqrtLR: flat is a positive whole number, not ${flat}`);
    }
    this.options = { maxLr, warmup, flat };
    this.#apply();
  }

  /** The step it is at, from 0. */
  get stepNum(): number {
    return this.#step;
  }
  set stepNum(step: number) {
    if (!Number.isInteger(step) || step < 0) {
      throw new RangeError(`InverseSqrtLR: a step is a whole number of at least 0, not ${step}`);
    }
    this.#step = step;
    this.#apply();
  }

  /** Moves to the next step. */
  step(): void {
    this.stepNum++;
  }

  /** Learning rate at a step. */
  at(step: number): number {
    const { maxLr, warmup, flat } = this.options;
    const rise = warmup > 0 ? Math.min((step + 1) / warmup, 1) : 1;
    return maxLr * rise / Math.sqrt(Math.max(step / flat, 1));
  }

  #apply(): void {
    for (const group of this.optimizer.paramGroups) group.lr = this.at(this.#step);
  }
}
