/** MetricsCB and the metrics that come with it. */
import { Callback, type Json, type Learner, type Tensor, tf } from "../core/mod.ts";

/** Something measured over the batches of an epoch. */
export interface Metric {
  /** Forgets what it has seen. */
  reset(): void;
  /** Takes a batch's predictions and targets; sums may stay on the device until {@link compute}. */
  update(preds: Tensor, target: Tensor): void | Promise<void>;
  /** The value over everything since the reset. */
  compute(): number | Promise<number>;
  /** What a checkpoint within an epoch needs so that the metric goes on; without it, it begins again there. */
  state?(): Json | Promise<Json>;
  /** Goes on from what {@link state} gave. */
  loadState?(state: Json): void;
}

/** A weighted mean whose sums stay on the device, so that a batch waits for no read. */
export class Mean {
  #total: Tensor | null = null;
  #weight = 0;

  /** Adds a scalar tensor with a weight. */
  add(value: Tensor, weight: number): void {
    const before = this.#total;
    this.#total = tf.keep(tf.tidy(() => {
      const part = tf.mul(value, weight);
      return before ? tf.add(before, part) : part;
    }));
    before?.dispose();
    this.#weight += weight;
  }

  reset(): void {
    this.#total?.dispose();
    this.#total = null;
    this.#weight = 0;
  }

  /** Sum and weight so far. */
  async state(): Promise<[sum: number, weight: number]> {
    return [this.#total ? (await this.#total.data())[0] : 0, this.#weight];
  }

  /** Goes on from {@link state}, with the rounding of a mean that never stopped. */
  loadState([sum, weight]: [number, number]): void {
    this.reset();
    if (weight) this.#total = tf.keep(tf.scalar(sum));
    this.#weight = weight;
  }

  async compute(): Promise<number> {
    const [sum, weight] = await this.state();
    return sum / weight;
  }
}

/** Share of rows whose largest logit is the label: preds [N,classes], target [N]. */
export class Accuracy implements Metric {
  #mean = new Mean();
  reset(): void {
    this.#mean.reset();
  }
  update(preds: Tensor, target: Tensor): void {
    const hits = tf.tidy(() => tf.mean(tf.cast(tf.equal(tf.argMax(preds, -1), target), "float32")));
    this.#mean.add(hits, preds.shape[0]);
    hits.dispose();
  }
  compute(): Promise<number> {
    return this.#mean.compute();
  }
  state(): Promise<Json> {
    return this.#mean.state();
  }
  loadState(state: Json): void {
    this.#mean.loadState(state as [number, number]);
  }
}

/** What an epoch came to: the metrics by name, `loss`, `epoch`, and `train` or `eval`. */
export interface MetricsRow {
  epoch: number;
  train: "train" | "eval";
  loss: number;
  [metric: string]: number | string;
}

/** Items in a batch, from its first tensor. */
export function batchSize(batch: unknown): number {
  for (let x = batch; x; x = (x as unknown[])[0]) {
    const { shape } = x as { shape?: number[] };
    if (shape) return shape[0];
  }
  return 1;
}

/**
 * Measures each epoch: the loss weighted by batch size, and metrics of predictions and first target. Rows go to
 * {@link rows} and to every listener; by default they are printed. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   Accuracy,
 *   DataLoaders,
 *   DeviceCB,
 *   F,
 *   HostArray,
 *   Linear,
 *   MetricsCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(-2, -1, 1, 2), [4, 1]);
 * const signs = { images: x, labels: new HostArray(Int32Array.of(0, 0, 1, 1), [4]) };
 * const dls = DataLoaders.from(signs, signs, { batchSize: 2 });
 * const metrics = new MetricsCB({ accuracy: new Accuracy() });
 * metrics.log = () => {}; // prints each row unless told otherwise
 * const learn = new TrainLearner(new Linear(1, 2), dls, {
 *   lossFunc: F.crossEntropy,
 *   cbs: [new DeviceCB(), metrics],
 * });
 * await learn.fit(30);
 * assert(metrics.rows.length === 60 && metrics.rows.at(-1)!.accuracy === 1);
 * ```
 */
export class MetricsCB extends Callback {
  /** A row for each epoch and half of it, in order. */
  rows: MetricsRow[] = [];
  /** Called with each new row; ProgressCB takes the printing over. */
  log: (row: MetricsRow, learn: Learner) => void = (row) => console.log(formatRow(row).join("  "));
  readonly metrics: Record<string, Metric>;
  readonly #loss = new Mean();

  /** @param named metrics by name */
  constructor(named: Record<string, Metric> = {}) {
    super();
    this.metrics = named;
  }

  beforeEpoch(): void {
    this.#reset();
  }

  async afterBatch(learn: Learner): Promise<void> {
    this.#loss.add(learn.loss, batchSize(learn.batch));
    for (const metric of Object.values(this.metrics)) {
      await metric.update(learn.preds, learn.batch[1]);
    }
  }

  async afterEpoch(learn: Learner): Promise<void> {
    const { epoch } = learn, train = learn.training ? "train" : "eval";
    // A fit stopped between the halves of an epoch ends the first of them again when it goes on.
    const last = this.rows.at(-1);
    if (last?.epoch === epoch && last.train === train) return;
    const row: MetricsRow = { epoch, train, loss: await this.#loss.compute() };
    for (const [name, metric] of Object.entries(this.metrics)) row[name] = await metric.compute();
    this.#reset(); // a checkpoint from here on holds nothing of this epoch
    this.rows.push(row);
    this.log(row, learn);
  }

  cleanupFit(): void {
    this.#reset();
  }

  #reset(): void {
    this.#loss.reset();
    for (const metric of Object.values(this.metrics)) metric.reset();
  }

  async state(): Promise<Json> {
    const metrics: Record<string, Json> = {};
    for (const [name, metric] of Object.entries(this.metrics)) {
      if (metric.state) metrics[name] = await metric.state();
    }
    return { rows: this.rows as unknown as Json, loss: await this.#loss.state(), metrics };
  }

  loadState(state: Json): void {
    const { rows, loss, metrics } = state as unknown as {
      rows: MetricsRow[];
      loss: [number, number];
      metrics?: Record<string, Json>;
    };
    this.rows = rows;
    this.#loss.loadState(loss);
    for (const [name, saved] of Object.entries(metrics ?? {})) this.metrics[name]?.loadState?.(saved);
  }
}

/** A row's values as text: names left, numbers to 3 decimals. */
export function formatRow(row: MetricsRow): string[] {
  return Object.values(row).map((v) =>
    typeof v === "number" && !Number.isInteger(v) ? v.toFixed(3) : String(v)
  );
}
