/** Precision and recall of features by their nearest neighbours (Kynkäänniemi et al. 2019). */
import { HostArray, noGrad, type Tensor, tf } from "../../core/mod.ts";

/** Options of {@link precisionRecall}. */
export interface NeighbourOptions {
  /** The neighbour that a feature's ball reaches to, from 1; default 3. */
  k?: number;
}

/** How many of the features of one kind lie among those of the other, both from 0 to 1. */
export interface PrecisionRecall {
  /** Share of the samples that lie among real features: how good they are. */
  precision: number;
  /** Share of the real features that lie among the samples': how much of what there is they have. */
  recall: number;
}

/** Rows of distances that are on the device at once. */
const BLOCK = 500;

/** Squared distances of the rows of x to the rows of y, block by block of x: each [rows,M]. */
async function* distances(
  x: Tensor,
  y: Tensor,
): AsyncGenerator<{ from: number; data: ArrayLike<number>; width: number }> {
  const [n] = x.shape, [m] = y.shape;
  for (let from = 0; from < n; from += BLOCK) {
    const block = noGrad(() =>
      tf.tidy(() => {
        const part = tf.slice(x, [from], [Math.min(BLOCK, n - from)]);
        const products = tf.matMul(part as never, y as never, false, true);
        const squares = tf.add(tf.sum(tf.square(part), 1, true), tf.reshape(tf.sum(tf.square(y), 1), [1, m]));
        return tf.sub(squares, tf.mul(products, 2));
      })
    );
    const { data } = await HostArray.from(block).finally(() => block.dispose());
    yield { from, data, width: m };
  }
}

/** The kth smallest of numbers, from 1, but for the one at a place. */
function kth(data: ArrayLike<number>, start: number, width: number, k: number, but: number): number {
  const least = new Array<number>(k).fill(Infinity);
  for (let j = 0; j < width; j++) {
    const value = data[start + j];
    if (value >= least[k - 1] || j === but) continue;
    let at = k - 1;
    for (; at > 0 && least[at - 1] > value; at--) least[at] = least[at - 1];
    least[at] = value;
  }
  return least[k - 1];
}

/** Squared distance of each row to its kth neighbour among the others. */
async function radii(x: Tensor, k: number): Promise<Float64Array> {
  const found = new Float64Array(x.shape[0]);
  for await (const { from, data, width } of distances(x, x)) {
    for (let i = 0; i * width < data.length; i++) found[from + i] = kth(data, i * width, width, k, from + i);
  }
  return found;
}

/**
 * Precision and recall (Kynkäänniemi et al. 2019, section 2): a feature lies among others if it is in the ball around one
 * of them that reaches to that one's kth neighbour. Memory and time grow with the product of the two numbers: give some
 * thousands at most.
 * @param real features [N,d]
 * @param samples features [M,d]
 * @throws RangeError for other shapes, k that is no whole number from 1 on, or not more than k features of one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { HostArray, scores, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const [real, samples] = [[0, 1, 5], [0.5, 9]].map((x) => new HostArray(Float32Array.from(x), [x.length, 1]));
 * // Balls reach to 1, 1 and 4 around the real ones: 0.5 and 9 lie in some; around the samples they reach to 8.5.
 * assertEquals(await scores.precisionRecall(real, samples, { k: 1 }), { precision: 1, recall: 1 });
 * ```
 */
export async function precisionRecall(
  real: HostArray,
  samples: HostArray,
  { k = 3 }: NeighbourOptions = {},
): Promise<PrecisionRecall> {
  const shapes = `[${real.shape}] and [${samples.shape}]`;
  if (real.shape.length !== 2 || samples.shape.length !== 2 || real.shape[1] !== samples.shape[1]) {
    throw new RangeError(`precisionRecall: features are [N,d] and [M,d], not ${shapes}`);
  }
  if (!Number.isInteger(k) || k < 1) {
    throw new RangeError(`precisionRecall: k is a whole number from 1 on, not ${k}`);
  }
  if (real.shape[0] <= k || samples.shape[0] <= k) {
    throw new RangeError(`precisionRecall: there are more than k = ${k} features of each, not ${shapes}`);
  }
  const [x, y] = centred([real, samples]);
  try {
    const ofReal = await radii(x, k), ofSamples = await radii(y, k);
    const inReal = new Uint8Array(samples.shape[0]), inSamples = new Uint8Array(real.shape[0]);
    for await (const { from, data, width } of distances(x, y)) {
      for (let at = 0; at < data.length; at++) {
        const i = from + Math.floor(at / width), j = at % width;
        if (data[at] <= ofReal[i]) inReal[j] = 1;
        if (data[at] <= ofSamples[j]) inSamples[i] = 1;
      }
    }
    const share = (inside: Uint8Array) => inside.reduce((sum, v) => sum + v, 0) / inside.length;
    return { precision: share(inReal), recall: share(inSamples) };
  } finally {
    tf.dispose([x, y]);
  }
}

/** Features on the device, less the mean of the first ones: small numbers lose least in their squares' differences. */
function centred(features: HostArray[]): Tensor[] {
  return tf.tidy(() => {
    const tensors = features.map((f) => f.toTensor()), mean = tf.mean(tensors[0], 0, true);
    return tensors.map((x) => tf.sub(x, mean));
  });
}
