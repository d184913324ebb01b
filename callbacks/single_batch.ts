/** SingleBatchCB. */
import { Callback, CancelFitException, type Learner, tensorsIn } from "../core/mod.ts";
import { ORDER } from "./order.ts";

/**
 * Ends the fit after one batch, whose tensors `learn.batch`, `learn.preds` and `learn.loss` stay usable until the
 * learner's next `keep`, `fit` or `dispose`. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   SingleBatchCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB()] });
 * await learn.fit(1, { cbs: [new SingleBatchCB()] });
 * assert(learn.batch[0].shape[0] === 2 && learn.preds.shape[0] === 2);
 * learn.dispose();
 * ```
 */
export class SingleBatchCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.singleBatchCB;
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;

  /** Keeps the batch and ends the fit. */
  override afterBatch(learn: Learner): void {
    learn.keep(...tensorsIn([learn.batch, learn.preds, learn.loss]));
    throw new CancelFitException();
  }
}
