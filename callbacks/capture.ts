/** CapturePreds, `learn.capturePreds()` and test-time augmentation, `learn.tta()`. */
import { type Batch, Callback, HostArray, Learner, type Tensor, tf } from "../core/mod.ts";
import { BatchTransformCB } from "./batch_transform.ts";

/** Joins arrays along their first axis. */
function join(parts: HostArray[]): HostArray {
  if (parts.length === 0) throw new Error("There was no batch to capture");
  const n = parts.reduce((sum, p) => sum + p.shape[0], 0);
  const make = parts[0].data.constructor as new (length: number) => HostArray["data"];
  const data = new make(parts.reduce((sum, p) => sum + p.data.length, 0));
  let at = 0;
  for (const p of parts) {
    data.set(p.data, at);
    at += p.data.length;
  }
  return new HostArray(data, [n, ...parts[0].shape.slice(1)]);
}

/**
 * Keeps predictions and targets of all batches. Source: miniai 14_augment.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   CapturePreds,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB()] });
 * const capture = new CapturePreds();
 * await learn.fit(1, { train: false, cbs: [capture] });
 * const [preds, targets] = capture.all; // or at once: await learn.capturePreds()
 * assert(preds.data.length === 4 && targets.data[3] === 3);
 * ```
 */
export class CapturePreds extends Callback {
  readonly #preds: HostArray[] = [];
  readonly #targets: HostArray[] = [];

  beforeFit(): void {
    this.#preds.length = this.#targets.length = 0;
  }

  async afterBatch(learn: Learner): Promise<void> {
    this.#preds.push(await HostArray.from(learn.preds as Tensor));
    this.#targets.push(await HostArray.from(learn.batch[1] as Tensor));
  }

  /** All predictions, [N,…], and their targets, [N]. */
  get all(): [preds: HostArray, targets: HostArray] {
    return [join(this.#preds), join(this.#targets)];
  }
}

declare module "../core/learner/learner.ts" {
  interface Learner {
    /** Predictions and targets of the evaluation data, with these callbacks besides the learner's. */
    capturePreds(cbs?: Callback[]): Promise<[preds: HostArray, targets: HostArray]>;
    /**
     * Mean predictions over the evaluation data as it is and changed by each of these, and the targets.
     * Source: miniai 14_augment.
     * @param transforms of a batch on the device, such as {@link flipBatch}
     */
    tta(...transforms: ((batch: Batch) => Batch)[]): Promise<[preds: HostArray, targets: HostArray]>;
  }
}

Learner.prototype.capturePreds = async function (cbs: Callback[] = []) {
  const capture = new CapturePreds();
  await this.fit(1, { train: false, cbs: [...cbs, capture] });
  return capture.all;
};

/** A batch with its images [N,H,W,C] mirrored left to right, for {@link Learner.tta}. */
export function flipBatch([images, ...rest]: Batch): Batch {
  return [tf.reverse(images, 2), ...rest];
}

Learner.prototype.tta = async function (...transforms: ((batch: Batch) => Batch)[]) {
  const [sum, targets] = await this.capturePreds();
  for (const transform of transforms) {
    const [preds] = await this.capturePreds([new BatchTransformCB(transform)]);
    preds.data.forEach((v, i) => sum.data[i] += v);
  }
  sum.data.forEach((v, i) => sum.data[i] = v / (transforms.length + 1));
  return [sum, targets];
};
