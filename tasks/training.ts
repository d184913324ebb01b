/** What the tasks that train share: their options, which run is meant, and the fit itself with its files. */
import {
  type Adam,
  BatchSchedCB,
  Callback,
  CheckpointCB,
  type DataLoader,
  type DataLoaderOptions,
  DataLoaders,
  DeviceCB,
  type DeviceChoice,
  fashionMnist,
  type Learner,
  linePlot,
  type LossFunc,
  type Metric,
  MetricsCB,
  type MetricsRow,
  MixedPrecision,
  type Module,
  OneCycleLR,
  ProgressCB,
  RecorderCB,
  saveWeights,
  setSeed,
  take,
  TrainLearner,
  useDevice,
  writeFile,
} from "../mod.ts";
import { type Command, EXIT, number, Option, UserError, withCommonOptions } from "./cli.ts";
import type { RunConfig } from "./presets.ts";
import { listRuns, readConfig, runFiles } from "./runs.ts";

const whole = (low: number, high: number) => number(low, high, true);
const BIG = 1e9;

/** The options that both tasks have, as parsed. */
export interface TrainingOptions {
  preset: string;
  name?: string;
  resume?: string | true;
  data?: string;
  device?: DeviceChoice;
  runs: string;
  checkpointEvery: number;
}

/** Adds them to a command. */
export function withTrainingOptions(command: Command, presets: string[]): Command {
  return withCommonOptions(command)
    .addOption(new Option("--preset <name>", "where options begin").choices(presets).default(presets[0]))
    .option("--name <name>", "the run's name (default: the preset and the time)")
    .option("--resume [name]", "go on with a run: that one, or the newest")
    .option("--data <dir>", "directory of the four IDX files")
    .option("--limit <n>", "training images at most; 0 for all", whole(0, BIG))
    .option("--test-limit <n>", "test images at most; 0 for all", whole(0, BIG))
    .option("--batch <n>", "batch size", whole(1, 65_536))
    .option("--epochs <n>", "epochs", whole(1, 100_000))
    .option("--lr <x>", "peak of the one-cycle learning rate", number(0, 100))
    .option("--eps <x>", "Adam's epsilon", number(0, 1))
    .option("--mixed-precision", "multiply in f16 where the device can, and scale the loss")
    .option("--seed <n>", "fixes every random number", whole(0, Number.MAX_SAFE_INTEGER))
    .option("--checkpoint-every <n>", "training batches between checkpoints", whole(1, BIG), 200);
}

/** A preset with the options given on the command line laid over it. */
export function overlay<C extends RunConfig>(command: Command, preset: C): C {
  const config = { ...preset }, options = command.opts();
  for (const key of Object.keys(preset)) {
    if (command.getOptionValueSource(key) === "cli") Object.assign(config, { [key]: options[key] });
  }
  return config;
}

/** A run that is to be made or gone on with. */
export interface Run<C extends RunConfig> {
  name: string;
  config: C;
  resume: boolean;
  files: ReturnType<typeof runFiles>;
}

/**
 * The run that the command line means; `make` gives a new one its config.
 * @throws UserError for a name that cannot be, no run to resume, or an option that would change the one resumed.
 */
export async function chooseRun<C extends RunConfig>(
  command: Command,
  task: C["task"],
  make: (preset: string) => C,
): Promise<Run<C>> {
  const { runs, preset, resume, name: wanted } = command.opts<TrainingOptions>();
  if (resume !== undefined) {
    const name = resume === true ? (await listRuns(runs, task))[0] : resume;
    if (!name) throw new UserError(`There is no run of \`deno task ${task}\` in ${runs} to resume`);
    const config = await readConfig<C>(runs, name, task);
    const asked = overlay(command, config);
    for (const key of Object.keys(config) as (keyof C & string)[]) {
      if (String(asked[key]) === String(config[key])) continue;
      const { long } = command.options.find((o) => o.attributeName() === key)!;
      throw new UserError(`${long} ${asked[key]}: run ${name} goes on with its own ${config[key]}`);
    }
    return { name, config, resume: true, files: runFiles(runs, name) };
  }
  const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const name = wanted ?? `${preset}-${stamp}`;
  if (!/^[\w.-]+$/.test(name)) throw new UserError(`--name ${name}: letters, digits, ".", "_" and "-" only`);
  const files = runFiles(runs, name);
  if (await Deno.stat(files.config).catch(() => null)) {
    throw new UserError(`${files.dir} exists: give another --name, or --resume ${name}`);
  }
  return { name, config: make(preset), resume: false, files };
}

