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
 * import { SingleBatchCB } from "../mod.ts";
 * assert(new SingleBatchCB().order === 1);
 * ```
 */
export class SingleBatchCB extends Callback {
  override order = 1;
  afterBatch(learn: Learner): void {
    learn.keep(...new Set(tensorsIn([learn.batch, learn.preds, learn.loss])));
    throw new CancelFitException();
  }
}
