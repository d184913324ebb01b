/** ProgressCB. */
import { Callback, type Learner, type ProgressBar, progressBar, type Tensor, tf } from "../core/mod.ts";
import { batchSize, formatRow, MetricsCB, type MetricsRow } from "./metrics.ts";

/** The loss is read from the device for display at most this often, in ms. */
const SHOW_EVERY = 500;

/**
 * A terminal bar for each epoch with loss, time left and images a second, and a table row for each epoch's training
 * and evaluation. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
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
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const table: string[] = [];
 * const cbs = [new DeviceCB(), new MetricsCB(), new ProgressCB((line) => table.push(line))];
 * await new TrainLearner(new Linear(1, 1), dls, { cbs }).fit(1);
 * assert(table.length === 3); // head, training, evaluation
 * ```
 */
export class ProgressCB extends Callback {
  override order = 1;
  #bar: ProgressBar | undefined;
  #shown = 0;
  #images = 0;
  #seconds = 0;
  #started = 0;
  #loss = "";
  #reading: Promise<void> | null = null;
  #headed = false;
  #print: (line: string) => void;

  /** @param print takes a line of the table; default `console.log` */
  constructor(print: (line: string) => void = console.log) {
    super();
    this.#print = print;
  }

  /** Images a second over all training batches so far; 0 before the first. */
  get imagesPerSecond(): number {
    return this.#seconds ? this.#images / this.#seconds : 0;
  }

  beforeFit(learn: Learner): void {
    const metrics = learn.cbs.find((cb) => cb instanceof MetricsCB);
    if (metrics) metrics.log = (row) => this.#row(row, learn);
  }

  beforeEpoch(learn: Learner): void {
    const half = learn.training ? "train" : "eval ";
    this.#bar = progressBar(`epoch ${learn.epoch + 1}/${learn.nEpochs} ${half}`, learn.dl.length);
    this.#bar.update(learn.training ? learn.skip : 0);
    this.#loss = "";
    this.#shown = 0;
  }

  beforeBatch(): void {
    this.#started = performance.now();
  }

  afterBatch(learn: Learner): void {
    const now = performance.now();
    if (now - this.#shown > SHOW_EVERY && !this.#reading) {
      this.#reading = this.#read(learn.loss);
      this.#shown = now;
    }
    if (learn.training) {
      this.#images += batchSize(learn.batch);
      this.#seconds += (performance.now() - this.#started) / 1000;
    }
    const rate = learn.training ? `, ${this.imagesPerSecond.toFixed(1)} images/s` : "";
    this.#bar?.update(learn.iter + 1, `loss ${this.#loss}${rate}`);
  }

  /** Reads a loss while training goes on: the bar shows it when it is there. */
  async #read(loss: Tensor): Promise<void> {
    const kept = tf.keep(tf.clone(loss));
    try {
      this.#loss = (await kept.data())[0].toFixed(4);
    } catch {
      // A device that fails says so itself, to whoever computes on it.
    } finally {
      kept.dispose();
      this.#reading = null;
    }
  }

  async cleanupEpoch(): Promise<void> {
    await this.#reading;
    this.#bar?.stop();
  }

  #row(row: MetricsRow, learn: Learner): void {
    this.#bar?.stop();
    const line = (cells: string[]) => this.#print(cells.map((c) => c.padStart(9)).join(""));
    if (!this.#headed) line([...Object.keys(row), "images/s"]);
    this.#headed = true;
    line([...formatRow(row), learn.training ? this.imagesPerSecond.toFixed(1) : ""]);
  }
}