/** Starts the device, fixes the random numbers and loads the data. */
export async function prepare(
  { device, data: dir }: TrainingOptions,
  { limit, testLimit, seed, batch }: RunConfig,
  more: Pick<DataLoaderOptions, "transform" | "augment">,
): Promise<DataLoaders<DataLoader>> {
  await useDevice(device);
  const data = await fashionMnist({ dir });
  setSeed(seed);
  const some = (set: typeof data.train, n: number) => n ? take(set, n) : set;
  return DataLoaders.from(some(data.train, limit), some(data.test, testLimit), {
    batchSize: batch,
    seed,
    ...more,
  });
}

/** What a fit of a run needs besides its config. */
export interface Fit<C extends RunConfig> extends Run<C> {
  model: Module;
  dls: DataLoaders<DataLoader>;
  /** Default the mean squared error. */
  lossFunc?: LossFunc;
  /** Adam or AdamW. */
  optimizer: typeof Adam;
  /** Callbacks besides those of every run. */
  cbs?: Callback[];
  /** Measured each epoch besides the loss. */
  metrics?: Record<string, Metric>;
  /** What the loss is, for its plot. */
  lossTitle: string;
  /** Goes with the weights. */
  metadata: Record<string, string>;
  checkpointEvery: number;
}

/**
 * Trains a run's model with a one-cycle learning rate; its weights, metrics, loss plot and checkpoint are brought up to
 * date after each epoch. Ctrl-C stops after the batch.
 * @returns whether it ran to its end
 */
export async function fitRun<C extends RunConfig>(fit: Fit<C>): Promise<boolean> {
  const { name, config, files, model, dls } = fit;
  await Deno.mkdir(files.dir, { recursive: true });
  await writeFile(files.config, JSON.stringify(config, null, 2) + "\n");
  const count = (n: number) => n.toLocaleString("en");
  console.log(
    `Run ${files.dir}: ${count(model.parameterCount())} parameters, ${count(dls.train.size)} images, ` +
      `${config.epochs} epochs of ${dls.train.length} batches`,
  );
  const metrics = new MetricsCB(fit.metrics);
  const recorder = new RecorderCB({
    loss: (learn) => learn.loss,
    lr: (learn) => learn.opt!.paramGroups[0].lr,
  });
  const checkpoint = new CheckpointCB({
    path: files.checkpoint,
    everyBatches: fit.checkpointEvery,
    resume: fit.resume,
  });
  const learn = new TrainLearner(model, dls, {
    lossFunc: fit.lossFunc,
    lr: config.lr,
    optFunc: (params, lr) => new fit.optimizer(params, { lr, eps: config.eps }),
    cbs: [
      new DeviceCB(),
      ...config.mixedPrecision ? [new MixedPrecision()] : [],
      ...fit.cbs ?? [],
      new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: config.lr, totalSteps })),
      ...[metrics, recorder, new ProgressCB(), checkpoint],
    ],
  });

  /** Brings the run's files up to date; after each epoch, and when the fit ends or is stopped. */
  const report = async () => {
    await recorder.flush();
    await saveWeights(model, files.weights, fit.metadata);
    await writeFile(files.metrics, metrics.rows.map((row) => JSON.stringify(row) + "\n").join(""));
    const { loss } = recorder.values;
    if (loss.length) {
      await writeFile(files.lossPlot, await plotLosses(loss, metrics.rows, dls.train.length, fit.lossTitle));
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
  learn.dispose();
  if (checkpoint.stopped) {
    console.log(`Stopped. Go on with: deno task ${config.task} --resume ${name}`);
  }
  return !checkpoint.stopped;
}

/** Calls a function after each epoch's evaluation. */
class EpochReport extends Callback {
  constructor(readonly report: () => Promise<void>) {
    super();
  }
  override async afterEpoch(learn: Learner): Promise<void> {
    if (!learn.training) await this.report();
  }
}

/** Training losses a batch and evaluation losses an epoch, on one plot. */
function plotLosses(losses: number[], rows: MetricsRow[], batches: number, y: string): Promise<string> {
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
    y,
    yScale: "log",
  });
}

/** Prints what a run's directory holds. */
export async function tellFiles(dir: string): Promise<void> {
  const list: string[] = [];
  for await (const { name } of Deno.readDir(dir)) list.push(name);
  console.log(`Wrote ${dir}: ${list.sort().join(", ")}`);
}
