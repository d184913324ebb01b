/** The loop (miniai's `learner.py`): everything but its order is left to callbacks or subclasses. */
import { contextVariable } from "../context.ts";
import { breathe } from "../event_loop.ts";
import type { Tape } from "../autograd/tape.ts";
import type { Tensor } from "../tf.ts";
import type { HostArray } from "../data/array.ts";
import type { Batch, DataLoaders, Loader } from "../data/loader.ts";
import * as F from "../nn/functional.ts";
import { inMode, type Module } from "../nn/module.ts";
import type { OptFunc, Optimizer } from "../optim/optimizer.ts";
import { SGD } from "../optim/sgd.ts";
import { branch, copyOfGenerator, defaultGenerator, Generator } from "../random.ts";
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
  /** Learning rate, at least 0; default 0.1. */
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

/** What takes part in a fit that is running, and in no other: models that are trained, optimisers, callbacks. */
const inUse = new WeakSet<object>();

/** A fit whose code is running, and the one that began it. */
interface Running {
  learner: Learner;
  fit: Fit;
  outer: Running | undefined;
}
const running = contextVariable<Running>();

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
  /** The last fit that was no trial. */
  #last = new Fit({
    nEpochs: 0,
    cbs: [],
    train: false,
    trial: false,
    runModel: true,
    finite: false,
    opt: null,
    draws: new Generator(),
    uses: [],
  });
  /** The fits that are running, in the order in which they began: each waits for the later ones. */
  #running: Fit[] = [];

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
  /**
   * What the loader gave and callbacks made of it: inputs, then targets; empty before the first batch. Its tensors live until
   * the batch ends, unless {@link keep} or `tf.keep` holds them.
   */
  declare batch: Batch;
  /** What the model gave for the batch, after `predict`; undefined before the first. Lives as long as `batch`. */
  // deno-lint-ignore no-explicit-any
  declare preds: any;
  /** The loss of the batch, a scalar, after `getLoss`; undefined before the first. Lives as long as `batch`. */
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

  /**
   * Everything of the fit whose callback or phase asks, also after an `await`; of the current or last one for all others,
   * trials aside.
   */
  get current(): Fit {
    for (let asks = running.get(); asks; asks = asks.outer) {
      if (asks.learner === this && asks.fit.running) return asks.fit;
    }
    return this.#last;
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
  /** Does what {@link zeroGrad} is for where a batch was cancelled after its step, without callbacks. */
  protected clearGradients(): Done {
    this.model.zeroGrad();
  }

  /**
   * Trains and evaluates.
   * @param nEpochs how often, a whole number from 0 on; default 1
   * @throws RangeError for another number; Error where options leave nothing to do, callbacks do not fit the learner, or
   *   the learner, the model that is to be trained, a callback or the optimiser is in another fit that is running:
   *   nothing is touched then.
   * @throws Error where a loader has no batch, or a training loss is not finite; what is thrown in the loop, after
   *   cleaning up, with later errors as its `cause`.
   */
  async fit(nEpochs = 1, options: FitOptions = {}): Promise<void> {
    const [fit, giveBack] = this.#begin(nEpochs, options);
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
      await this.#turnOf(fit);
      this.#end(fit);
      giveBack();
    }
  }

  /** One pass over the training or validation data. */
  async oneEpoch(train: boolean): Promise<void> {
    const fit = this.current;
    fit.training = train;
    fit.dl = train ? this.dls.train : this.dls.valid;
    if (fit.train && !fit.trial) this.model.train(train);
    fit.beginDraws();
    const pass = async () => {
      fit.beginPass();
      for await (const batch of fit.batches()) {
        fit.beginBatch(batch);
        await this.#batch(fit);
        await this.#piece(fit, breathe);
        fit.checkLosses();
      }
      await fit.endPass();
    };
    try {
      await this.#within(fit, "Epoch", pass);
    } finally {
      fit.endDraws();
    }
  }

  /** A batch with its events; one that is cancelled leaves the next one no gradients of its own. */
  async #batch(fit: Fit): Promise<void> {
    // What puts something around zeroGrad takes care of the gradients that it keeps.
    const holds = fit.training && fit.runModel && !fit.wraps("zeroGrad");
    const parameters = holds ? this.model.parameters() : [];
    fit.holdGradients(parameters);
    try {
      await this.#within(fit, "Batch", () => this.oneBatch());
    } finally {
      fit.releaseGradients(parameters);
      if (holds && fit.stage === "step") await this.clearGradients();
      fit.endBatch();
    }
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
    fit.stage = "step";
    await phase("step");
    await event("afterStep");
    await phase("zeroGrad");
    fit.stage = "cleared";
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
    return fit.scoped(() => inMode(this.model, fit.training, recorded));
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
  /**
   * Frees the optimiser and what callbacks kept; the model stays.
   * @throws Error while a fit is running.
   */
  dispose(): void {
    if (this.#running.length) throw new Error("dispose: a fit of this learner is running. Wait for it");
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

  /** Runs a piece of a fit as its own work; waits for it, and for the trials that began meanwhile. */
  async #piece(fit: Fit, body: () => Done): Promise<void> {
    let done: Done = undefined;
    try {
      const outer = running.get(), inside = outer?.fit === fit ? outer : { learner: this, fit, outer };
      done = running.run(inside, () => fit.drawing(body));
      await done;
    } finally {
      await this.#turnOf(fit);
      if (done) fit.adopt();
    }
  }

  /** Waits until no fit that began after this one is running. */
  async #turnOf(fit: Fit): Promise<void> {
    for (let last = this.#running.at(-1); last && last !== fit; last = this.#running.at(-1)) await last.ended;
  }

  /**
   * Makes the fit, or throws before anything is touched.
   * @returns the fit, and what lets the default generator go on where its draws end
   */
  #begin(nEpochs: number, options: FitOptions): [fit: Fit, giveBack: () => void] {
    checkOptions(nEpochs, options);
    const { trial = false, cbs: given = [], lr = this.lr, finite = !trial, runModel = true } = options;
    const train = (options.train ?? true) && runModel, { model } = this, before = this.#last;
    if (this.#running.length && !trial) {
      throw new Error(
        "fit: a fit of this learner is running. Wait for it, or give { trial: true } to only look",
      );
    }
    if (train && inUse.has(model)) {
      throw new Error("fit: another fit is training this model. Wait for it");
    }
    const own = this.cbs.filter((cb) => !trial || cb.inTrials(options.train ?? true));
    const cbs = Array.from(new Set(own.concat(given))).sort((a, b) => a.order - b.order);
    if (runModel) checkCallbacks(this, cbs, train, Learner.prototype);
    const alone = (trial ? given : cbs).filter((cb) => !cb.shareable);
    const taken = alone.find((cb) => inUse.has(cb));
    if (taken) {
      throw new Error(
        `fit: another fit that is running has this ${taken.constructor.name}, which would mix what it keeps of the two. ` +
          `Give each learner its own, or wait`,
      );
    }
    const opt = train && this.optFunc ? this.optFunc(model.parameters(), lr) : null;
    if (opt && (inUse.has(opt) || (trial && opt === before.opt))) {
      throw new Error(
        "fit: optFunc gave an optimiser that is in use, and would be stepped by two fits. Make a new one at each call",
      );
    }
    if (!trial) {
      before.freeKept();
      if (opt && opt !== before.opt) before.opt?.dispose();
    }
    const [draws, giveBack] = trial
      ? [copyOfGenerator(defaultGenerator), () => {}]
      : branch(defaultGenerator);
    const uses = [...alone, train ? model : null, opt].filter((x) => x !== null);
    const fit = new Fit({
      nEpochs,
      cbs,
      train,
      trial,
      runModel,
      finite,
      opt: opt ?? before.opt,
      draws,
      uses,
    });
    fit.running = true;
    uses.forEach((x) => inUse.add(x));
    this.#running.push(fit);
    if (!trial) this.#last = fit;
    return [fit, giveBack];
  }

  #end(fit: Fit): void {
    fit.uses.forEach((x) => inUse.delete(x));
    if (fit.train) this.model.zeroGrad();
    this.#running = this.#running.filter((x) => x !== fit);
    if (fit.trial) {
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
