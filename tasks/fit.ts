/** The fit of a run, with its files. */
import {
  type Adam,
  BatchSchedCB,
  Callback,
  CheckpointCB,
  type DataLoader,
  type DataLoaders,
  DeviceCB,
  encodeSafetensors,
  type Learner,
  linePlot,
  type LossFunc,
  type Metric,
  MetricsCB,
  type MetricsRow,
  MixedPrecision,
  type Module,
  OneCycleLR,
  type Optimizer,
  ProgressCB,
  RecorderCB,
  type Scheduler,
  toTorch,
  TrainLearner,
} from "../mod.ts";
import type { RunConfig } from "./presets.ts";
import { exists, makeRun, updateFile, writeConfig } from "./runs.ts";
import { formatMetrics } from "./schemas.ts";
import { finishOnStop, isStopping } from "./stop.ts";
import { TimeLeftCB } from "./time_left.ts";
import type { Run } from "./training.ts";

/** What a fit of a run needs besides its config. */
interface FitRunOptions {
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
  metadata?: Record<string, string>;
  /** Gives the file of the weights, where it is more than they. */
  encode?: () => Promise<Uint8Array>;
  /** Moves the learning rate; default a one-cycle policy. */
  schedule?: (opt: Optimizer, totalSteps: number) => Scheduler;
}

/**
 * Trains a run's model; its weights, metrics, loss plot and checkpoint are brought up to
 * date after each epoch. Told to stop, it does so after the batch.
 * @throws Error where the loss is not finite.
 * @returns whether it had been finished before, or null where it was stopped
 */
export async function fitRun(run: Run<RunConfig>, options: FitRunOptions): Promise<boolean | null> {
  const { name, config, files } = run;
  const { model, dls, lossFunc, optimizer: Optimizer, cbs = [], lossTitle, metadata } = options;
  const resume = run.resume && await exists(files.checkpoint);
  const checkpoint = new CheckpointCB({
    path: files.checkpoint,
    everyBatches: config.checkpointEvery ?? 200,
    resume,
  });
  // From here on there is a run, which is to have a checkpoint.
  finishOnStop(() => {
    console.error("\nStopping after this batch; once more to quit at once");
    checkpoint.stop();
  });
  await (run.resume ? writeConfig(files, config) : makeRun(files, config));
  const count = (n: number) => n.toLocaleString("en");
  console.log(
    `Run ${files.dir}: ${count(model.parameterCount())} parameters, ${count(dls.train.size)} images, ` +
      `${config.epochs} epochs of ${dls.train.length} batches`,
  );
  if (run.resume && !resume) console.error("There is no checkpoint yet: the run begins at its start");
  const metrics = new MetricsCB(options.metrics);
  const recorder = new RecorderCB({
    loss: (learn) => learn.loss,
    lr: (learn) => learn.opt!.paramGroups[0].lr,
  });
  const { eps, weightDecay, beta2 = 0.999 } = config;
  const { pctStart, divFactor, finalDivFactor, baseMomentum, maxMomentum } = config;
  const cycle = { pctStart, divFactor, finalDivFactor, baseMomentum, maxMomentum };
  const oneCycle = (opt: Optimizer, totalSteps: number) =>
    new OneCycleLR(opt, { ...cycle, maxLr: config.lr, totalSteps });
  const precision = config.mixedPrecision ? [new MixedPrecision()] : [];
  const learn = new TrainLearner(model, dls, {
    lossFunc,
    lr: config.lr,
    optFunc: (params, lr) => new Optimizer(params, { lr, eps, weightDecay, betas: [0.9, beta2] }),
    cbs: [
      new DeviceCB(),
      ...precision,
      ...cbs,
      new BatchSchedCB(options.schedule ?? oneCycle),
      metrics,
      recorder,
      new ProgressCB(),
      new TimeLeftCB(),
      checkpoint,
    ],
  });

  const encode = options.encode ??
    (async () => encodeSafetensors(await toTorch(model.stateDict()), metadata));
  /** Brings the run's files up to date; after each epoch, and when the fit ends or is stopped. */
  const report = async () => {
    await recorder.flush();
    await updateFile(files.weights, await encode());
    await updateFile(files.metrics, formatMetrics(metrics.rows));
    const { loss } = recorder.values;
    if (loss.length) {
      await updateFile(files.lossPlot, await plotLosses(loss, metrics.rows, dls.train.length, lossTitle));
    }
  };
  const progress = new RunProgress(checkpoint, report);
  await learn.fit(config.epochs, { cbs: [progress] });
  if (!checkpoint.stopped) {
    finishOnStop(() => console.error("\nStopping when the files are written; once more to quit at once"));
  }
  await report();
  learn.dispose();
  if (checkpoint.stopped) {
    console.log(`Stopped. Go on with: deno task ${config.task} --resume ${name}`);
    return null;
  }
  if (progress.finished) console.log(`Run ${files.dir} is finished: its ${config.epochs} epochs are done`);
  return progress.finished;
}

/** Calls a function after each epoch's evaluation, and sees what the checkpoint has left to do. */
class RunProgress extends Callback {
  /** Whether all epochs had been done before. */
  finished = false;
  override order: number;
  constructor(readonly checkpoint: CheckpointCB, readonly report: () => Promise<void>) {
    super();
    this.order = checkpoint.order + 1;
  }
  override beforeFit(learn: Learner): void {
    this.finished = learn.epochs.length === 0;
    if (isStopping()) this.checkpoint.stop(); // told before there was a fit to stop
  }
  override async afterEpoch(learn: Learner): Promise<void> {
    if (!learn.training) await this.report();
  }
}

/** Weight of a new loss in the smoothed line. */
const SMOOTHING = 0.05;

/** Exponential moving average whose first values are not drawn towards a beginning at 0 (Kingma & Ba 2015, section 3). */
function smoothed(values: number[]): number[] {
  let average = 0;
  return values.map((value, i) => {
    average += SMOOTHING * (value - average);
    return average / (1 - (1 - SMOOTHING) ** (i + 1));
  });
}

/** Training losses a batch and evaluation losses an epoch, on one plot. */
function plotLosses(losses: number[], rows: MetricsRow[], batches: number, y: string): Promise<string> {
  const points = (values: number[]) => values.map((y, x) => ({ x, y }));
  return linePlot({
    series: {
      "train, each batch": points(losses),
      "train, smoothed": points(smoothed(losses)),
      "eval, each epoch": rows.filter((r) => r.train === "eval")
        .map((r) => ({ x: (r.epoch + 1) * batches, y: r.loss })),
    },
    x: "batch",
    y,
    yScale: "log",
  });
}
