/** TrainCB. */
import { type Batch, Callback, callModel, type Done, type Learner, optimizerOf } from "../core/mod.ts";

/**
 * Does the phases of a batch for a plain `Learner`: the first `nInp` elements of the batch go to the model, the rest
 * to the loss. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Learner,
 *   Linear,
 *   tf,
 *   TrainCB,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new Learner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), new TrainCB()] });
 * await learn.fit(50);
 * const [y] = await learn.model.call(tf.tensor2d([[2]])).data();
 * assert(Math.abs(y - 2) < 0.1);
 * ```
 */
export class TrainCB extends Callback {
  /** How many elements of the batch the model takes. */
  readonly nInp: number;
  /** Two would train twice. */
  override readonly once: readonly string[] = ["trains"];
  /** Keeps nothing. */
  override readonly shareable: boolean = true;

  /**
   * Takes the first elements of each batch as the model's input.
   * @param nInp how many elements of the batch the model takes, a positive whole number; default 1
   * @throws RangeError for any other.
   */
  constructor(nInp = 1) {
    super();
    if (!Number.isInteger(nInp) || nInp < 1) {
      throw new RangeError(`TrainCB: nInp is a positive whole number, not ${nInp}`);
    }
    this.nInp = nInp;
  }
  /**
   * Calls the model.
   * @throws Error where the batch is still on the host.
   */
  override predict(learn: Learner): Done {
    learn.preds = callModel(learn.model, learn.batch.slice(0, this.nInp));
  }
  /** Calls the loss. */
  override getLoss(learn: Learner): void {
    learn.loss = learn.lossFunc(learn.preds, ...learn.batch.slice(this.nInp));
  }
  /** Adds gradients to the parameters'. */
  override backward(learn: Learner): void {
    learn.tape.backward(learn.loss, learn.current.lossGradient);
  }
  /** Steps the optimiser. */
  override step(learn: Learner): void {
    optimizerOf(learn).step();
  }
  /** Clears the gradients. */
  override zeroGrad(learn: Learner): void {
    optimizerOf(learn).zeroGrad();
  }
}

/** What the loss takes of a batch besides predictions: the elements after those that the model takes. */
export function targetsOf(learn: Learner): Batch {
  const train = learn.current.cbs.find((cb) => cb instanceof TrainCB);
  return learn.batch.slice(train?.nInp ?? 1);
}
