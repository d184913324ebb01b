/** The loop (miniai's `learner.py`): everything but its order is left to callbacks or subclasses. */
import { breathe } from "../event_loop.ts";
import type { Tape } from "../autograd/tape.ts";
import type { Tensor } from "../tf.ts";
import type { HostArray } from "../data/array.ts";
import type { Batch, DataLoaders, Loader } from "../data/loader.ts";
import * as F from "../nn/functional.ts";
import { type Module, withMode } from "../nn/module.ts";
import type { OptFunc, Optimizer } from "../optim/optimizer.ts";
import { SGD } from "../optim/sgd.ts";
import type { Callback, Done, LearnerEvent, LearnerPhase } from "./callback.ts";
import { CancelBatchException, CancelEpochException, CancelFitException, firstThrown } from "./cancel.ts";
import { checkCallbacks, checkOptions } from "./check.ts";
import { Fit, type PhaseBody } from "./fit.ts";
import type { BatchTransform, LRFinder, LRFindOptions, ShowBatchOptions, SummaryRow } from "./tools.ts";

/** From predictions and the rest of the batch to a scalar. */
// deno-lint-ignore no-explicit-any
export type LossFunc = (preds: any, ...targets: any[]) => Tensor;

/** Options of {@link Learner}. */
export interface LearnerOptions {
  /** Default {@link F.mseLoss}. */
  lossFunc?: LossFunc;
  /** Learning rate; default 0.1. */
  lr?: number;
  /** Callbacks of every fit; default none. */
  cbs?: Callback[];
  /** Makes the optimiser anew for each fit that trains; null for inference only. Default SGD. */
  optFunc?: OptFunc | null;
}

/** Options of {@link Learner.fit}. */
export interface FitOptions {
  /** Whether to train; default true. */
  train?: boolean;
  /** Whether to evaluate after each epoch; default true. */
  valid?: boolean;
  /** Callbacks for this fit alone, besides the learner's; default none. */
  cbs?: Callback[];
  /** Learning rate; default the learner's. */
  lr?: number;
  /** Whether a training loss that is not finite ends the fit with an error; default true, but false in a trial. */
  finite?: boolean;
  /**
   * Whether it only tries something; default false. Callbacks that write the run's record, move its schedule or save it
   * (`Callback.inTrials`) stay out, and the learner is as before when it ends. A callback may begin one inside a fit,
   * which waits until it is over; it stays out itself (`inTrials`).
   */
  trial?: boolean;
  /**
   * Whether the model is run; default true. Else callbacks get each batch as it would go to the model, in `beforeBatch`,
   * and nothing is trained.
   */
  runModel?: boolean;
}

const CANCEL = {
  Fit: CancelFitException,
  Epoch: CancelEpochException,
  Batch: CancelBatchException,
} as const;

/** Models that a fit is training. */
const inTraining = new WeakSet<Module>();

/**
 * Runs a model over data. The phases of a batch (`predict`, `getLoss`, `backward`, `step`, `zeroGrad`) are callbacks'
 * work here; {@link TrainLearner} does them itself. Source: miniai 09_learner.
 */
export class Learner<M extends Module = Module> {
  /** What is trained. */
  readonly model: M;
  /** Data to train on and to evaluate on. */
  readonly dls: DataLoaders;
  /** From predictions and targets to the loss. */
  readonly lossFunc: LossFunc;
  /** Learning rate of fits that are given none. */
  lr: number;
  /** Callbacks of every fit; a fit takes those that are here when it begins. */
  cbs: Callback[];
  /** Makes the optimiser of a fit. */
  optFunc: OptFunc | null;
  /** Everything of the current or last fit. */
  current: Fit = new Fit({
    nEpochs: 0,
    cbs: [],
    train: false,
    trial: false,
    runModel: true,
    finite: false,
    opt: null,
  });
  /** The last fit, and the trials that are running inside or beside it, in the order in which they began. */
  #fits: Fit[] = [this.current];

  // The fields of the current or last fit, under miniai's names.
  /** The optimiser of the current or last fit that trained. */
  declare opt: Optimizer | null;
  /** Where the recorded operations of the current batch are. */
  declare readonly tape: Tape;
  /** Epochs asked for. */
  declare readonly nEpochs: number;
  /** The epoch numbers to do; a callback may change them in `beforeFit`. */
  declare epochs: number[];
  /** The number of the epoch. */
  declare epoch: number;
  /** Whether the current pass trains. */
  declare training: boolean;
  /** The loader of the current pass. */
  declare dl: Loader;
  /** The number of the batch in its pass. */
  declare iter: number;
  /** What the loader gave and callbacks made of it: inputs, then targets. Its tensors live until the batch ends. */
  declare batch: Batch;
  /** What the model gave for the batch. */
  // deno-lint-ignore no-explicit-any
  declare preds: any;
  /** The loss of the batch, a scalar. */
  declare loss: Tensor;

