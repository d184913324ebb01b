/** Pictures of what a classifier got right and wrong. */
import { HostArray, renderPlot, showImages } from "../../core/mod.ts";
import { type ConfidenceBin, type Prediction, requireClasses } from "./report.ts";

/**
 * A confusion matrix as SVG: each cell's count, coloured by its share of the class of its row.
 * @param matrix as {@link confusionMatrix} gives it
 * @param classes names by number
 * @throws RangeError if there are not as many names as classes.
 */
export function confusionPlot(matrix: number[][], classes: readonly string[]): Promise<string> {
  if (classes.length !== matrix.length) {
    throw new RangeError(`confusionPlot: there are ${classes.length} names of ${matrix.length} classes`);
  }
  const values = matrix.flatMap((row, r) => {
    const all = row.reduce((a, b) => a + b, 0) || 1;
    return row.map((count, c) => ({ actual: classes[r], predicted: classes[c], count, share: count / all }));
  });
  const axis = (title: string) => ({ type: "nominal", sort: classes, title, axis: { labelAngle: 0 } });
  const encoding = {
    x: { field: "predicted", ...axis("predicted") },
    y: { field: "actual", ...axis("actual") },
  };
  return renderPlot({
    width: 640,
    height: 360,
    data: { values },
    encoding,
    layer: [
      {
        mark: "rect",
        encoding: {
          color: {
            field: "share",
            type: "quantitative",
            scale: { scheme: "blues", domain: [0, 1] },
            title: null,
          },
        },
      },
      {
        mark: { type: "text", fontSize: 11 },
        transform: [{ filter: "datum.count > 0" }],
        encoding: {
          text: { field: "count" },
          color: { condition: { test: "datum.share > 0.5", value: "white" }, value: "black" },
        },
      },
    ],
  });
}

/** Accuracy against confidence as SVG: a point for each bin of {@link calibration}, and the line of a calibrated model. */
export function calibrationPlot(bins: ConfidenceBin[]): Promise<string> {
  const low = Math.min(...bins.flatMap((b) => [b.confidence, b.accuracy])) - 0.02;
  const scale = { domain: [low, 1], nice: false };
  const encoding = {
    x: {
      field: "confidence",
      type: "quantitative",
      title: "mean confidence of a tenth of the images",
      scale,
    },
    y: { field: "accuracy", type: "quantitative", title: "accuracy", scale },
  };
  const perfect = [low, 1].map((v) => ({ confidence: v, accuracy: v }));
  return renderPlot({
    width: 360,
    height: 360,
    layer: [
      { data: { values: perfect }, mark: { type: "line", strokeDash: [4, 4], color: "gray" }, encoding },
      { data: { values: bins }, mark: { type: "line", point: { filled: true, size: 50 } }, encoding },
    ],
  });
}

/**
 * Some items with what they are, what they were taken for and how surely, as SVG.
 * @param images [N,H,W,C], bytes or numbers in [0, 1], with 1 or 3 channels
 * @param labels classes, [N]
 * @param which items, by number from 0 to N − 1
 * @param classes names by number
 * @throws RangeError for an item that is not there.
 */
export function showPredictions(
  images: HostArray,
  labels: ArrayLike<number>,
  { predicted, confidence }: Pick<Prediction, "predicted" | "confidence">,
  which: number[],
  classes: readonly string[],
): string {
  const [n, h, w, c] = images.shape, size = h * w * c;
  const wrong = which.find((i) => !(Number.isInteger(i) && i >= 0 && i < n));
  if (wrong !== undefined) throw new RangeError(`showPredictions: ${n} images have none at ${wrong}`);
  const picked = new Float32Array(which.length * size);
  which.forEach((i, k) => picked.set(images.data.subarray(i * size, (i + 1) * size), k * size));
  const titles = which.map((i) => {
    const said = `${classes[predicted[i]]} ${Math.round(100 * confidence[i])}%`;
    return predicted[i] === labels[i] ? said : `${said} (${classes[labels[i]]})`;
  });
  const range: [number, number] = images.data instanceof Uint8Array ? [0, 255] : [0, 1];
  return showImages(new HostArray(picked, [which.length, h, w, c]), {
    titles,
    range,
    scale: 6,
    invert: true,
  });
}

/**
 * The items of lowest confidence, lowest first, by their numbers.
 * @param n how many at most, a whole number from 0 on
 * @throws RangeError for another n.
 */
export function leastConfident({ confidence }: Pick<Prediction, "confidence">, n: number): number[] {
  return lowest(confidence, n);
}

/**
 * The items whose own class got the lowest probability, lowest first, by their numbers: those with the highest loss.
 * @param labels classes, [N]
 * @param n how many at most, a whole number from 0 on
 * @throws RangeError for another n, and for labels that are not the items' classes.
 */
export function mostWrong(
  { probabilities }: Pick<Prediction, "probabilities">,
  labels: ArrayLike<number>,
  n: number,
): number[] {
  const [items, classes] = probabilities.shape;
  requireClasses("labels", labels, items, classes);
  return lowest(Array.from(labels, (label, i) => probabilities.data[i * classes + label]), n);
}

/** The places of the n lowest. */
function lowest(values: ArrayLike<number>, n: number): number[] {
  if (!Number.isInteger(n) || n < 0) throw new RangeError(`n is a whole number of items from 0 on, not ${n}`);
  return Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b]).slice(0, n);
}
