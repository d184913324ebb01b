/** What can be done at every point of the loop. */
import type { Learner } from "./learner.ts";

type Moment = "before" | "after" | "cleanup";
/** The events, in the order in which a batch meets them. */
export type LearnerEvent =
  | `${Moment}${"Fit" | "Epoch" | "Batch"}`
  | `after${"Predict" | "Loss" | "Backward" | "Step"}`;
/** The phases of a batch, which `Learner` leaves to callbacks. */
export type LearnerPhase = "predict" | "getLoss" | "backward" | "step" | "zeroGrad";

/** What a callback does there; it may be asynchronous, and the loop waits. */
export type CallbackMethod = (learn: Learner) => void | Promise<void>;

/** A number, text or list that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * A piece of behaviour for the loop: a class with methods named after events or phases.
 *
 * @example
 * ```ts
 * import { Callback, type Learner } from "../mod.ts";
 * class PrintEpoch extends Callback {
 *   afterEpoch(learn: Learner) {
 *     console.log(learn.epoch, learn.training);
 *   }
 * }
 * console.assert(new PrintEpoch().order === 0);
 * ```
 */
export abstract class Callback {
  /** Callbacks run in ascending order; equal ones in the order they were given. */
  order = 0;
}

/** Everything that the loop may call on a {@link Callback}; subclasses write what they need. */
export interface Callback extends Partial<Record<LearnerEvent | LearnerPhase, CallbackMethod>> {
  /** What a checkpoint must keep for this callback to go on as if never stopped. */
  state?(learn: Learner): Json | Promise<Json>;
  /** Goes on from what {@link state} gave; called after `beforeFit`. */
  loadState?(state: Json, learn: Learner): void | Promise<void>;
}

/** A callback's method by name, or none. */
export function methodOf(
  cb: Callback,
  name: LearnerEvent | LearnerPhase,
): CallbackMethod | undefined {
  return cb[name]?.bind(cb);
}
