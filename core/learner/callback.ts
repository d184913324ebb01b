/** What can be done at every point of the loop. */
import type { Tensor } from "../tf.ts";
import type { Learner } from "./learner.ts";

type Moment = "before" | "after" | "cleanup";
/** The events, in the order in which a batch meets them. */
export type LearnerEvent =
  | `${Moment}${"Fit" | "Epoch" | "Batch"}`
  | `after${"Predict" | "Loss" | "Backward" | "Step"}`;
/** The phases of a batch, which `Learner` leaves to callbacks. */
export type LearnerPhase = "predict" | "getLoss" | "backward" | "step" | "zeroGrad";

/** A number, text or list that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * A piece of behaviour for the loop: a class with methods named after events or phases.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Callback, type Learner } from "../mod.ts";
 * class PrintEpoch extends Callback {
 *   afterEpoch(learn: Learner) {
 *     console.log(learn.epoch, learn.training);
 *   }
 * }
 * assert(new PrintEpoch().order === 0);
 * ```
 */
export abstract class Callback {
  /** Callbacks run in ascending order; equal ones in the order they were given. */
  order = 0;
}

/** Everything that the loop may call on a {@link Callback}; a subclass has what it needs. */
export interface CallbackMethods {
  beforeFit?(learn: Learner): void | Promise<void>;
  beforeEpoch?(learn: Learner): void | Promise<void>;
  beforeBatch?(learn: Learner): void | Promise<void>;
  predict?(learn: Learner): void | Promise<void>;
  afterPredict?(learn: Learner): void | Promise<void>;
  getLoss?(learn: Learner): void | Promise<void>;
  afterLoss?(learn: Learner): void | Promise<void>;
  backward?(learn: Learner): void | Promise<void>;
  afterBackward?(learn: Learner): void | Promise<void>;
  step?(learn: Learner): void | Promise<void>;
  afterStep?(learn: Learner): void | Promise<void>;
  zeroGrad?(learn: Learner): void | Promise<void>;
  afterBatch?(learn: Learner): void | Promise<void>;
  cleanupBatch?(learn: Learner): void | Promise<void>;
  afterEpoch?(learn: Learner): void | Promise<void>;
  cleanupEpoch?(learn: Learner): void | Promise<void>;
  afterFit?(learn: Learner): void | Promise<void>;
  cleanupFit?(learn: Learner): void | Promise<void>;

  /** What a checkpoint must keep for this callback to go on as if never stopped. */
  state?(learn: Learner): Json | Promise<Json>;
  /** Goes on from what {@link state} gave; called in the `beforeEpoch` of the epoch that is resumed. */
  loadState?(state: Json, learn: Learner): void | Promise<void>;
  /** The same for tensors, by names of its own; they stay the callback's. */
  stateTensors?(learn: Learner): Record<string, Tensor>;
  /** Goes on from what {@link stateTensors} gave; called when the checkpoint is read, after `beforeFit`. */
  loadTensors?(tensors: Record<string, Tensor>, learn: Learner): void;
}

/** A callback with the methods that it may have. */
export function methodsOf(cb: Callback): CallbackMethods {
  return cb as CallbackMethods;
}
