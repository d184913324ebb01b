/** What can be done at every point of the loop. */
import type { Tensor } from "../tf.ts";
import type { Learner } from "./learner.ts";

/** A number, text or list that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What an event or a phase returns: the loop waits for a promise. */
export type Done = void | Promise<void>;

/** The phases of a batch, which `Learner` leaves to callbacks. */
export type LearnerPhase = "predict" | "getLoss" | "backward" | "step" | "zeroGrad";
/** The events, at which every callback may do something. */
export type LearnerEvent =
  | `${"before" | "after" | "cleanup"}${"Fit" | "Epoch" | "Batch"}`
  | `after${"Predict" | "Loss" | "Backward" | "Step"}`;

/**
 * A piece of behaviour for the loop. A subclass overrides the events at which it has something to do, and the phases
 * that it does; all others are absent. `override` makes the compiler hold their names.
 *
 * Callbacks run one after another by {@link order}; the loop waits for a promise before it goes on. Everything runs in
 * evaluation too (`learn.training` tells), except what stands after `afterLoss` and before `afterBatch`. An epoch here
 * is one pass: a fit with validation has two for each number of `learn.epoch`. A `CancelBatchException`,
 * `CancelEpochException` or `CancelFitException` that is thrown at any point skips the rest of that batch, pass or fit,
 * its `after…` event included; `cleanup…` always runs.
 *
 * Tensors: what a synchronous method makes is freed when it returns, unless it was kept (`tf.keep`) or stands in
 * `learn.batch`, `learn.preds` or `learn.loss`, which live until the batch ends. What an async method makes before its
 * first `await` lives as long; what it makes later is its own to free. What one fit needs of its own, such as a counter,
 * belongs into {@link perFit}, so that no other fit meets it.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Callback, type Learner } from "../mod.ts";
 * class PrintEpoch extends Callback {
 *   override afterEpoch(learn: Learner) {
 *     console.log(learn.epoch, learn.training);
 *   }
 * }
 * assert(new PrintEpoch().order === 0);
 * ```
 */
export abstract class Callback {
  /** Callbacks run in ascending order, equal ones as they were given; `ORDER` has those of ours. */
  order = 0;
  /** What a fit takes from one callback alone, such as "trains" or "noises the batch"; default nothing. */
  readonly once: readonly string[] = [];

  /**
   * Whether fits of two learners may have it at once, since it keeps nothing of its own (what stands in {@link perFit} is
   * each fit's); default false, and the second fit is refused.
   */
  readonly shareable: boolean = false;

  /** Once, before the first pass. The optimiser is made; {@link Fit.wrap} is for here. */
  beforeFit?(learn: Learner): Done;
  /** Before each pass over the training or validation data, before its first batch is asked for. */
  beforeEpoch?(learn: Learner): Done;
  /** When `learn.batch` has come from the loader, and nothing is computed yet; `learn.preds` and `learn.loss` are old. */
  beforeBatch?(learn: Learner): Done;
  /** Phase: sets `learn.preds` from `learn.batch`; recorded for the backward pass while training. */
  predict?(learn: Learner): Done;
  /** When `learn.preds` are there, as the model gave them. */
  afterPredict?(learn: Learner): Done;
  /** Phase: sets `learn.loss`, a scalar, from `learn.preds` and `learn.batch`; recorded while training. */
  getLoss?(learn: Learner): Done;
  /** When `learn.loss` is there; the last event of a batch of evaluation before `afterBatch`. */
  afterLoss?(learn: Learner): Done;
  /** Phase, training only: adds the gradients of `learn.loss` to each parameter's `grad`. */
  backward?(learn: Learner): Done;
  /** Training only: the gradients are in `grad`, the parameters are those that made the predictions. */
  afterBackward?(learn: Learner): Done;
  /** Phase, training only: changes the parameters. */
  step?(learn: Learner): Done;
  /** Training only: the phase `step` is over (it may have waited, see `AccumulateGradCB`); gradients are there still. */
  afterStep?(learn: Learner): Done;
  /** Phase, training only: clears the gradients. */
  zeroGrad?(learn: Learner): Done;
  /** When the batch is done and was not cancelled; `learn.batch`, `learn.preds` and `learn.loss` hold its tensors. */
  afterBatch?(learn: Learner): Done;
  /** At the end of each batch in any case; its tensors are freed after it. */
  cleanupBatch?(learn: Learner): Done;
  /** When a pass is done and was not cancelled; `learn.iter` is the number of its batches. */
  afterEpoch?(learn: Learner): Done;
  /** At the end of each pass in any case. */
  cleanupEpoch?(learn: Learner): Done;
  /** When the fit is done and was not cancelled. */
  afterFit?(learn: Learner): Done;
  /** At the end of the fit in any case; every callback's runs, even where another's throws. */
  cleanupFit?(learn: Learner): Done;

  /** The name of its state in a checkpoint, with options that a resumed fit must share; default its class's. */
  get stateName(): string {
    return this.constructor.name;
  }
  /** What a checkpoint must keep for this callback to go on as if never stopped. */
  state?(learn: Learner): Json | Promise<Json>;
  /** Goes on from what {@link state} gave; called in the `beforeEpoch` of the pass that is resumed. */
  loadState?(state: Json, learn: Learner): Done;
  /** The same for tensors, by names of its own; they stay the callback's. */
  stateTensors?(learn: Learner): Record<string, Tensor>;
  /** Goes on from what {@link stateTensors} gave; called when the checkpoint is read, in `beforeFit`. */
  loadTensors?(tensors: Record<string, Tensor>, learn: Learner): void;

  /**
   * Whether it runs in fits that only try something (`FitOptions.trial`; `lrFind`, `capturePreds`, `tta`, `summary`,
   * `showImageBatch`). Callbacks that write the run's record, move its schedule or save it say no.
   * @param _training whether that fit trains
   */
  inTrials(_training: boolean): boolean {
    return true;
  }
}
