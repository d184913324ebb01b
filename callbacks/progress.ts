/** ProgressCB. */
import { Callback, type Learner, perFit, type ProgressBar, progressBar } from "../core/mod.ts";
import { Mean, valueOf } from "./metric.ts";
import { batchSize, formatRow, MetricsCB, type MetricsRow } from "./metrics.ts";
import { ORDER } from "./order.ts";

/** The loss is read from the device for display at most this often, in ms. */
const MS_BETWEEN_READS = 500;

/**
 * A terminal bar for each pass with time left, items a second and the loss: of the batch in training, the mean so far in
 * evaluation; and with a {@link MetricsCB} in the fit, whose `log` it stands in for, a table row for each. Epochs count
 * from 1. Bars of two fits at once share the terminal's line. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   MetricsCB,
 *   ProgressCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const table: string[] = [];
 * const cbs = [new DeviceCB(), new MetricsCB(), new ProgressCB((line) => table.push(line))];
 * await new TrainLearner(new Linear(1, 1), dls, { cbs }).fit(1);
 * assert(table.length === 3); // head, training, evaluation
 * ```
 */
export class ProgressCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.progressCB;
  readonly #print: (line: string) => void;
  readonly #fit = perFit(() => ({
    bar: undefined as ProgressBar | undefined,
    /** The loss as the bar shows it, and its mean in an evaluation. */
    loss: "",
    mean: new Mean(),
    /** Batches in it. */
    measured: 0,
    reading: null as Promise<void> | null,
    /** Of the last read of the loss, and of the batch's beginning, in ms. */
    readAt: 0,
    startedAt: 0,
    headed: false,
  }));
  /** What was trained on in the current or last fit. */
  #trained = { items: 0, seconds: 0 };

  /**
   * Shows a bar and a table.
   * @param print takes a line of the table; default `console.log`
   */
  constructor(print: (line: string) => void = console.log) {
    super();
    this.#print = print;
  }

  /** Items a second over the training batches of the current or last fit; 0 before the first. */
  get itemsPerSecond(): number {
    const { items, seconds } = this.#trained;
    return seconds ? items / seconds : 0;
  }

  /** Takes over the rows of MetricsCB. */
  override beforeFit(learn: Learner): void {
    this.#trained = { items: 0, seconds: 0 };
    const metrics = learn.current.cbs.find((cb) => cb instanceof MetricsCB);
    metrics?.redirect(learn, (row) => this.#row(row, learn));
  }

  /** Begins a bar. */
  override beforeEpoch(learn: Learner): void {
    const fit = this.#fit(learn), half = learn.training ? "train" : "eval ";
    fit.bar = progressBar(`epoch ${learn.epoch + 1}/${learn.nEpochs} ${half}`, learn.dl.length);
    fit.bar.update(learn.training ? learn.current.batchesDone : 0);
    fit.loss = "";
    fit.measured = 0;
    fit.readAt = 0;
  }

  /** Notes the time. */
  override beforeBatch(learn: Learner): void {
    this.#fit(learn).startedAt = performance.now();
  }

  /** Moves the bar. */
  override afterBatch(learn: Learner): void {
    const fit = this.#fit(learn), now = performance.now();
    if (!learn.training) {
      fit.mean.add(learn.loss, batchSize(learn.batch));
      fit.measured++;
    }
    if (now - fit.readAt > MS_BETWEEN_READS && !fit.reading) {
      fit.reading = this.#read(learn);
      fit.readAt = now;
    }
    if (learn.training) {
      this.#trained.items += batchSize(learn.batch);
      this.#trained.seconds += (performance.now() - fit.startedAt) / 1000;
    }
    const loss = fit.loss && `loss ${fit.loss}`;
    const rate = learn.training ? `${this.itemsPerSecond.toFixed(1)} items/s` : "";
    fit.bar?.update(learn.iter + 1, [loss, rate].filter(Boolean).join(", "));
  }

  /** Reads the loss of the batch in training, the mean in evaluation, while the fit goes on: the bar shows it next. */
  async #read(learn: Learner): Promise<void> {
    const fit = this.#fit(learn);
    try {
      fit.loss = (await (learn.training ? valueOf(learn.loss) : fit.mean.compute())).toFixed(4);
    } catch {
      // A device that fails says so itself, to whoever computes on it.
    } finally {
      fit.reading = null;
    }
  }

  /** Says the mean of an evaluation, and takes the bar off. */
  override async cleanupEpoch(learn: Learner): Promise<void> {
    const fit = this.#fit(learn);
    await fit.reading;
    if (!learn.training && fit.measured) {
      await this.#read(learn);
      fit.bar?.update(fit.measured, `loss ${fit.loss}`);
    }
    fit.mean.reset();
    fit.bar?.stop();
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }

  #row(row: MetricsRow, learn: Learner): void {
    const fit = this.#fit(learn);
    fit.bar?.stop();
    const line = (cells: string[]) => this.#print(cells.map((c) => c.padStart(9)).join(""));
    if (!fit.headed) line(Object.keys(row).concat("items/s"));
    fit.headed = true;
    line(
      formatRow({ ...row, epoch: row.epoch + 1 }).concat(
        learn.training ? this.itemsPerSecond.toFixed(1) : "",
      ),
    );
  }
}
