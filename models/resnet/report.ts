/** What a classifier's predictions come to: confusion, confidence, calibration. */
import { HostArray, type Learner } from "../../core/mod.ts";
import { TestTimeDropoutCB } from "../../callbacks/mod.ts";

/** Predictions of one or several passes over the same items. */
export interface Prediction {
  /** Mean probabilities over the passes, [N,classes]. */
  probabilities: HostArray<Float32Array>;
  /** The likeliest class of each item. */
  predicted: Int32Array;
  /** Its mean probability, in [0, 1]. */
  confidence: Float32Array;
  /** Its standard deviation over the passes; 0 for one. */
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
 * Averages the probabilities of passes.
 * @param logits of each pass, [N,classes]
 * @throws Error if there is none, or their shapes differ.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { HostArray, resnet } from "../../mod.ts";
 * const { predicted, confidence } = resnet.predict([new HostArray(Float32Array.of(0, 0, 9), [1, 3])]);
 * assert(predicted[0] === 2 && confidence[0] > 0.99);
 * ```
 */
export function predict(logits: HostArray[]): Prediction {
  if (logits.length === 0) throw new Error("predict needs the logits of one pass at least");
  const [n, classes] = logits[0].shape;
  if (logits.some((l) => String(l.shape) !== String(logits[0].shape))) {
    throw new Error(`predict: the passes' shapes differ: ${logits.map((l) => `[${l.shape}]`).join(", ")}`);
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
 * @param n passes, at least 1; default 10
 */
export async function testTimeDropout(
  learn: Learner,
  n = 10,
): Promise<[prediction: Prediction, targets: HostArray]> {
  const passes: HostArray[] = [];
  let targets!: HostArray;
  for (let pass = 0; pass < n; pass++) {
    const [preds, labels] = await learn.capturePreds([new TestTimeDropoutCB()]);
    passes.push(preds);
    targets = labels;
  }
  return [predict(passes), targets];
}

/**
 * How often class r was taken for class c, as `matrix[r][c]`.
 * @param predicted classes, [N]
 * @param labels classes, [N]
 * @param classes how many there are
 */
export function confusionMatrix(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
): number[][] {
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
  /** Mean confidence. */
  confidence: number;
  /** The share that is right. */
  accuracy: number;
  /** How many items. */
  count: number;
}

/**
 * Splits items into equal parts, from the least confident on.
 * @param labels classes, [N]
 * @param bins how many parts; default 10
 */
export function calibration(
  { predicted, confidence }: Pick<Prediction, "predicted" | "confidence">,
  labels: ArrayLike<number>,
  bins = 10,
): ConfidenceBin[] {
  const n = labels.length;
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => confidence[a] - confidence[b]);
  return Array.from({ length: bins }, (_, b) => {
    const part = order.slice(Math.floor(b * n / bins), Math.floor((b + 1) * n / bins));
    const mean = (of: (i: number) => number) => part.reduce((s, i) => s + of(i), 0) / part.length;
    return {
      confidence: mean((i) => confidence[i]),
      accuracy: mean((i) => Number(predicted[i] === labels[i])),
      count: part.length,
    };
  });
}
