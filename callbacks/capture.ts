/** CapturePreds and `learn.capturePreds()`. */
import { Callback, HostArray, type Learner, type Tensor } from "../core/mod.ts";
import { targetsOf } from "./train.ts";

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
 *   ArrayDataset,
 *   CapturePreds,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB()] });
 * const capture = new CapturePreds();
 * await learn.fit(1, { train: false, cbs: [capture] });
 * const [preds, targets] = capture.all; // or at once: await learn.capturePreds()
 * assert(preds.data.length === 4 && targets.data[3] === 3);
 * ```
 */
export class CapturePreds extends Callback {
  /** Of each pass, the batches' predictions and targets. */
  readonly #passes: { preds: HostArray[]; targets: HostArray[] }[] = [];

  /** Forgets what the fit before left. */
  override beforeFit(): void {
    this.#passes.length = 0;
  }

  /** Begins a pass. */
  override beforeEpoch(): void {
    this.#passes.push({ preds: [], targets: [] });
  }

  /** Reads predictions and first target. */
  override async afterBatch(learn: Learner): Promise<void> {
    const reads = [learn.preds, targetsOf(learn)[0]].map((x: Tensor) => HostArray.from(x));
    const [preds, targets] = await Promise.all(reads);
    const pass = this.#passes.at(-1)!;
    pass.preds.push(preds);
    pass.targets.push(targets);
  }

  /**
   * Predictions [N,…] and first targets [N,…] of all passes of the current or last fit, one after another.
   * @throws Error where there was no batch.
   */
  get all(): [preds: HostArray, targets: HostArray] {
    const preds = this.#passes.flatMap((pass) => pass.preds),
      targets = this.#passes.flatMap((pass) => pass.targets);
    return [join(preds), join(targets)];
  }

  /** The same of each pass. */
  get epochs(): [preds: HostArray, targets: HostArray][] {
    return this.#passes.map(({ preds, targets }) => [join(preds), join(targets)]);
  }
}

/**
 * Predictions and targets of the evaluation data; the learner stays as it is, also inside a fit.
 * Source: miniai 14_augment.
 * @param cbs besides the learner's; default none
 * @returns predictions [N,…] and first targets, in the loader's order
 */
export async function capturePreds(
  learn: Learner,
  cbs: Callback[] = [],
): Promise<[preds: HostArray, targets: HostArray]> {
  const capture = new CapturePreds();
  await learn.fit(1, { train: false, trial: true, cbs: cbs.concat(capture) });
  return capture.all;
}
