/** MetricsCB. */
import * as v from "npm:valibot@1.5.0";
import {
  Callback,
  COUNT,
  type Json,
  type Learner,
  NUMBER,
  perFit,
  recordOf,
  requireSchema,
} from "../core/mod.ts";
import { Mean, type Metric } from "./metric.ts";
import { targetsOf } from "./train.ts";

/** What an epoch came to: the metrics by name, `loss`, `epoch`, and `train` or `eval`. */
export interface MetricsRow {
  /** The number of the epoch. */
  epoch: number;
  /** Which half of it. */
  train: "train" | "eval";
  /** Mean of the loss, weighted by batch size. */
  loss: number;
  /** Each metric by its name. */
  [metric: string]: number | string;
}

const STATE_VALUE = v.custom<Json>((value) => value !== undefined, "a state");
/** What a checkpoint holds. */
const STATE = v.strictObject({
  rows: v.array(v.looseObject({
    epoch: COUNT,
    train: v.picklist(["train", "eval"]),
    loss: v.nullable(NUMBER),
  })),
  loss: STATE_VALUE,
  metrics: v.optional(recordOf(STATE_VALUE)),
});
/** Every value of its rows; checkpoints of before kept NaN as null. */
const ROWS = v.array(recordOf(v.nullable(v.union([NUMBER, v.string()]))));

/** Items in a batch, from its first tensor. */
export function batchSize(batch: unknown): number {
  for (let x = batch; x; x = (x as unknown[])[0]) {
    const { shape } = x as { shape?: number[] };
    if (shape) return shape[0];
  }
  return 1;
}

/**
 * Measures each pass, of training and of evaluation: the loss weighted by batch size, and metrics of predictions and first
 * target. Rows go to {@link MetricsCB.rows}, after those of the fits before, and to {@link MetricsCB.log}, which prints
 * them; a pass that is cancelled has none. Source: miniai 09_learner.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   Accuracy,
 *   ArrayDataset,
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
 * const signs = new ArrayDataset(x, new HostArray(Int32Array.of(0, 0, 1, 1), [4]));
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
  /** A row for each pass, in order. */
  rows: MetricsRow[] = [];
  /** Called with each new row; default prints it. */
  log: (row: MetricsRow, learn: Learner) => void = (row) => console.log(formatRow(row).join("  "));
  /** The metrics by name. */
  readonly metrics: Record<string, Metric>;
  readonly #fit = perFit(() => ({
    loss: new Mean(),
    /** Takes this fit's rows in place of {@link log}. */
    log: undefined as MetricsCB["log"] | undefined,
    /** The last row of a resumed fit. */
    resumed: undefined as MetricsRow | undefined,
  }));

  /**
   * Measures the loss, and these.
   * @param named metrics by name
   */
  constructor(named: Record<string, Metric> = {}) {
    super();
    this.metrics = named;
  }

  /** Sends the rows of the learner's current fit to another listener in place of {@link log}. */
  redirect(learn: Learner, log: MetricsCB["log"]): void {
    this.#fit(learn).log = log;
  }

  /** Begins anew. */
  override beforeEpoch(learn: Learner): void {
    this.#reset(learn);
  }

  /** Adds the batch. */
  override async afterBatch(learn: Learner): Promise<void> {
    const { preds, current } = learn, [target] = targetsOf(learn);
    this.#fit(learn).loss.add(learn.loss, batchSize(learn.batch));
    for (const metric of Object.values(this.metrics)) {
      await current.scoped(() => metric.update(preds, target));
    }
  }

  /** Makes the row of the pass. */
  override async afterEpoch(learn: Learner): Promise<void> {
    const { epoch } = learn, train = learn.training ? "train" : "eval", fit = this.#fit(learn);
    // A fit stopped between the halves of an epoch ends the first of them again when it goes on.
    if (fit.resumed?.epoch === epoch && fit.resumed.train === train) return;
    const row: MetricsRow = { epoch, train, loss: await fit.loss.compute() };
    for (const [name, metric] of Object.entries(this.metrics)) row[name] = await metric.compute();
    this.#reset(learn); // a checkpoint from here on holds nothing of this epoch
    this.rows.push(row);
    (fit.log ?? this.log)(row, learn);
  }

  /** Frees sums that a fit which ended early leaves. */
  override cleanupFit(learn: Learner): void {
    this.#reset(learn);
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }

  #reset(learn: Learner): void {
    this.#fit(learn).loss.reset();
    for (const metric of Object.values(this.metrics)) metric.reset();
  }

  /** The rows, and the sums of the pass. */
  override async state(learn: Learner): Promise<Json> {
    const metrics: Record<string, Json> = {};
    for (const [name, metric] of Object.entries(this.metrics)) {
      if (metric.state) metrics[name] = await metric.state();
    }
    return { rows: this.rows as unknown as Json, loss: await this.#fit(learn).loss.state(), metrics };
  }

  /** Goes on with saved rows and sums. */
  override loadState(state: Json, learn: Learner): void {
    const { rows, loss, metrics = {} } = requireSchema(STATE, state, "MetricsCB's state");
    const fit = this.#fit(learn);
    this.rows = requireSchema(ROWS, rows, "MetricsCB's rows").map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, x]) => [name, x ?? NaN])) as MetricsRow
    );
    fit.resumed = this.rows.at(-1);
    fit.loss.loadState(loss);
    for (const [name, saved] of Object.entries(metrics)) this.metrics[name]?.loadState?.(saved);
  }
}

/** A row's values as text: names left, numbers to 3 decimals. */
export function formatRow(row: MetricsRow): string[] {
  return Object.values(row).map((v) =>
    typeof v === "number" && !Number.isInteger(v) ? v.toFixed(3) : String(v)
  );
}
