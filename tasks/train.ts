/** `deno task train`: trains a DDPM on Fashion-MNIST and writes a run. */
import {
  Adam,
  BatchSchedCB,
  Callback,
  CheckpointCB,
  compose,
  DataLoaders,
  DDPMCB,
  DeviceCB,
  type DeviceChoice,
  fashionMnist,
  type Learner,
  linePlot,
  MetricsCB,
  type MetricsRow,
  OneCycleLR,
  padZeros,
  ProgressCB,
  RecorderCB,
  resizeBilinear,
  saveWeights,
  setSeed,
  take,
  toFloat,
  TrainLearner,
  useDevice,
  writeFile,
} from "../mod.ts";
import { Command, EXIT, main, number, numbers, Option, UserError, withCommonOptions } from "./cli.ts";
import { PRESETS, type TrainConfig } from "./presets.ts";
import { drawSamples, listRuns, makeModel, readConfig, runFiles, scheduleOf } from "./runs.ts";

const whole = (low: number, high: number) => number(low, high, true);
const BIG = 1e9;

const command = withCommonOptions(
  new Command("deno task train")
    .description("Trains a DDPM on Fashion-MNIST and writes runs/NAME/")
    .addOption(
      new Option("--preset <name>", "where options begin").choices(Object.keys(PRESETS)).default("quick"),
    ),
)
  .option("--name <name>", "the run's name (default: the preset and the time)")
  .option("--resume [name]", "go on with a run: that one, or the newest")
  .option("--data <dir>", "directory of the four IDX files")
  .option("--limit <n>", "training images at most; 0 for all", whole(0, BIG))
  .option("--test-limit <n>", "test images at most; 0 for all", whole(0, BIG))
  .option("--size <n>", "height and width of the model's images", whole(8, 512))
  .addOption(new Option("--fit <how>", "how 28×28 becomes that size").choices(["resize", "pad"]))
  .option("--channels <list>", "channels of each level, such as 16,32,64,64", numbers)
  .option("--layers <n>", "residual blocks a level", whole(1, 8))
  .option("--groups <n>", "groups of the norms", whole(1, 1024))
  .option("--head-dim <n>", "channels of an attention head", whole(1, 1024))
  .option("--no-init-ddpm", "PyTorch's initialisation alone")
  .option("--steps <n>", "diffusion steps", whole(1, 100_000))
  .option("--beta-min <x>", "β of the first step", number(1e-9, 0.999))
  .option("--beta-max <x>", "β of the last step", number(1e-9, 0.999))
  .option("--batch <n>", "batch size", whole(1, 65_536))
  .option("--epochs <n>", "epochs", whole(1, 100_000))
  .option("--lr <x>", "peak of the one-cycle learning rate", number(0, 100))
  .option("--eps <x>", "Adam's epsilon", number(0, 1))
  .option("--seed <n>", "fixes every random number", whole(0, Number.MAX_SAFE_INTEGER))
  .option("--samples <n>", "images in samples.png; 0 for none", whole(0, 1024), 16)
  .option("--checkpoint-every <n>", "training batches between checkpoints", whole(1, BIG), 200);

type Options = Partial<TrainConfig> & {
  name?: string;
  resume?: string | true;
  data?: string;
  device?: DeviceChoice;
  runs: string;
  samples: number;
  checkpointEvery: number;
};

/** The preset with the options given on the command line laid over it. */
function configFrom(options: Options): TrainConfig {
  const preset = PRESETS[options.preset!];
  const config = { ...preset };
  for (const key of Object.keys(preset) as (keyof TrainConfig)[]) {
    const given = command.getOptionValueSource(key) === "cli";
    if (given) Object.assign(config, { [key]: options[key] });
  }
  const levels = config.channels.length;
  if (levels !== config.attention.length) {
    config.attention = Array.from({ length: levels }, (_, i) => i > 0);
  }
  const factor = 2 ** (levels - 1);
  if (config.size % factor) {
    throw new UserError(
      `--size ${config.size} does not halve ${levels - 1} times: give a multiple of ${factor}`,
    );
  }
  if (config.fit === "pad" && (config.size < 28 || config.size % 2)) {
    throw new UserError(`--fit pad needs an even --size of at least 28, not ${config.size}`);
  }
  return config;
}

/** Name and config of the run to make or to go on with. */
async function chooseRun(options: Options): Promise<{ name: string; config: TrainConfig; resume: boolean }> {
  if (options.resume !== undefined) {
    const name = options.resume === true ? (await listRuns(options.runs))[0] : options.resume;
    if (!name) throw new UserError(`There is no run in ${options.runs} to resume`);
    return { name, config: await readConfig(options.runs, name), resume: true };
  }
  const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const name = options.name ?? `${options.preset}-${stamp}`;
  if (!/^[\w.-]+$/.test(name)) throw new UserError(`--name ${name}: letters, digits, ".", "_" and "-" only`);
  const { dir, config: path } = runFiles(options.runs, name);
  if (await Deno.stat(path).catch(() => null)) {
    throw new UserError(`${dir} exists: give another --name, or --resume ${name}`);
  }
  return { name, config: configFrom(options), resume: false };
}