  // Tools, which the callbacks' package attaches.
  /**
   * Trains on rising learning rates, writes the plot where asked, and says which rate is promising; the model is as
   * before afterwards.
   */
  declare lrFind: (options?: LRFindOptions) => Promise<LRFinder>;
  /** Predictions and targets of the evaluation data, with these callbacks besides the learner's. */
  declare capturePreds: (cbs?: Callback[]) => Promise<[preds: HostArray, targets: HostArray]>;
  /** Mean predictions over the evaluation data as it is and changed by each of these, and the targets. */
  declare tta: (...transforms: BatchTransform[]) => Promise<[preds: HostArray, targets: HostArray]>;
  /** Tells each direct part of the model with its shapes, parameters and MFLOP for one batch. */
  declare summary: (log?: (line: string) => void) => Promise<SummaryRow[]>;
  /** The first images of a training batch as the model would see them, as an SVG document. */
  declare showImageBatch: (options?: ShowBatchOptions) => Promise<string>;

  /**
   * Makes a learner; nothing runs before {@link fit}.
   * @param model what is trained
   * @param dls data to train on and to evaluate on
   */
  constructor(model: M, dls: DataLoaders, options: LearnerOptions = {}) {
    const { lossFunc = F.mseLoss, lr = 0.1, cbs = [], optFunc } = options;
    this.model = model;
    this.dls = dls;
    this.lossFunc = lossFunc;
    this.lr = lr;
    this.cbs = cbs.slice();
    this.optFunc = optFunc === undefined ? (params, lr) => new SGD(params, { lr }) : optFunc;
  }

  /** The phases that this learner leaves to callbacks. */
  get callbackPhases(): readonly LearnerPhase[] {
    return ["predict", "getLoss", "backward", "step", "zeroGrad"];
  }
  /** Sets `preds` from `batch`. */
  predict(): Done {
    return this.callback("predict");
  }
  /** Sets `loss` from `preds` and `batch`. */
  getLoss(): Done {
    return this.callback("getLoss");
  }
  /** Adds the gradients of `loss` to the parameters'. */
  backward(): Done {
    return this.callback("backward");
  }
  /** Changes the parameters. */
  step(): Done {
    return this.callback("step");
  }
  /** Clears the gradients. */
  zeroGrad(): Done {
    return this.callback("zeroGrad");
  }

