/** `deno task train`: trains a diffusion model on Fashion-MNIST, or on your own pictures, and writes a run. */
import { sha256 } from "../core/mod.ts";
import {
  Adam,
  type DataLoader,
  type DataLoaders,
  DDPMCB,
  diffusion,
  Generator,
  loadWeights,
  type UNet,
} from "../mod.ts";
import {
  averageLengths,
  command as makeCommand,
  levels,
  main,
  number,
  numbers,
  Option,
  parse,
  path,
  UsageError,
  UserError,
  varianceOption,
  whole,
} from "./cli.ts";
import { DATA_SIZE, imagesOf, prepareImages } from "./data.ts";
import { drawableEdm, drawDiffusion } from "./draw_diffusion.ts";
import { fitEdm, prepareEdm } from "./edm.ts";
import { drawSamples } from "./draw.ts";
import { fitRun } from "./fit.ts";
import { fileOf, readNetwork, takeNetwork } from "./from.ts";
import { placeOf, preparePictures, presetOf, withPictureOptions } from "./images.ts";
import { LOOK, look } from "./look.ts";
import { makeModel, makeSchedule } from "./models.ts";
import { EDM_PRESETS, type EdmConfig, isEdm, isOfPictures, PRESETS, type TrainConfig } from "./presets.ts";
import { exists, tellFiles } from "./runs.ts";
import { RunSamples } from "./sample_training.ts";
import { scoresOf } from "./score_training.ts";
import {
  chooseRun,
  describePresets,
  overlay,
  prepare,
  requireSameBeginning,
  requireUsed,
  type Run,
  type TrainingOptions,
  withTrainingOptions,
} from "./training.ts";

