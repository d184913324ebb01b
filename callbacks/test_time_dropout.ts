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
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   Dropout,
 *   HostArray,
 *   Linear,
 *   Sequential,
 *   TestTimeDropoutCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const model = new Sequential(new Linear(1, 64), new Dropout(0.5), new Linear(64, 1));
 * const learn = new TrainLearner(model, dls, { cbs: [new DeviceCB()] });
 * const [first] = await learn.capturePreds([new TestTimeDropoutCB()]);
 * const [second] = await learn.capturePreds([new TestTimeDropoutCB()]);
 * assert(first.data.every((v, i) => v !== second.data[i])); // two thinned networks
 * ```
 */
export class TestTimeDropoutCB extends Callback {
  /** Switches dropout on around each prediction of an evaluation. */
  override beforeFit(learn: Learner): void {
    const dropouts = Array.from(learn.model.namedModules(), ([, m]) => m).filter(isDropout);
    learn.current.wrap("predict", (inner) => () => {
      if (!learn.training) dropouts.forEach((m) => m.train());
      return inner();
    });
  }
}
