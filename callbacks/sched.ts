/** BatchSchedCB and EpochSchedCB. */
import * as v from "npm:valibot@1.5.0";
import {
  Callback,
  COUNT,
  type Json,
  type Learner,
  type Optimizer,
  optimizerOf,
  perFit,
  requireSchema,
  type Scheduler,
} from "../core/mod.ts";

/** An option of a schedule. */
type Option = number | string | boolean;

/** What a checkpoint keeps of a schedule. */
const STATE = v.union([
  COUNT,
  v.strictObject({
    step: COUNT,
    options: v.record(v.string(), v.union([v.number(), v.string(), v.boolean()])),
  }),
]);

/** A schedule's options, if it shows them as `options`, as `OneCycleLR` does. */
function optionsOf(schedule: Scheduler & { options?: object }): Record<string, Option> {
  const options: Record<string, Option> = {};
  for (const [name, value] of Object.entries(schedule.options ?? {})) {
    if (["number", "string", "boolean"].includes(typeof value)) options[name] = value;
  }
  return options;
}

/** Makes a schedule from the optimiser when a fit that trains begins; subclasses step it. */
export abstract class SchedCB extends Callback {
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;
  /** Makes the schedule. */
  readonly make: (opt: Optimizer, totalSteps: number) => Scheduler;
  readonly #fit = perFit(() => ({ schedule: undefined as Scheduler | undefined }));

  /**
   * Schedules what `make` gives.
   * @param make the schedule for an optimiser, and for how often it is stepped in the fit
   */
  constructor(make: (opt: Optimizer, totalSteps: number) => Scheduler) {
    super();
    this.make = make;
  }
  /** How often the schedule is stepped in a fit. */
  protected abstract totalSteps(learn: Learner): number;
  /** Moves the schedule to its next step. */
  protected moveOn(learn: Learner): void {
    this.#fit(learn).schedule!.step();
  }
  /** Makes the schedule. */
  override beforeFit(learn: Learner): void {
    if (learn.current.train) {
      this.#fit(learn).schedule = this.make(optimizerOf(learn), this.totalSteps(learn));
    }
  }
  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }
  /** The step it is at, and the schedule's options if it shows them. */
  override state(learn: Learner): Json {
    const schedule = this.#fit(learn).schedule!;
    return { step: schedule.stepNum, options: optionsOf(schedule) };
  }
  /**
   * Goes on from a step.
   * @throws Error where the schedule has other options than the saved one.
   */
  override loadState(state: Json, learn: Learner): void {
    const schedule = this.#fit(learn).schedule!, own = optionsOf(schedule), name = this.constructor.name;
    const saved = requireSchema(STATE, state, `${name}'s state`);
    // Versions before kept the step alone.
    const { step, options } = typeof saved === "number" ? { step: saved, options: {} } : saved;
    const other = Object.keys(options).find((option) => own[option] !== options[option]);
    if (other !== undefined) {
      throw new Error(
        `${name}: the schedule that is resumed has ${other} ${options[other]}, that of this fit ${
          own[other]
        }`,
      );
    }
    schedule.stepNum = step;
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
 *   ArrayDataset,
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
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const sched = new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps }));
 * const rates = new RecorderCB({ lr: (learn) => learn.opt!.paramGroups[0].lr });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), rates, sched] }).fit(5);
 * const { lr } = rates.values;
 * assert(lr[0] < 0.005 && Math.max(...lr) === lr[2] && lr.at(-1)! < 1e-6);
 * ```
 */
export class BatchSchedCB extends SchedCB {
  /** The training batches of the fit. */
  protected override totalSteps(learn: Learner): number {
    const { length } = learn.dls.train;
    if (length === undefined) {
      throw new Error(
        "BatchSchedCB needs the number of batches in an epoch: the training loader has no length",
      );
    }
    return learn.nEpochs * length;
  }
  /** Moves on after a training batch. */
  override afterBatch(learn: Learner): void {
    if (learn.training) this.moveOn(learn);
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
 *   ArrayDataset,
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
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const sched = new EpochSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps }));
 * const rates = new RecorderCB({ lr: (learn) => learn.opt!.paramGroups[0].lr });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), rates, sched] }).fit(5);
 * assert(new Set(rates.values.lr).size === 5); // one for the two batches of an epoch
 * ```
 */
export class EpochSchedCB extends SchedCB {
  /** The epochs of the fit. */
  protected override totalSteps(learn: Learner): number {
    return learn.nEpochs;
  }
  /** Moves on after a training pass. */
  override afterEpoch(learn: Learner): void {
    if (learn.training) this.moveOn(learn);
  }
}
