/** TestTimeDropoutCB. */
import { Callback, Dropout, type Learner, type Module } from "../core/mod.ts";

/** Whether a module drops things: one of ours, or one whose class is called so. */
export function isDropout(module: Module): boolean {
  return module instanceof Dropout || /dropout/i.test(module.constructor.name);
}

/**
 * Keeps every dropout layer on in evaluation, and nothing else: batch norm stays as it is there. Each pass then draws
 * another thinned network, whose spread is a measure of confidence (Gal & Ghahramani 2016; lesson notebook 14).
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Dropout2d, isDropout, ReLU } from "../mod.ts";
 * assert(isDropout(new Dropout2d(0.1)) && !isDropout(new ReLU()));
 * ```
 */
export class TestTimeDropoutCB extends Callback {
  beforeEpoch(learn: Learner): void {
    if (learn.training) return;
    learn.model.apply((m) => {
      if (isDropout(m)) m.train();
    });
  }

  cleanupEpoch(learn: Learner): void {
    if (!learn.training) learn.model.eval();
  }
}