  /**
   * Trains and evaluates.
   * @param nEpochs how often, a whole number from 0 on; default 1
   * @throws Error where it is another, options leave nothing to do, a fit of this learner or a training of its model is running, callbacks do not fit the learner,
   * a loader has no batch, or a training loss is not finite; what is thrown in the loop, after cleaning up, with later
   * errors as its `cause`.
   */
  async fit(nEpochs = 1, options: FitOptions = {}): Promise<void> {
    const fit = this.#begin(nEpochs, options);
    const { train = true, valid = true } = options;
    try {
      await this.#within(fit, "Fit", async () => {
        for (fit.epoch of fit.epochs) {
          if (train) await this.#piece(fit, () => this.oneEpoch(true));
          if (valid) await this.#piece(fit, () => this.oneEpoch(false));
        }
      });
    } finally {
      await fit.lossesRead();
      while (this.current !== fit) await this.current.ended;
      this.#end(fit);
    }
  }

  /** One pass over the training or validation data. */
  async oneEpoch(train: boolean): Promise<void> {
    const fit = this.current;
    fit.training = train;
    fit.dl = train ? this.dls.train : this.dls.valid;
    if (fit.train && !fit.trial) this.model.train(train);
    await this.#within(fit, "Epoch", async () => {
      fit.beginPass();
      for await (const batch of fit.dl.batches(fit.iter)) {
        fit.beginBatch(batch);
        const accumulating = !train || fit.wraps("zeroGrad") || this.model.parameters().some((p) => p.grad);
        let done = false;
        await this.#within(fit, "Batch", async () => {
          await this.oneBatch();
          done = true;
        }).finally(() => {
          if (!done && !accumulating) this.model.zeroGrad(); // a cancelled batch leaves the next one nothing
          fit.endBatch();
        });
        await this.#piece(fit, breathe);
        fit.checkLosses();
      }
      await fit.endPass();
    });
  }

  /** The phases of one batch. */
  async oneBatch(): Promise<void> {
    const fit = this.current;
    if (!fit.runModel) throw new CancelBatchException();
    const phase = (name: LearnerPhase) => this.#piece(fit, () => this.within(name, () => this[name]()));
    const event = (name: LearnerEvent) => this.#piece(fit, () => this.callback(name));
    await phase("predict");
    await event("afterPredict");
    await phase("getLoss");
    await event("afterLoss");
    if (!fit.training) return;
    await phase("backward");
    await event("afterBackward");
    await phase("step");
    await event("afterStep");
    await phase("zeroGrad");
  }

  /**
   * Runs `body` as the loop runs a phase: inside what callbacks have put around it; `predict` and `getLoss` also in the
   * model's mode of this pass, and recorded while training. This holds for the synchronous part of `body`: an async
   * phase calls the model in another `within` after an `await`.
   */
  within(phase: LearnerPhase, body: PhaseBody): Done {
    const fit = this.current, run = fit.wrapped(phase, body);
    if (phase !== "predict" && phase !== "getLoss") return fit.scoped(run);
    const recorded = fit.training ? () => fit.record(run) : run;
    return fit.scoped(() => withMode(this.model, fit.training, recorded));
  }

  /** Calls a method of every callback that has it, in ascending order; gives a promise only where one of them does. */
  callback(name: LearnerEvent | LearnerPhase): Done {
    const fit = this.current, cbs = fit.cbs.filter((cb) => cb[name]);
    const call = (cb: Callback) => fit.scoped(() => cb[name]!(this));
    for (const [i, cb] of cbs.entries()) {
      const done = call(cb);
      if (!done) continue;
      return (async () => {
        await this.#piece(fit, () => done);
        for (const later of cbs.slice(i + 1)) await this.#piece(fit, () => call(later));
      })();
    }
  }

  /** Lets tensors outlive the batch that made them, until the next call, the next fit or {@link releaseKept}. */
  keep(...tensors: Tensor[]): void {
    this.current.keep(tensors);
  }
  /** Frees what {@link keep} holds. */
  releaseKept(): void {
    this.current.freeKept();
  }
  /** Frees the optimiser and what callbacks kept; the model stays. */
  dispose(): void {
    this.releaseKept();
    this.opt?.dispose();
    this.opt = null;
  }

  async #within(fit: Fit, name: keyof typeof CANCEL, body: () => Promise<void>): Promise<void> {
    const thrown: unknown[] = [];
    try {
      await this.#piece(fit, () => this.callback(`before${name}`));
      await this.#piece(fit, body);
      await this.#piece(fit, () => this.callback(`after${name}`));
    } catch (error) {
      if (!(error instanceof CANCEL[name])) thrown.push(error);
    }
    for (const cb of fit.cbs) {
      try {
        await this.#piece(fit, () => fit.scoped(() => cb[`cleanup${name}`]?.(this)));
      } catch (error) {
        thrown.push(error);
      }
    }
    if (thrown.length) throw firstThrown(thrown);
  }

  /** Runs a piece of a fit; waits for it, and for the trials that began meanwhile. */
  async #piece(fit: Fit, body: () => Done): Promise<void> {
    let done: Done = undefined;
    try {
      done = this.#asCurrent(fit, body);
      await done;
    } finally {
      while (this.current !== fit) await this.current.ended;
      if (done) fit.adopt();
    }
  }

  /** Runs the synchronous part of `body` with this fit as the current one; a trial that begins in it becomes that. */
  #asCurrent(fit: Fit, body: () => Done): Done {
    const other = this.current;
    this.current = fit;
    try {
      return body();
    } finally {
      if (this.current === fit) this.current = other;
    }
  }

  /** Makes the fit, or throws before anything is touched. */
  #begin(nEpochs: number, options: FitOptions): Fit {
    checkOptions(nEpochs, options);
    const { trial = false, cbs = [], lr = this.lr, finite = !trial, runModel = true } = options;
    const train = (options.train ?? true) && runModel;
    const { current: before, model } = this;
    if (before.running && !trial) {
      throw new Error(
        "fit: a fit of this learner is running. Wait for it, or give { trial: true } to only look",
      );
    }
    if (train && inTraining.has(model)) {
      throw new Error("fit: another fit is training this model. Wait for it");
    }
    const taking = this.cbs.filter((cb) => !trial || cb.inTrials(options.train ?? true)).concat(cbs);
    const sorted = Array.from(new Set(taking)).sort((a, b) => a.order - b.order);
    if (runModel) checkCallbacks(this, sorted, train, Learner.prototype);
    const own = train && this.optFunc ? this.optFunc(model.parameters(), lr) : null;
    if (!trial) {
      before.freeKept();
      if (own) before.opt?.dispose();
      this.#fits = [];
    }
    if (train) inTraining.add(model);
    this.current = new Fit({ nEpochs, cbs: sorted, train, trial, runModel, finite, opt: own ?? before.opt });
    this.current.running = true;
    this.#fits.push(this.current);
    return this.current;
  }

  #end(fit: Fit): void {
    if (fit.train) {
      inTraining.delete(this.model);
      this.model.zeroGrad();
    }
    if (fit.trial) {
      this.#fits = this.#fits.filter((x) => x !== fit);
      this.current = this.#fits.at(-1)!;
      fit.freeKept();
      if (fit.train && this.optFunc) fit.opt?.dispose();
    }
    fit.end();
  }
}

/** What a learner shows of its current fit. */
const SHOWN = [
  "opt",
  "tape",
  "nEpochs",
  "epochs",
  "epoch",
  "training",
  "dl",
  "iter",
  "batch",
  "preds",
  "loss",
] as const;
for (const name of SHOWN) {
  Object.defineProperty(Learner.prototype, name, {
    get(this: Learner): unknown {
      return this.current[name];
    },
    set(this: Learner, value: unknown): void {
      Object.assign(this.current, { [name]: value });
    },
  });
}
