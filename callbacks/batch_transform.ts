/** BatchTransformCB. */
import { type BatchTransform, Callback, type Learner } from "../core/mod.ts";
import { ORDER } from "./order.ts";

/** Options of {@link BatchTransformCB}. */
export interface BatchTransformOptions {
  /** Whether training batches are changed; default true. */
  onTrain?: boolean;
  /** Whether evaluation batches are changed; default true. */
  onVal?: boolean;
}

/**
 * Changes each batch on the device, before the model sees it. Source: miniai 10_activations.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   BatchTransformCB,
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
 * let changed = 0;
 * const half = new BatchTransformCB(([x, y]) => {
 *   changed++;
 *   return [tf.mul(x, 0.5), y];
 * }, { onVal: false });
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), half] }).fit(1);
 * assert(changed === 2); // the training batches
 * ```
 */
export class BatchTransformCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.batchTransformCB;
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;
  readonly #transform: BatchTransform;
  readonly #on: Required<BatchTransformOptions>;

  /**
   * Changes batches.
   * @param transform from a batch on the device to the one that the model sees
   */
  constructor(transform: BatchTransform, { onTrain = true, onVal = true }: BatchTransformOptions = {}) {
    super();
    this.#transform = transform;
    this.#on = { onTrain, onVal };
  }

  /** Changes the batch. */
  override beforeBatch(learn: Learner): void {
    if (learn.training ? this.#on.onTrain : this.#on.onVal) learn.batch = this.#transform(learn.batch);
  }
}
