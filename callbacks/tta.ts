/** Test-time augmentation, `learn.tta()`. */
import {
  type Batch,
  type BatchTransform,
  DataLoader,
  type HostArray,
  type Learner,
  tf,
} from "../core/mod.ts";
import { BatchTransformCB } from "./batch_transform.ts";
import { CapturePreds } from "./capture.ts";

/** A batch with its images [N,H,W,C] mirrored left to right, for {@link tta}. */
export function flipBatch([images, ...rest]: Batch): Batch {
  return [tf.reverse(images, 2), ...rest];
}

const SHUFFLED =
  "tta averages predictions of the same items, and the evaluation loader gives another order each " +
  "time: make it without shuffle";

/**
 * Mean predictions over the evaluation data as it is and changed by each of these. Source: miniai 14_augment.
 * @param transforms of a batch on the device, such as {@link flipBatch}
 * @returns mean predictions [N,…] and first targets, in the loader's order
 * @throws Error where the loader shuffles.
 */
export async function tta(
  learn: Learner,
  ...transforms: BatchTransform[]
): Promise<[preds: HostArray, targets: HostArray]> {
  const { valid } = learn.dls;
  if (valid instanceof DataLoader && valid.shuffle) throw new Error(SHUFFLED);
  const capture = new CapturePreds();
  // One fit, during which no other of the learner changes the weights: the first epoch as it is, one for each transform.
  const change = new BatchTransformCB((batch) => transforms[learn.epoch - 1]?.(batch) ?? batch);
  await learn.fit(1 + transforms.length, { train: false, trial: true, cbs: [change, capture] });
  const [[sum, targets], ...changed] = capture.epochs;
  for (const [preds, again] of changed) {
    if (again.data.some((v, i) => !Object.is(v, targets.data[i]))) throw new Error(SHUFFLED);
    preds.data.forEach((v, i) => sum.data[i] += v);
  }
  sum.data.forEach((v, i) => sum.data[i] = v / (transforms.length + 1));
  return [sum, targets];
}
