/** `deno task classify`: trains a classifier of Fashion-MNIST, and writes a run with a report of what it gets wrong. */
import { Accuracy, AdamW, F, initWeights, type Module, resnet, transforms } from "../mod.ts";
import {
  command as makeCommand,
  InvalidArgumentError,
  main,
  number,
  Option,
  parse,
  UsageError,
  whole,
} from "./cli.ts";
import { type AugmentName, AUGMENTS, CLASSIFIERS, CLASSIFY_PRESETS, type ClassifyConfig } from "./presets.ts";
import { reportOn } from "./classify_report.ts";
import { fitRun } from "./fit.ts";
import { exists, tellFiles } from "./runs.ts";
import { endOnStop } from "./stop.ts";
import {
  chooseRun,
  describePresets,
  overlay,
  prepare,
  type TrainingOptions,
  withTrainingOptions,
} from "./training.ts";

/** A parser of names of augmentations; an empty text is none. */
function augmentNames(text: string): AugmentName[] {
  const names = text.split(",").filter((name) => name !== "");
  const known = Object.keys(AUGMENTS);
  const wrong = names.find((name) => !known.includes(name));
  if (wrong === undefined) return names as AugmentName[];
  throw new InvalidArgumentError(`"${wrong}" is none of ${known.join(", ")}.`);
}

const command = withTrainingOptions(
  makeCommand("classify", "Trains a classifier of Fashion-MNIST and writes runs/NAME/ with a report"),
  Object.keys(CLASSIFY_PRESETS),
)
  .addOption(new Option("--model <name>", "the network").choices(Object.keys(CLASSIFIERS)))
  .option("--drop <p>", "rate of getDropModel's dropout layers", number(0, 0.99))
  .option("--augment <list>", `of ${Object.keys(AUGMENTS).join(", ")}; "" for none`, augmentNames)
  .option("--tta", "average predictions of each test image and its mirror image")
  .option("--no-tta", "predict each test image once")
  .option("--passes <n>", "passes with dropout on that confidence is measured by", whole(1, 1000))
  .addHelpText("after", describePresets(CLASSIFY_PRESETS));

/** The config that the command line asks for. */
function makeConfig(preset: string): ClassifyConfig {
  const config = overlay(command, CLASSIFY_PRESETS[preset]);
  if (config.model !== "getDropModel") {
    if (command.getOptionValueSource("drop") === "cli") {
      throw new UsageError(`--drop is for getDropModel: ${config.model} has no dropout`);
    }
    config.drop = 0;
  }
  return config;
}

/** The network of a config, freshly initialised. */
function makeClassifier(config: ClassifyConfig): Module {
  const model = config.model === "getDropModel"
    ? resnet.getDropModel(config.drop)
    : CLASSIFIERS[config.model]();
  initWeights(model, 0.1);
  return model;
}

/** `deno task classify`. */
export async function classify(args: string[]): Promise<number | void> {
  parse<TrainingOptions>(command, args, ["runs", "data"]);
  const run = await chooseRun(command, "classify", makeConfig);
  const { config, name, files } = run;
  const dls = await prepare(command, run, {
    transform: transforms.compose(transforms.toFloat(), transforms.normalize(0.28, 0.35)),
    augment: config.augment.length
      ? transforms.augmentAll(...config.augment.map((name) => AUGMENTS[name]()))
      : undefined,
  });
  const model = makeClassifier(config);
  const finished = await fitRun(run, {
    model,
    dls,
    optimizer: AdamW,
    lossFunc: F.crossEntropy,
    metrics: { accuracy: new Accuracy() },
    lossTitle: "loss (cross-entropy)",
    metadata: { config: JSON.stringify({ model: config.model, drop: config.drop }) },
  });
  if (finished === null) return;
  const reported = finished && command.getOptionValueSource("passes") !== "cli" && await exists(files.report);
  if (!reported) {
    await endOnStop(() =>
      `Stopped: the classifier is trained, its report not made. Make it with: deno task classify --resume ${name}`
    );
    await reportOn(model, dls, { dir: files.dir, tta: config.tta, passes: config.passes ?? 10 });
  }
  await tellFiles(files.dir);
}

if (import.meta.main) await main(classify);
