/** What scores compare with: features of real images. */
import {
  type Batch,
  breathe,
  decodeSafetensors,
  encodeSafetensors,
  HostArray,
  type Tensor,
  tf,
} from "../../core/mod.ts";
import type { FeatureModel } from "./classifier.ts";
import { rows } from "./kernel.ts";
import { Moments } from "./moments.ts";

/** Features of real images. */
export interface Reference {
  /** Mean and covariance of all of them. */
  moments: Moments;
  /** The first of them themselves, [N,size], for the scores that compare features one by one. */
  features: HostArray;
}

/** Options of {@link makeReference}. */
export interface ReferenceOptions {
  /** Features that are kept; default 10,000. */
  keep?: number;
  /** Called after each batch with how many images are done; default nothing is. */
  onBatch?: (done: number) => void;
}

/** Features of images, and the classes that the network takes them for where it has classes. */
export interface Seen {
  /** [N,size]. */
  features: HostArray;
  /** [N]. */
  predicted?: ArrayLike<number>;
}

/** What a network sees in images [N,H,W,C] of [0, 1]. */
export async function look(model: FeatureModel, images: HostArray): Promise<Seen> {
  const owned: Tensor[] = [];
  try {
    const x = images.toTensor();
    owned.push(x);
    const { features, logits } = model.features(x);
    owned.push(features);
    if (!logits) return { features: await HostArray.from(features) };
    owned.push(logits);
    const predicted = tf.argMax(logits, 1);
    owned.push(predicted);
    const [of, classes] = await Promise.all([features, predicted].map(HostArray.from));
    return { features: of, predicted: classes.data };
  } finally {
    tf.dispose(owned);
  }
}

/** Rows of arrays, joined. */
export function joined(parts: readonly HostArray[], width: number): HostArray {
  const n = parts.reduce((sum, { shape }) => sum + shape[0], 0), data = new Float32Array(n * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return new HostArray(data, [n, width]);
}

/**
 * The features of real images, of batches that are seen once and not kept.
 * @param batches whose first arrays are images [N,H,W,C] of [0, 1], such as a {@link DataLoader}'s with the transform
 *   `toFloat()`; in another order each time only if the scores are to differ
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { DataLoader, embeddedFashionMnist, scores, take, transforms, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const { train } = await embeddedFashionMnist();
 * const loader = new DataLoader(take(train, 40), { batchSize: 20, transform: transforms.toFloat() });
 * const { moments, features } = await scores.makeReference(await scores.classifierFeatures(), loader);
 * assertEquals([moments.count, ...features.shape], [40, 40, 256]);
 * ```
 */
export async function makeReference(
  model: FeatureModel,
  batches: AsyncIterable<Batch | readonly HostArray[]>,
  { keep = 10_000, onBatch }: ReferenceOptions = {},
): Promise<Reference> {
  const moments = new Moments(model.size), kept: HostArray[] = [];
  for await (const [images] of batches) {
    const { features } = await look(model, images as HostArray);
    const left = keep - moments.count;
    if (left > 0) kept.push(rows(features, 0, Math.min(left, features.shape[0])));
    moments.add(features);
    onBatch?.(moments.count);
    await breathe();
  }
  return { moments, features: joined(kept, model.size) };
}

/** What a file of a reference says that it is of. */
const OF = "features_of";

/**
 * The bytes of a file with a reference.
 * @param of what it is of: {@link decodeReference} gives a reference only of the same
 */
export function encodeReference({ moments, features }: Reference, of: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(moments.toNumbers().buffer);
  return encodeSafetensors({ moments: new HostArray(bytes, [bytes.length]), features }, { [OF]: of });
}

/**
 * A reference as {@link encodeReference} wrote it.
 * @returns undefined for bytes that are no reference, or of something else
 */
export function decodeReference(bytes: Uint8Array, of: string): Reference | undefined {
  try {
    const { tensors: { moments, features }, metadata } = decodeSafetensors(bytes);
    if (metadata[OF] !== of) return undefined;
    return { moments: Moments.from(new Float64Array(Uint8Array.from(moments.data).buffer)), features };
  } catch {
    return undefined;
  }
}
