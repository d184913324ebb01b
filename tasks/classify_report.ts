/** What a classifier gets right and wrong: numbers, plots and pictures, as files of its run. */
import { isDropout } from "../callbacks/mod.ts";
import { writeFile } from "../core/mod.ts";
import {
  type DataLoader,
  type DataLoaders,
  DeviceCB,
  F,
  FASHION_MNIST_CLASSES,
  flipBatch,
  type Module,
  resnet,
  TrainLearner,
} from "../mod.ts";
import { allIsWritten } from "./stop.ts";

/** What the report is to hold. */
interface ReportOptions {
  /** Where it goes. */
  dir: string;
  /** Whether to average predictions over each image and its mirror image. */
  tta: boolean;
  /** Passes with dropout on. */
  passes: number;
}

/** Images in each picture. */
const SHOWN = 25;
const percent = (share: number) => `${(100 * share).toFixed(2)}%`;

function accuracy({ predicted }: resnet.Prediction, labels: ArrayLike<number>): number {
  return predicted.filter((c, i) => c === labels[i]).length / labels.length;
}

/** How many times as often the least confident tenth is wrong as the rest. */
function errorRatio([least, ...rest]: resnet.ConfidenceBin[]): number {
  const errors = (bins: resnet.ConfidenceBin[]) =>
    bins.reduce((sum, b) => sum + b.count * (1 - b.accuracy), 0) / bins.reduce((sum, b) => sum + b.count, 0);
  return errors([least]) / errors(rest);
}

/** Predicts the evaluation data in every way, prints the figures, and writes report.md, report.json and the plots. */
export async function reportOn(
  model: Module,
  dls: DataLoaders<DataLoader>,
  options: ReportOptions,
): Promise<void> {
  const { dir, tta } = options;
  const learn = new TrainLearner(model, dls, {
    lossFunc: F.crossEntropy,
    optFunc: null,
    cbs: [new DeviceCB()],
  });
  console.error("Predicting the test images");
  const [logits, targets] = await learn.capturePreds();
  const labels = targets.data;
  const plain = resnet.averagePasses([logits]);
  const averaged = tta ? resnet.averagePasses([(await learn.tta(flipBatch))[0]]) : null;
  const passes = [...model.namedModules()].some(([, m]) => isDropout(m)) ? options.passes : 0;
  if (passes) console.error(`Measuring confidence by ${passes} passes with dropout on`);
  const [sure] = passes ? await resnet.testTimeDropout(learn, passes) : [averaged ?? plain];
  const best = averaged ?? plain;
  const matrix = resnet.confusionMatrix(best.predicted, labels, FASHION_MNIST_CLASSES.length);
  const byClass = resnet.classAccuracy(matrix);
  const bins = resnet.calibration(sure, labels);
  const ratio = errorRatio(bins);

  const figures: [string, string][] = [["accuracy", percent(accuracy(plain, labels))]];
  if (averaged) {
    figures.push(["accuracy with test-time augmentation", percent(accuracy(averaged, labels))]);
  }
  if (passes) {
    figures.push([`accuracy of ${passes} passes with dropout, averaged`, percent(accuracy(sure, labels))]);
  }
  figures.push(
    ["accuracy of the least confident tenth", percent(bins[0].accuracy)],
    ["its errors over the rest's", `${ratio.toFixed(1)}×`],
  );
  for (const [what, figure] of figures) console.log(`${what}: ${figure}`);

  const { dataset } = dls.valid;
  const [images] = await dataset.items(Int32Array.from({ length: dataset.length }, (_, i) => i));
  const picture = (which: number[]) =>
    resnet.showPredictions(images, labels, sure, which, FASHION_MNIST_CLASSES);
  const files: Record<string, string> = {
    "confusion.svg": await resnet.confusionPlot(matrix, FASHION_MNIST_CLASSES),
    "confidence.svg": await resnet.calibrationPlot(bins),
    "uncertain.svg": picture(resnet.leastConfident(sure, SHOWN)),
    "wrong.svg": picture(resnet.mostWrong(sure, labels, SHOWN)),
    "report.json": JSON.stringify(
      {
        accuracy: accuracy(plain, labels),
        ttaAccuracy: averaged && accuracy(averaged, labels),
        dropoutPasses: passes,
        dropoutAccuracy: passes ? accuracy(sure, labels) : null,
        leastConfidentErrorRatio: ratio,
        classAccuracy: Object.fromEntries(FASHION_MNIST_CLASSES.map((name, c) => [name, byClass[c]])),
        calibration: bins,
        confusion: matrix,
      },
      null,
      2,
    ) + "\n",
    "report.md": markdown(figures, byClass, passes),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(`${dir}/${name}`, text);
  allIsWritten();
}

/** The report as a page. */
function markdown(figures: [string, string][], byClass: number[], passes: number): string {
  const table = (head: string[], rows: string[][]) =>
    [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
  const classes = byClass.map((a, c) => [FASHION_MNIST_CLASSES[c], percent(a)]);
  const measured = passes
    ? `Confidence is the mean probability of the likeliest class over ${passes} passes with dropout on.`
    : "Confidence is the probability of the likeliest class; the network has no dropout to measure it by.";
  return `# ${figures[0][1]} of the test images right

${table(["", ""], figures)}

## By class

${table(["class", "accuracy"], classes)}

![confusion matrix](confusion.svg)

## Confidence

${measured} Each point is a tenth of the images; on the dashed line confidence and accuracy agree.

![accuracy against confidence](confidence.svg)

### The least confident

Each title is the prediction and its confidence; in brackets what the image is, where that is something else.

![the least confident](uncertain.svg)

### The most wrong

![the highest loss](wrong.svg)
`;
}
