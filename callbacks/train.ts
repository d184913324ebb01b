/** TrainCB. */
import { Callback, HostArray, type Learner } from "../core/mod.ts";

/**
 * Does the phases of a batch for a plain `Learner`: the first `nInp` elements of the batch go to the model, the rest
 * to the loss. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { TrainCB } from "../mod.ts";
 * assert(new TrainCB(2).nInp === 2);
 * ```
 */
export class TrainCB extends Callback {
  /** @param nInp how many elements of the batch the model takes; default 1 */
  constructor(readonly nInp = 1) {
    super();
  }
  predict(learn: Learner): void | Promise<void> {
    if (learn.batch[0] instanceof HostArray) {
      throw new Error("The batch is still on the host: add DeviceCB to the callbacks");
    }
    learn.preds = learn.model.call(...learn.batch.slice(0, this.nInp));
  }
  getLoss(learn: Learner): void {
    learn.loss = learn.lossFunc(learn.preds, ...learn.batch.slice(this.nInp));
  }
  backward(learn: Learner): void {
    learn.tape.backward(learn.loss, learn.seed);
  }
  step(learn: Learner): void {
    learn.opt!.step();
  }
  zeroGrad(learn: Learner): void {
    learn.opt!.zeroGrad();
  }
}