/** Training losses a batch and evaluation losses an epoch, on one plot. */
function plotLosses(losses: number[], rows: MetricsRow[], batches: number): Promise<string> {
  const smooth: { x: number; y: number }[] = [];
  let average = losses[0];
  losses.forEach((y, x) => smooth.push({ x, y: average += 0.05 * (y - average) }));
  return linePlot({
    series: {
      "train, each batch": losses.map((y, x) => ({ x, y })),
      "train, smoothed": smooth,
      "eval, each epoch": rows.filter((r) => r.train === "eval")
        .map((r) => ({ x: (r.epoch + 1) * batches, y: r.loss })),
    },
    x: "batch",
    y: "loss (mean squared error of the noise)",
    yScale: "log",
  });
}

async function train(): Promise<number> {
  const options = command.parse(Deno.args, { from: "user" }).opts<Options>();
  const { name, config, resume } = await chooseRun(options);
  const files = runFiles(options.runs, name);
  await useDevice(options.device);
  const data = await fashionMnist({ dir: options.data });
  const limited = (set: typeof data.train, n: number) => n ? take(set, n) : set;
  setSeed(config.seed);
  const dls = DataLoaders.from(limited(data.train, config.limit), limited(data.test, config.testLimit), {
    batchSize: config.batch,
    seed: config.seed,
    transform: config.fit === "resize"
      ? compose(toFloat(), resizeBilinear(config.size))
      : compose(toFloat(), padZeros((config.size - 28) / 2)),
  });
  const model = makeModel(config);
  await Deno.mkdir(files.dir, { recursive: true });
  await writeFile(files.config, JSON.stringify(config, null, 2) + "\n");
  console.log(
    `Run ${files.dir}: ${
      model.parameterCount().toLocaleString("en")
    } parameters, ${dls.train.size} images, ` +
      `${config.epochs} epochs of ${dls.train.length} batches`,
  );

  const metrics = new MetricsCB();
  const progress = new ProgressCB();
  const recorder = new RecorderCB({
    loss: (learn) => learn.loss,
    lr: (learn) => learn.opt!.paramGroups[0].lr,
  });
  const checkpoint = new CheckpointCB({
    path: files.checkpoint,
    everyBatches: options.checkpointEvery,
    resume,
  });
  const learn = new TrainLearner(model, dls, {
    lr: config.lr,
    optFunc: (params, lr) => new Adam(params, { lr, eps: config.eps }),
    cbs: [
      new DeviceCB(),
      new DDPMCB({ schedule: scheduleOf(config) }),
      new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: config.lr, totalSteps })),
      ...[metrics, recorder, progress, checkpoint],
    ],
  });

  /** Brings the run's files up to date; after each epoch, and when the fit ends or is stopped. */
  const report = async () => {
    await recorder.flush();
    await saveWeights(model, files.weights, { config: JSON.stringify(model.config) });
    await writeFile(files.metrics, metrics.rows.map((row) => JSON.stringify(row) + "\n").join(""));
    if (recorder.values.loss.length) {
      await writeFile(files.lossPlot, await plotLosses(recorder.values.loss, metrics.rows, dls.train.length));
    }
  };
  let interrupts = 0;
  const interrupt = () => {
    if (++interrupts > 1) Deno.exit(EXIT.stopped);
    console.error("\nStopping after this batch; once more to quit at once");
    checkpoint.stop();
  };
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    await learn.fit(config.epochs, {
      cbs: [Object.assign(new EpochReport(report), { order: checkpoint.order + 1 })],
    });
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
  }
  await report();
  if (checkpoint.stopped) {
    console.log(`Stopped. Go on with: deno task train --resume ${name}`);
    return EXIT.stopped;
  }
  if (options.samples) {
    setSeed(config.seed);
    await drawSamples(model, config, { n: options.samples, png: files.samples });
  }
  console.log(`Wrote ${files.dir}: ${(await names(files.dir)).join(", ")}`);
  console.log(`Draw more with: deno task sample --run ${name}`);
  return EXIT.ok;
}

/** Calls a function after each epoch's evaluation. */
class EpochReport extends Callback {
  constructor(readonly report: () => Promise<void>) {
    super();
  }
  async afterEpoch(learn: Learner): Promise<void> {
    if (!learn.training) await this.report();
  }
}

async function names(dir: string): Promise<string[]> {
  const list: string[] = [];
  for await (const { name } of Deno.readDir(dir)) list.push(name);
  return list.sort();
}

await main(train);
