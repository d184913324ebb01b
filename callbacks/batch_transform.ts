/** BatchTransformCB. */
import { type Batch, Callback, type Learner } from "../core/mod.ts";
import { DeviceCB } from "./device.ts";

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
 * import { BatchTransformCB, DeviceCB } from "../mod.ts";
 * const half = new BatchTransformCB(([x, y]) => [x.mul(0.5), y], { onVal: false });
 * assert(half.order > new DeviceCB().order);
 * ```
 */
export class BatchTransformCB extends Callback {
  override order: number = new DeviceCB().order + 1;
  readonly #transform: (batch: Batch) => Batch;
  readonly #on: Required<BatchTransformOptions>;

  constructor(
    transform: (batch: Batch) => Batch,
    { onTrain = true, onVal = true }: BatchTransformOptions = {},
  ) {
    super();
    this.#transform = transform;
    this.#on = { onTrain, onVal };
  }

  beforeBatch(learn: Learner): void {
    if (learn.training ? this.#on.onTrain : this.#on.onVal) learn.batch = this.#transform(learn.batch);
  }
}
