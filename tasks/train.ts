/** `deno task train`: trains a DDPM on Fashion-MNIST and writes a run. */
import { Adam, DDPMCB, Generator } from "../mod.ts";
import {
  command as makeCommand,
  levels,
  main,
  number,
  numbers,
  Option,
  parse,
  UsageError,
  varianceOption,
  whole,
} from "./cli.ts";
import { DATA_SIZE, prepareImages } from "./data.ts";
import { drawSamples } from "./draw.ts";
import { fitRun } from "./fit.ts";
import { makeModel, makeSchedule } from "./models.ts";
import { PRESETS, type TrainConfig } from "./presets.ts";
import { exists, tellFiles } from "./runs.ts";
import {
  chooseRun,
  describePresets,
  overlay,
  prepare,
  type TrainingOptions,
  withTrainingOptions,
} from "./training.ts";

const command = withTrainingOptions(
  makeCommand("train", "Trains a DDPM on Fashion-MNIST and writes runs/NAME/"),
  Object.keys(PRESETS),
)
  .option("--size <n>", "height and width of the model's images", whole(8, 512))
  .addOption(new Option("--fit <how>", "how 28×28 becomes that size").choices(["resize", "pad"]))
  .option("--channels <list>", "channels of each level, such as 16,32,64,64", numbers)
  .option("--layers <n>", "residual blocks a level", whole(1, 8))
  .option("--groups <n>", "groups of the norms", whole(1, 1024))
  .option("--head-dim <n>", "channels of an attention head", whole(1, 1024))
  .option(
    "--attention <list>",
    "whether each level has it, such as no,yes,yes,yes (all but the first, where --channels has another number of levels)",
    levels,
  )
  .option("--init-ddpm", "the lesson's initialisation")
  .option("--no-init-ddpm", "PyTorch's initialisation alone")
  .option("--steps <n>", "diffusion steps", whole(1, 100_000))
  .option("--beta-min <x>", "β of the first step", number(1e-9, 0.999))
  .option("--beta-max <x>", "β of the last step", number(1e-9, 0.999))
  .addOption(varianceOption("fixed_large"))
  .option("--samples <n>", "images in samples.png; 0 for none", whole(0, 1024))
  .addHelpText("after", describePresets(PRESETS));

/** The config that the command line asks for. */
function makeConfig(preset: string): TrainConfig {
  const config = overlay(command, PRESETS[preset]);
  const { length } = config.channels;
  if (length !== config.attention.length && command.getOptionValueSource("attention") !== "cli") {
    config.attention = config.channels.map((_, level) => level > 0);
  }
  requireNetwork(config);
  return config;
}

/** @throws UsageError for options of a network that there cannot be. */
function requireNetwork(config: TrainConfig): void {
  const { channels, attention, groups, headDim, size, fit, betaMin, betaMax } = config;
  const halvings = channels.length - 1, factor = 2 ** halvings;
  const wrong = (text: string) => {
    throw new UsageError(text);
  };
  if (attention.length !== channels.length) {
    wrong(
      `--attention ${
        attention.map((a) => a ? "yes" : "no")
      } has not as many levels as --channels ${channels}`,
    );
  }
  if (size % factor) wrong(`--size ${size} does not halve ${halvings} times: give a multiple of ${factor}`);
  if (fit === "pad" && (size < DATA_SIZE || size % 2)) {
    wrong(`--fit pad needs an even --size of at least ${DATA_SIZE}, not ${size}`);
  }
  if (channels[0] < 2) wrong(`--channels ${channels}: the first level needs at least 2`);
  for (const [level, n] of channels.entries()) {
    if (n % groups) wrong(`--groups ${groups}: ${n} channels do not divide into ${groups} groups`);
    const attends = attention[level] || level === halvings; // the middle is as wide as the last level
    if (attends && n % headDim) {
      wrong(`--head-dim ${headDim}: ${n} channels do not divide into heads of ${headDim}`);
    }
  }
  if (betaMin > betaMax) wrong(`--beta-min ${betaMin} is above --beta-max ${betaMax}`);
}

/** `deno task train`. */
export async function train(args: string[]): Promise<number | void> {
  parse<TrainingOptions>(command, args, ["runs", "data"]);
  const run = await chooseRun(command, "train", makeConfig);
  const { config, name, files } = run;
  const dls = await prepare(command, run, { transform: prepareImages(config) });
  const model = makeModel(config);
  const finished = await fitRun(run, {
    model,
    dls,
    optimizer: Adam,
    cbs: [new DDPMCB({ schedule: makeSchedule(config) })],
    lossTitle: "loss (mean squared error of the noise)",
    metadata: { config: JSON.stringify(model.config) },
  });
  if (finished === null) return;
  const n = config.samples ?? 16;
  const drawn = finished && command.getOptionValueSource("samples") !== "cli" && await exists(files.samples);
  if (n > 0 && !drawn) {
    await drawSamples(model, config, {
      n,
      generator: new Generator(config.seed),
      png: files.samples,
      advice: `The run is trained; draw its samples.png with: deno task train --resume ${name}`,
    });
  }
  await tellFiles(files.dir);
  console.log(`Draw more with: deno task sample --run ${name}`);
}

if (import.meta.main) await main(train);
