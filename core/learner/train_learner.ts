/** Learners that do the phases themselves. */
import type { DataLoaders } from "../data/loader.ts";
import type { Module } from "../nn/module.ts";
import type { Done, LearnerPhase } from "./callback.ts";
import { Learner, type LearnerOptions } from "./learner.ts";
import { callModel, optimizerOf } from "./steps.ts";

/**
 * A learner that does the phases itself: the first element of the batch goes to the model, the rest to the loss.
 * Source: miniai 09_learner.
 */
export class TrainLearner<M extends Module = Module> extends Learner<M> {
  /** None: a callback that has a phase would never be called. */
  override get callbackPhases(): readonly LearnerPhase[] {
    return [];
  }
  /** Calls the model. */
  override predict(): Done {
    this.preds = callModel(this.model, this.batch.slice(0, 1));
  }
  /** Calls the loss. */
  override getLoss(): Done {
    this.loss = this.lossFunc(this.preds, ...this.batch.slice(1));
  }
  /** Adds gradients to the parameters'. */
  override backward(): Done {
    this.tape.backward(this.loss, this.current.lossGradient);
  }
  /** Steps the optimiser. */
  override step(): Done {
    optimizerOf(this).step();
  }
  /** Clears the gradients. */
  override zeroGrad(): Done {
    optimizerOf(this).zeroGrad();
  }
}

/** A {@link TrainLearner} that multiplies gradients by `mom` in place of clearing them. Source: miniai 09_learner. */
export class MomentumLearner<M extends Module = Module> extends TrainLearner<M> {
  /** Share of the gradient that stays. */
  readonly mom: number;

  /**
   * Makes a learner whose gradients fade.
   * @param model what is trained
   * @param dls data to train on and to evaluate on
   * @param mom share of the gradient that stays, in [0, 1); default 0.85
   * @throws RangeError for another share.
   */
  constructor(model: M, dls: DataLoaders, options: LearnerOptions = {}, mom = 0.85) {
    super(model, dls, options);
    if (!(mom >= 0 && mom < 1)) throw new RangeError(`MomentumLearner: mom lies in [0, 1), not ${mom}`);
    this.mom = mom;
  }
  /** Multiplies the gradients. */
  override zeroGrad(): void {
    this.clearGradients();
  }
  /** Multiplies the gradients. */
  protected override clearGradients(): void {
    for (const p of this.model.parameters()) p.scaleGrad(this.mom);
  }
}
