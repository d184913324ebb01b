/** SingleBatchCB. */
import { Callback, CancelFitException, type Learner, Tensor } from "../core/mod.ts";

/** All tensors in a nested value. */
export function tensorsIn(x: unknown): Tensor[] {
  if (x instanceof Tensor) return [x];
  if (Array.isArray(x)) return x.flatMap(tensorsIn);
  return x && typeof x === "object" ? Object.values(x).flatMap(tensorsIn) : [];
}

/**
 * Ends the fit after one batch, whose tensors `learn.batch`, `learn.preds` and `learn.loss` stay usable until the
 * learner's next `keep` or `dispose`. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   SingleBatchCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB()] });
 * await learn.fit(1, { cbs: [new SingleBatchCB()] });
 * assert(learn.batch[0].shape[0] === 2 && learn.preds.shape[0] === 2);
 * learn.dispose();
 * ```
 */
export class SingleBatchCB extends Callback {
  override order = 1;
  afterBatch(learn: Learner): void {
    learn.keep(...new Set(tensorsIn([learn.batch, learn.preds, learn.loss])));
    throw new CancelFitException();
  }
}
