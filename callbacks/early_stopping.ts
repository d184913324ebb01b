/** EarlyStoppingCB. */
import { Callback, CancelFitException, type Learner, perFit } from "../core/mod.ts";
import { MetricsCB, type MetricsRow } from "./metrics.ts";
import { ORDER } from "./order.ts";

/** Options of {@link EarlyStoppingCB}. */
export interface EarlyStoppingOptions {
  /** A name in the rows of {@link MetricsCB}; default `loss`. */
  metric?: string;
  /** Whether lower or higher is better; default `min`. */
  mode?: "min" | "max";
  /** Epochs without improvement that are forgiven, a whole number from 0 on; default 3. */
  patience?: number;
  /** Least change that counts as improvement, at least 0; default 0. */
  minDelta?: number;
}

/**
 * Ends the fit when an evaluation metric has not improved for more than `patience` epochs. Needs a {@link MetricsCB}.
 * A resumed fit looks at all its rows with the options that it is given, so that more patience lets a stopped run go on.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   EarlyStoppingCB,
 *   HostArray,
 *   Linear,
 *   MetricsCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const metrics = new MetricsCB(), stopper = new EarlyStoppingCB({ patience: 2 });
 * metrics.log = () => {};
 * const learn = new TrainLearner(new Linear(1, 1), dls, { lr: 0, cbs: [new DeviceCB(), metrics, stopper] });
 * await learn.fit(100);
 * assert(learn.epoch === 3); // the first is the best, the next three no better
 * ```
 */
export class EarlyStoppingCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.earlyStoppingCB;
  /** The best value in the current or last fit. */
  best: number;
  readonly #options: Required<EarlyStoppingOptions>;
  /** The metrics' rows before a fit; a resumed one gets its own back from the checkpoint. */
  readonly #fit = perFit(() => ({ rowsBefore: 0 }));

  /**
   * Watches a metric.
   * @param options which metric is to improve, and how long to wait for it
   * @throws RangeError for another mode, patience or minDelta.
   */
  constructor({ metric = "loss", mode = "min", patience = 3, minDelta = 0 }: EarlyStoppingOptions = {}) {
    super();
    if (mode !== "min" && mode !== "max") {
      throw new RangeError(`EarlyStoppingCB: mode is "min" or "max", not ${mode}`);
    }
    if (!Number.isInteger(patience) || patience < 0) {
      throw new RangeError(`EarlyStoppingCB: patience is a whole number from 0 on, not ${patience}`);
    }
    if (!(minDelta >= 0)) throw new RangeError(`EarlyStoppingCB: minDelta is at least 0, not ${minDelta}`);
    this.#options = { metric, mode, patience, minDelta };
    this.best = this.#worst;
  }

  get #worst(): number {
    return this.#options.mode === "min" ? Infinity : -Infinity;
  }

  /**
   * Notes which rows are of this fit.
   * @throws Error where there is no MetricsCB.
   */
  override beforeFit(learn: Learner): void {
    this.#fit(learn).rowsBefore = rowsOf(learn).length;
    this.best = this.#worst;
  }

  /**
   * Looks at the new row.
   * @throws Error where there is no metric of that name.
   */
  override afterEpoch(learn: Learner): void {
    if (learn.training) return;
    const { metric, mode, patience, minDelta } = this.#options;
    this.best = this.#worst;
    let since = 0;
    for (const row of rowsOf(learn).slice(this.#fit(learn).rowsBefore)) {
      if (row.train === "train") continue;
      const value = row[metric];
      if (typeof value !== "number") {
        throw new Error(`EarlyStoppingCB: no metric "${metric}"; there are ${Object.keys(row).join(", ")}`);
      }
      const gain = mode === "min" ? this.best - value : value - this.best;
      if (gain > 0 && gain >= minDelta) [this.best, since] = [value, 0];
      else since++;
    }
    if (since > patience) throw new CancelFitException();
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }
}

/** The rows of the fit's MetricsCB. */
function rowsOf(learn: Learner): MetricsRow[] {
  const metrics = learn.current.cbs.find((cb) => cb instanceof MetricsCB);
  if (!metrics) throw new Error("EarlyStoppingCB: there is no MetricsCB");
  return metrics.rows;
}
