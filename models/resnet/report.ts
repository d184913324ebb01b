/** What a classifier's predictions come to: confusion, confidence, calibration. */
import { DataLoader, HostArray, type Learner } from "../../core/mod.ts";
import { TestTimeDropoutCB } from "../../callbacks/mod.ts";

/** Predictions of one or several passes over the same items, as {@link averagePasses} makes them. */
export interface Prediction {
  /** Mean probabilities over the passes, [N,classes]. */
  probabilities: HostArray<Float32Array>;
  /** The likeliest class of each item, [N]; the lower of two that are equal. */
  predicted: Int32Array;
  /** Its mean probability, in [0, 1], [N]. */
  confidence: Float32Array;
  /** The standard deviation of that probability over the passes, [N]; 0 for one. */
  spread: Float32Array;
}

/** e^x of a row, scaled to sum 1. */
function softmax(row: ArrayLike<number>): number[] {
  const numbers = Array.from(row), max = Math.max(...numbers);
  const e = numbers.map((v) => Math.exp(v - max));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

/**
 * The mean of the probabilities (softmax of the logits) that passes give the same items.
 * @param logits of each pass, [N,classes]
 * @throws Error if there is no pass, their shapes differ, or they are not [N,classes].
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { HostArray, resnet } from "../../mod.ts";
 * const { predicted, confidence } = resnet.averagePasses([new HostArray(Float32Array.of(0, 0, 9), [1, 3])]);
 * assert(predicted[0] === 2 && confidence[0] > 0.99);
 * ```
 */
export function averagePasses(logits: HostArray[]): Prediction {
  if (logits.length === 0) throw new Error("averagePasses needs the logits of one pass at least");
  const [n, classes] = logits[0].shape;
  if (logits.some(({ shape }) => shape.length !== 2 || shape[0] !== n || shape[1] !== classes)) {
    const shapes = logits.map(({ shape }) => `[${shape}]`).join(", ");
    throw new Error(`averagePasses takes logits [N,classes], of one shape, not ${shapes}`);
  }
  const probabilities = new Float32Array(n * classes);
  const predicted = new Int32Array(n), confidence = new Float32Array(n), spread = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const rows = logits.map((l) => softmax(l.data.subarray(i * classes, (i + 1) * classes)));
    const mean = Array.from({ length: classes }, (_, c) => rows.reduce((s, r) => s + r[c], 0) / rows.length);
    const best = mean.indexOf(Math.max(...mean));
    probabilities.set(mean, i * classes);
    predicted[i] = best;
    confidence[i] = mean[best];
    spread[i] = Math.sqrt(rows.reduce((s, r) => s + (r[best] - mean[best]) ** 2, 0) / rows.length);
  }
  return { probabilities: new HostArray(probabilities, [n, classes]), predicted, confidence, spread };
}

/**
 * Predictions of the validation data in n passes with every dropout layer on, and the targets (miniai notebook 14).
 * @param learn a learner of a classifier, whose training goes on as if nothing had been
 * @param n passes, a positive whole number; default 10
 * @returns the predictions and the first targets [N], in the loader's order
 * @throws RangeError for another n; Error where the loader gives another order each time.
 */
export async function testTimeDropout(
  learn: Learner,
  n = 10,
): Promise<[prediction: Prediction, targets: HostArray]> {
  if (!Number.isInteger(n) || n < 1) {
    throw new RangeError(`testTimeDropout: n is a positive whole number of passes, not ${n}`);
  }
  const { valid } = learn.dls;
  if (valid instanceof DataLoader && valid.shuffle) throw new Error(SHUFFLED);
  const passes: HostArray[] = [];
  let targets: HostArray | undefined;
  for (let pass = 0; pass < n; pass++) {
    const [preds, labels] = await learn.capturePreds([new TestTimeDropoutCB()]);
    if (targets?.data.some((label, i) => label !== labels.data[i])) throw new Error(SHUFFLED);
    passes.push(preds);
    targets = labels;
  }
  return [averagePasses(passes), targets!];
}

const SHUFFLED =
  "testTimeDropout averages predictions of the same items, and the evaluation loader gives another order each " +
  "time: make it without shuffle";

/** @throws RangeError unless a class of each item is a whole number in [0, classes), and there are n. */
export function requireClasses(name: string, labels: ArrayLike<number>, n: number, classes: number): void {
  if (labels.length !== n) throw new RangeError(`There are ${labels.length} ${name} of ${n} items`);
  const at = Array.from(labels).findIndex((v) => !(Number.isInteger(v) && v >= 0 && v < classes));
  if (at < 0) return;
  throw new RangeError(`${name} are whole numbers in [0, ${classes}), not ${labels[at]} at place ${at}`);
}

/**
 * How often class r was taken for class c, as `matrix[r][c]`.
 * @param predicted classes, [N]
 * @param labels classes, [N]
 * @param classes how many there are
 * @throws RangeError for a label or prediction that is no class, or different numbers of them.
 */
export function confusionMatrix(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
): number[][] {
  requireClasses("labels", labels, labels.length, classes);
  requireClasses("predictions", predicted, labels.length, classes);
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let i = 0; i < labels.length; i++) matrix[labels[i]][predicted[i]]++;
  return matrix;
}

/**
 * The share of each class's items that were taken for it; NaN for a class without items.
 * @param matrix as {@link confusionMatrix} gives it
 */
export function classAccuracy(matrix: number[][]): number[] {
  return matrix.map((row, r) => row[r] / row.reduce((a, b) => a + b, 0));
}

/** A part of the items, by confidence. */
export interface ConfidenceBin {
  /** Mean confidence, in [0, 1]. */
  confidence: number;
  /** The share that is right, in [0, 1]. */
  accuracy: number;
  /** How many items, at least one. */
  count: number;
}

/**
 * Splits items into parts of equal numbers (give or take one), from the least confident on.
 * @param labels classes, [N]
 * @param bins how many parts, a positive whole number; default 10. Of fewer items, each is a part.
 * @throws RangeError for another number of parts, or of labels than of predictions.
 */
export function calibration(
  { predicted, confidence }: Pick<Prediction, "predicted" | "confidence">,
  labels: ArrayLike<number>,
  bins = 10,
): ConfidenceBin[] {
  const n = labels.length;
  if (predicted.length !== n) {
    throw new RangeError(`calibration: there are ${n} labels of ${predicted.length} items`);
  }
  if (!Number.isInteger(bins) || bins < 1) {
    throw new RangeError(`calibration: bins is a positive whole number, not ${bins}`);
  }
  const parts = Math.min(bins, n);
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => confidence[a] - confidence[b]);
  return Array.from({ length: parts }, (_, b) => {
    const part = order.slice(Math.floor(b * n / parts), Math.floor((b + 1) * n / parts));
    const mean = (of: (i: number) => number) => part.reduce((s, i) => s + of(i), 0) / part.length;
    return {
      confidence: mean((i) => confidence[i]),
      accuracy: mean((i) => Number(predicted[i] === labels[i])),
      count: part.length,
    };
  });
}
