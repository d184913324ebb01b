/** DeviceCB. */
import { Callback, HostArray, type Learner } from "../core/mod.ts";
import { ORDER } from "./order.ts";

/** Every host array in a nested batch as a tensor. */
function toDevice(x: unknown): unknown {
  if (x instanceof HostArray) return x.toTensor();
  return Array.isArray(x) ? x.map(toDevice) : x;
}

/**
 * Copies each batch from the host to the device. Source: miniai 09_learner.
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
 *   tf,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB()] });
 * await learn.fit(50);
 * const [y] = await learn.model.call(tf.tensor2d([[2]])).data();
 * assert(Math.abs(y - 2) < 0.1);
 * ```
 */
export class DeviceCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.deviceCB;
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;

  /** Copies the batch. */
  override beforeBatch(learn: Learner): void {
    learn.batch = toDevice(learn.batch) as unknown[];
  }
}