const command = withPictureOptions(withTrainingOptions(
  makeCommand(
    "train",
    "Trains a diffusion model on Fashion-MNIST, or on your own pictures (--images), and writes runs/NAME/",
  ),
  [...Object.keys(PRESETS), ...Object.keys(EDM_PRESETS)],
))
  .option(
    "--images <where>",
    "your own pictures: a folder, an archive, a table, an https: address, hf://datasets/OWNER/NAME, or drawn:emoji (docs/pictures.md)",
    path,
  )
  .option(
    "--look",
    "only show the pictures of --images as the network would see them, in look.svg beside the runs",
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
  .option("--patch <n>", "side of the patches that the network sees as one pixel (edm, ect)", whole(1, 14))
  .option("--class-dropout <x>", "share of the images whose class is not told (edm, ect)", number(0, 1))
  .option("--mean-log-sigma <x>", "mean of ln σ of the noise (edm, ect)", number(-20, 20))
  .option("--std-log-sigma <x>", "its standard deviation (edm, ect)", number(1e-3, 20))
  .option("--warmup <n>", "batches in which the learning rate rises (edm, ect)", whole(0, 1e9))
  .option("--flat <n>", "the batch from which it falls as 1/√n (edm, ect)", whole(1, 1e9))
  .option("--clip <x>", "largest norm of the gradients (edm, ect)", number(1e-9, 1e9))
  .option("--averages <list>", "lengths of the averages of the weights (edm, ect)", averageLengths)
  .option("--stage-batches <n>", "batches until the levels of a pair are nearer (ect)", whole(1, 1e9))
  .option(
    "--sample-every <n>",
    "epochs from one picture of what it draws to the next, in samples/; 0 for none (edm, ect, --images)",
    whole(0, 1e5),
  )
  .option(
    "--accumulate <n>",
    "batches whose gradients are averaged for a step: as one of so many times the images (edm, ect, --images)",
    whole(1, 1000),
  )
  .option(
    "--score-every <n>",
    "epochs from one scoring of its pictures to the next; 0 for none (edm, ect)",
    whole(0, 1e5),
  )
  .option("--score-n <n>", "pictures that are scored (edm, ect)", whole(8, 1e6))
  .option(
    "--from <model>",
    `begin with the weights of a model that ships (${
      Object.keys(diffusion.PRETRAINED).join(", ")
    }), a run, or a file (edm, ect, --images)`,
    path,
  )
  .option("--begin <file>", "the same of a file; of a DDPM too", path)
  .addHelpText("after", describePresets(PRESETS))
  .addHelpText("after", describePresets(EDM_PRESETS, "Presets of classes, and of your own pictures"));

/** A network to begin with: the option that names it, and what it is. */
interface Beginning {
  option: string;
  network: Parameters<typeof takeNetwork>[2];
}

/** The config that the command line asks for. */
function makeConfig(preset: string, beginning?: Beginning): TrainConfig | EdmConfig {
  const config = overlay<TrainConfig | EdmConfig>(command, PRESETS[preset] ?? EDM_PRESETS[preset]);
  requireUsed(command, config);
  if (beginning && isEdm(config)) {
    const isGiven = (field: string) => command.getOptionValueSource(field) === "cli";
    takeNetwork(beginning.option, config, beginning.network, isGiven);
  }
  const { length } = config.channels;
  if (length !== config.attention.length && command.getOptionValueSource("attention") !== "cli") {
    config.attention = config.channels.map((_, level) => level > 0);
  }
  if (isEdm(config)) requireEdm(config);
  else requireDdpm(config);
  requireNetwork(config);
  return config;
}

function wrong(text: string): never {
  throw new UsageError(text);
}

/** @throws UsageError for options of a DDPM that there cannot be. */
function requireDdpm({ channels, size, fit, betaMin, betaMax }: TrainConfig): void {
  const halvings = channels.length - 1, factor = 2 ** halvings;
  if (size % factor) wrong(`--size ${size} does not halve ${halvings} times: give a multiple of ${factor}`);
  if (fit === "pad" && (size < DATA_SIZE || size % 2)) {
    wrong(`--fit pad needs an even --size of at least ${DATA_SIZE}, not ${size}`);
  }
  if (betaMin > betaMax) wrong(`--beta-min ${betaMin} is above --beta-max ${betaMax}`);
}

/** @throws UsageError for options of EDM's training that there cannot be. */
function requireEdm(config: EdmConfig): void {
  const { channels, patch, method, begin, preset } = config, halvings = channels.length - 1;
  const { size } = imagesOf(config), factor = patch * 2 ** halvings;
  if (size % factor) {
    const advice = isOfPictures(config) ? `: give a --size that is a multiple of ${factor}` : "";
    wrong(
      `--patch ${patch}: ${size} pixels are no patches of ${patch} that halve ${halvings} times${advice}`,
    );
  }
  if (isOfPictures(config) && !config.images) {
    wrong(`--preset ${preset} trains on your own pictures: give --images WHERE, such as a folder`);
  }
  if (method === "ect" && !begin) {
    wrong("--preset ect tunes a network of EDM: give --from, such as edm, a run or a file");
  }
}

/** @throws UsageError for options of a network that there cannot be. */
function requireNetwork(config: TrainConfig | EdmConfig): void {
  const { channels, attention, groups, headDim } = config, halvings = channels.length - 1;
  if (attention.length !== channels.length) {
    wrong(
      `--attention ${
        attention.map((a) => a ? "yes" : "no")
      } has not as many levels as --channels ${channels}`,
    );
  }
  if (channels[0] < 2) wrong(`--channels ${channels}: the first level needs at least 2`);
  for (const [level, n] of channels.entries()) {
    if (n % groups) wrong(`--groups ${groups}: ${n} channels do not divide into ${groups} groups`);
    const attends = attention[level] || level === halvings; // the middle is as wide as the last level
    if (attends && n % headDim) {
      wrong(`--head-dim ${headDim}: ${n} channels do not divide into heads of ${headDim}`);
    }
  }
}

/** What the command line says of pictures. */
interface PictureOptions {
  images?: string;
  size?: number;
  look?: true;
}

/**
 * The network that the command line says to begin with; a preset of it, where none is named.
 * @throws UsageError if there is no such network.
 */
async function readBeginning(
  { from, begin, runs, preset: asked }: TrainingOptions & { from?: string; begin?: string },
): Promise<Beginning | undefined> {
  if (from !== undefined && begin !== undefined) wrong("--from and --begin: give one of them");
  if (begin !== undefined && !await exists(begin)) wrong(`--begin ${begin}: there is no such file`);
  if (from === undefined && asked in PRESETS) return undefined; // a DDPM's weights have no config of their own to take
  const file = from === undefined ? begin : await fileOf(from, runs);
  if (file === undefined) return undefined;
  const option = from === undefined ? `--begin ${begin}` : `--from ${from}`;
  if (from !== undefined) {
    if (command.getOptionValueSource("preset") === "default") {
      command.setOptionValueWithSource("preset", "edm", "implied");
    }
    const { preset } = command.opts<TrainingOptions>();
    if (!(preset in EDM_PRESETS)) wrong(`--from: --preset ${preset} has no use for it`);
    command.setOptionValueWithSource("begin", file, "cli");
  }
  return { option, network: await readNetwork(option, file) };
}

/** `deno task train`. */
export async function train(args: string[]): Promise<number | void> {
  parse<TrainingOptions & { begin?: string }>(command, args, ["runs", "data", "begin"]);
  const { images, size, look: only, resume, runs } = command.opts<TrainingOptions & PictureOptions>();
  if (images !== undefined) {
    command.setOptionValueWithSource("images", placeOf(images), "cli");
    if (command.getOptionValueSource("preset") === "default") {
      command.setOptionValueWithSource("preset", presetOf({ images, size }), "implied");
    }
    if (command.getOptionValueSource("data") === "cli") wrong("--data and --images: give one of them");
  }
  if (only) {
    if (resume !== undefined) wrong("--look shows what a run would begin with: leave out --resume");
    const config = makeConfig(command.opts().preset);
    if (!isOfPictures(config)) wrong("--look shows the pictures of --images: give --images WHERE");
    return await look(config, `${runs}/${LOOK}`);
  }
  if (resume !== undefined && command.opts().from !== undefined) {
    wrong(`--from ${command.opts().from}: a resumed run goes on with its own weights`);
  }
  const beginning = resume === undefined ? await readBeginning(command.opts()) : undefined;
  const run = await chooseRun<TrainConfig | EdmConfig>(
    command,
    "train",
    (preset) => makeConfig(preset, beginning),
  );
  await (isEdm(run.config)
    ? trainEdm({ ...run, config: run.config })
    : trainDdpm({ ...run, config: run.config }));
}

/** Whether the run's picture is to be drawn. */
async function isToDraw(
  { config, files }: Run<TrainConfig | EdmConfig>,
  finished: boolean,
): Promise<boolean> {
  const drawn = finished && command.getOptionValueSource("samples") !== "cli" && await exists(files.samples);
  return (config.samples ?? 16) > 0 && !drawn;
}

async function trainEdm(run: Run<EdmConfig>): Promise<void> {
  const { config } = run;
  if (!isOfPictures(config)) {
    return await trainOn(run, await prepare(command, run, { transform: prepareEdm }));
  }
  const { dls, close } = await preparePictures(command, { ...run, config });
  try {
    await trainOn(run, dls);
  } finally {
    close();
  }
}

async function trainOn(run: Run<EdmConfig>, dls: DataLoaders<DataLoader>): Promise<void> {
  const { config, name, files } = run;
  const score = config.scoreEvery ? await scoresOf(run, dls, config.scoreEvery) : () => [];
  const trained = await fitEdm(
    run,
    dls,
    (average) => [...score(average), new RunSamples(config, files, average)],
  );
  if (trained === null) return;
  if (await isToDraw(run, trained.finished)) {
    await drawDiffusion(drawableEdm(trained.model, { inverted: imagesOf(config).inverted }), {
      n: config.samples,
      generator: new Generator(config.seed),
      png: files.samples,
      advice: `The run is trained; draw its samples.png with: deno task train --resume ${name}`,
    });
  }
  await tellFiles(files.dir);
  console.log(`Draw more with: deno task sample --run ${name}`);
}

/**
 * Gives a DDPM's network the weights that its run begins with.
 * @throws UserError for a file that has changed since, or of another network.
 */
async function begin(model: UNet, run: Run<TrainConfig>): Promise<void> {
  const { config, files } = run;
  if (!config.begin || await exists(files.checkpoint)) return;
  const bytes = await Deno.readFile(config.begin);
  requireSameBeginning(run, await sha256(bytes));
  await loadWeights(model, bytes).catch((cause) => {
    throw new UserError(`--begin ${config.begin}: ${cause.message}`, { cause });
  });
}

async function trainDdpm(run: Run<TrainConfig>): Promise<void> {
  const { config, name, files } = run;
  const dls = await prepare(command, run, { transform: prepareImages(config) });
  const model = makeModel(config);
  await begin(model, run);
  const finished = await fitRun(run, {
    model,
    dls,
    optimizer: Adam,
    cbs: [new DDPMCB({ schedule: makeSchedule(config) })],
    lossTitle: "loss (mean squared error of the noise)",
    metadata: { config: JSON.stringify(model.config) },
  });
  if (finished === null) return;
  if (await isToDraw(run, finished)) {
    await drawSamples(model, config, {
      n: config.samples ?? 16,
      generator: new Generator(config.seed),
      png: files.samples,
      advice: `The run is trained; draw its samples.png with: deno task train --resume ${name}`,
    });
  }
  await tellFiles(files.dir);
  console.log(`Draw more with: deno task sample --run ${name}`);
}

if (import.meta.main) await main(train);
