/** Callbacks that end a fit: EarlyStoppingCB, TerminateOnNaNCB. */
import { Callback, CancelFitException, type Learner, type Module, noGrad, Tensor, tf } from "../core/mod.ts";
import { MetricsCB, type MetricsRow } from "./metrics.ts";

/** Options of {@link EarlyStoppingCB}. */
export interface EarlyStoppingOptions {
  /** A name in the rows of {@link MetricsCB}; default `loss`. */
  metric?: string;
  /** Whether lower or higher is better; default `min`. */
  mode?: "min" | "max";
  /** Epochs without improvement that are forgiven; default 3. */
  patience?: number;
  /** Least change that counts as improvement; default 0. */
  minDelta?: number;
}

/**
 * Ends the fit when an evaluation metric has not improved for more than `patience` epochs. Needs a {@link MetricsCB}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
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
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const metrics = new MetricsCB(), stopper = new EarlyStoppingCB({ patience: 2 });
 * metrics.log = () => {};
 * const learn = new TrainLearner(new Linear(1, 1), dls, { lr: 0, cbs: [new DeviceCB(), metrics, stopper] });
 * await learn.fit(100);
 * assert(learn.epoch === 3); // the first is the best, the next three no better
 * ```
 */
export class EarlyStoppingCB extends Callback {
  override order = 150; // after the metrics are in and a checkpoint is saved
  /** The best value in the current or last fit. */
  best: number;
  /** The metrics' rows before this fit; a resumed fit gets its own back from the checkpoint. */
  #before = 0;
  readonly #options: Required<EarlyStoppingOptions>;

  constructor({ metric = "loss", mode = "min", patience = 3, minDelta = 0 }: EarlyStoppingOptions = {}) {
    super();
    this.#options = { metric, mode, patience, minDelta };
    this.best = this.#worst;
  }

  get #worst(): number {
    return this.#options.mode === "min" ? Infinity : -Infinity;
  }

  /** @throws Error where there is no MetricsCB. */
  beforeFit(learn: Learner): void {
    this.#before = rowsOf(learn).length;
  }

  /** @throws Error where there is no metric of that name. */
  afterEpoch(learn: Learner): void {
    if (learn.training) return;
    const { metric, mode, patience, minDelta } = this.#options;
    this.best = this.#worst;
    let since = 0;
    for (const row of rowsOf(learn).slice(this.#before)) {
      if (row.train === "train") continue;
      const value = row[metric];
      if (typeof value !== "number") {
        throw new Error(`EarlyStoppingCB: no metric "${metric}"; there are ${Object.keys(row).join(", ")}`);
      }
      const better = mode === "min" ? value < this.best - minDelta : value > this.best + minDelta;
      if (better) [this.best, since] = [value, 0];
      else since++;
    }
    if (since > patience) throw new CancelFitException();
  }
}

/** The rows of the learner's MetricsCB. */
function rowsOf(learn: Learner): MetricsRow[] {
  const metrics = learn.cbs.find((cb) => cb instanceof MetricsCB);
  if (!metrics) throw new Error("EarlyStoppingCB: there is no MetricsCB");
  return metrics.rows;
}

/**
 * Ends the fit at the first loss that is not finite, and says in which batch, and which module's output is the first
 * to be so. It waits for each loss, which costs time on a GPU.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TerminateOnNaNCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const guard = new TerminateOnNaNCB(() => {});
 * await new TrainLearner(new Linear(1, 1), dls, { lr: 1e20, cbs: [new DeviceCB(), guard] }).fit(5);
 * assert(/^The loss is (Infinity|NaN) in epoch 0, \w+ batch \d: /.test(guard.problem!));
 * ```
 */
export class TerminateOnNaNCB extends Callback {
  /** What went wrong, once it has. */
  problem: string | undefined;
  #log: (line: string) => void;

  /** @param log takes the line that tells; default `console.error` */
  constructor(log: (line: string) => void = console.error) {
    super();
    this.#log = log;
  }

  async afterLoss(learn: Learner): Promise<void> {
    const loss = (await learn.loss.data())[0];
    if (Number.isFinite(loss)) return;
    const half = learn.training ? "training" : "evaluation";
    const where = await firstNotFinite(learn.model, learn.batch[0]);
    this.problem = `The loss is ${loss} in epoch ${learn.epoch}, ${half} batch ${learn.iter}: ${where}`;
    this.#log(this.problem);
    throw new CancelFitException();
  }
}

/** Runs the model again and names the first module whose output is not finite. */
async function firstNotFinite(model: Module, input: unknown): Promise<string> {
  const leaves = [...model.namedModules()].filter(([, m]) => m.children().length === 0);
  const found: [string, Tensor][] = [];
  const undo = leaves.map(([name, m]) =>
    m.registerForwardHook((_, __, out) => {
      if (out instanceof Tensor) {
        found.push([`${name || "model"} (${m.constructor.name})`, tf.keep(tf.sum(tf.mul(out, 0)))]);
      }
    })
  );
  try {
    noGrad(() => tf.tidy(() => void model.call(input)));
    // 0·x is 0 unless x is infinite or no number
    for (const [name, zero] of found) {
      if ((await zero.data())[0] !== 0) return `the first output that is not finite is that of ${name}`;
    }
    return "every layer's output is finite";
  } finally {
    undo.forEach((f) => f());
    found.forEach(([, t]) => t.dispose());
  }
}
