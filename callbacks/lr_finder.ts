/** LRFinderCB and `learn.lrFind()`. */
import {
  Callback,
  CancelEpochException,
  CancelFitException,
  copyOf,
  type Learner,
  linePlot,
  type LRFinder,
  type LRFinderOptions,
  type LRFindOptions,
  type StateDict,
  tf,
  writeFile,
} from "../core/mod.ts";
import { noteDraws } from "./draws.ts";

/**
 * Raises the learning rate batch by batch until the loss explodes. Source: miniai 09_learner.
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
 *   LRFinderCB,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB()] });
 * const finder = await learn.lrFind({ gamma: 2, log: () => {} }); // path: "lr.svg" writes the plot
 * assert(finder.lrs.length === finder.losses.length && finder.suggestion! > 1e-5);
 * ```
 */
export class LRFinderCB extends Callback implements LRFinder {
  /** Rates and losses of the batches, in order. */
  readonly lrs: number[] = [];
  readonly losses: number[] = [];
  readonly #gamma: number;
  readonly #maxMult: number;
  #lowest = Infinity;

  /**
   * Begins at the rate of the fit.
   * @throws RangeError unless gamma and maxMult are over 1, and gamma is finite.
   */
  constructor({ gamma = 1.3, maxMult = 3 }: LRFinderOptions = {}) {
    super();
    for (const [name, x] of Object.entries({ gamma, maxMult })) {
      if (!(x > 1)) throw new RangeError(`LRFinderCB: ${name} is a number over 1, not ${x}`);
    }
    if (gamma === Infinity) throw new RangeError("LRFinderCB: gamma is a finite number over 1, not Infinity");
    this.#gamma = gamma;
    this.#maxMult = maxMult;
  }

  /** Notes rate and loss, and raises the rate. */
  override async afterBatch(learn: Learner): Promise<void> {
    if (!learn.training) throw new CancelEpochException();
    const { paramGroups } = learn.opt!;
    const loss = (await learn.loss.data())[0];
    this.lrs.push(paramGroups[0].lr);
    this.losses.push(loss);
    this.#lowest = Math.min(this.#lowest, loss);
    if (!Number.isFinite(loss) || loss > this.#lowest * this.#maxMult) throw new CancelFitException();
    for (const group of paramGroups) group.lr *= this.#gamma;
  }

  /** The rate where the smoothed loss falls most steeply over log lr; undefined before three batches. */
  get suggestion(): number | undefined {
    let average = this.losses[0];
    const smooth = this.losses.map((loss) => average += 0.5 * (loss - average));
    let best: number | undefined, steepest = 0;
    for (let i = 1; i + 1 < smooth.length; i++) {
      const slope = smooth[i + 1] - smooth[i - 1];
      if (slope < steepest) [steepest, best] = [slope, this.lrs[i]];
    }
    return best;
  }

  /** Loss over log lr, as SVG. */
  plot(): Promise<string> {
    const points = this.lrs.map((x, i) => ({ x, y: this.losses[i] })).filter(({ y }) => Number.isFinite(y));
    return linePlot({ series: { loss: points }, x: "learning rate", y: "loss", xScale: "log" });
  }
}

/** Leaves the model and its modules' generators as the fit found them, however it ends. */
class PutBackCB extends Callback {
  /** Before everything that draws or changes the model. */
  override order = -Infinity;
  #before: StateDict = {};
  #putBack = () => {};

  override beforeFit(learn: Learner): void {
    this.#putBack = noteDraws(learn.model);
    for (const [name, x] of Object.entries(learn.model.stateDict())) this.#before[name] = tf.keep(copyOf(x));
  }

  override cleanupFit(learn: Learner): void {
    learn.model.loadStateDict(this.#before);
    tf.dispose(this.#before);
    this.#putBack();
  }
}

/**
 * Trains on rising learning rates, writes the plot where asked, and says which rate is promising. Schedules and records
 * take no part; afterwards the model, the training loader and the generators are as before (miniai keeps what this
 * training did to the model).
 * @throws RangeError unless startLr is over 0, gamma over 1, and maxEpochs a positive whole number.
 * @throws Error where a fit is training the model.
 */
export async function lrFind(learn: Learner, options: LRFindOptions = {}): Promise<LRFinderCB> {
  const { startLr = 1e-5, maxEpochs = 10, path, log = console.log } = options;
  const finder = new LRFinderCB(options);
  if (!(startLr > 0 && startLr < Infinity)) {
    throw new RangeError(`lrFind: startLr is a finite number over 0, not ${startLr}`);
  }
  if (!Number.isInteger(maxEpochs) || maxEpochs < 1) {
    throw new RangeError(`lrFind: maxEpochs is a positive whole number, not ${maxEpochs}`);
  }
  await learn.fit(maxEpochs, { lr: startLr, valid: false, trial: true, cbs: [new PutBackCB(), finder] });
  if (path) await writeFile(path, await finder.plot());
  const { suggestion } = finder;
  log(
    suggestion === undefined
      ? "No learning rate made the loss fall"
      : `Suggested lr: ${suggestion.toExponential(1)}`,
  );
  return finder;
}
