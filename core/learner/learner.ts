/** The loop (miniai's `learner.py`): everything but its order is left to callbacks or subclasses. */
import { breathe } from "../event_loop.ts";
import { engine, tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { Tape } from "../autograd/tape.ts";
import type { Batch, DataLoaders, Loader } from "../data/loader.ts";
import * as F from "../nn/functional.ts";
import type { Module } from "../nn/module.ts";
import type { OptFunc, Optimizer } from "../optim/optimizer.ts";
import { SGD } from "../optim/sgd.ts";
import { type Callback, type LearnerEvent, type LearnerPhase, methodsOf } from "./callback.ts";
import { CancelBatchException, CancelEpochException, CancelFitException } from "./cancel.ts";

/** From predictions and the rest of the batch to a scalar. */
// deno-lint-ignore no-explicit-any
export type LossFunc = (preds: any, ...targets: any[]) => Tensor;

/** Options of {@link Learner}. */
export interface LearnerOptions {
  /** Default {@link F.mseLoss}. */
  lossFunc?: LossFunc;
  /** Default 0.1. */
  lr?: number;
  cbs?: Callback[];
  /** Makes the optimiser anew for each fit; null for inference only. Default SGD. */
  optFunc?: OptFunc | null;
}

/** Options of {@link Learner.fit}. */
export interface FitOptions {
  /** Whether to train; default true. */
  train?: boolean;
  /** Whether to evaluate after each epoch; default true. */
  valid?: boolean;
  /** Callbacks for this fit alone. */
  cbs?: Callback[];
  /** Default the learner's. */
  lr?: number;
}

const CANCEL = {
  Fit: CancelFitException,
  Epoch: CancelEpochException,
  Batch: CancelBatchException,
} as const;

/**
 * Runs a model over data. The phases of a batch (`predict`, `getLoss`, `backward`, `step`, `zeroGrad`) are callbacks'
 * work here; {@link TrainLearner} does them itself. Source: miniai 09_learner.
 */
export class Learner {
  readonly lossFunc: LossFunc;
  lr: number;
  cbs: Callback[];
  optFunc: OptFunc | null;
  /** The optimiser of the current or last fit. */
  opt: Optimizer | null = null;
  /** Where the recorded operations of the current batch are. */
  tape: Tape = new Tape();
  nEpochs = 0;
  /** The epoch numbers of the fit; a callback may change them in `beforeFit`. */
  epochs: number[] = [];
  epoch = 0;
  /** Whether the current epoch trains. */
  training = false;
  /** The current loader. */
  dl!: Loader;
  /** Batches of the first epoch that are done already; set by a callback that resumes. */
  skip = 0;
  /** The number of the batch in its epoch. */
  iter = 0;
  batch!: Batch;
  // deno-lint-ignore no-explicit-any
  preds: any;
  loss!: Tensor;
  /** The gradient of the loss that the backward pass begins with; 1 where there is none. */
  seed: Tensor | undefined;
  #kept: Tensor[] = [];

  constructor(readonly model: Module, readonly dls: DataLoaders, options: LearnerOptions = {}) {
    const { lossFunc = F.mseLoss, lr = 0.1, cbs = [] } = options;
    this.lossFunc = lossFunc;
    this.lr = lr;
    this.cbs = [...cbs];
    this.optFunc = options.optFunc === undefined ? (params, lr) => new SGD(params, { lr }) : options.optFunc;
  }

  /** Calls a method of every callback that has it, in ascending order. */
  async callback(name: LearnerEvent | LearnerPhase): Promise<void> {
    for (const cb of this.cbs.toSorted((a, b) => a.order - b.order)) {
      await methodsOf(cb)[name]?.(this);
    }
  }

  predict(): void | Promise<void> {
    return this.callback("predict");
  }
  getLoss(): void | Promise<void> {
    return this.callback("getLoss");
  }
  backward(): void | Promise<void> {
    return this.callback("backward");
  }
  step(): void | Promise<void> {
    return this.callback("step");
  }
  zeroGrad(): void | Promise<void> {
    return this.callback("zeroGrad");
  }

  /** Trains and evaluates for n epochs. Callbacks given here are removed in any case. */
  async fit(nEpochs = 1, { train = true, valid = true, cbs = [], lr }: FitOptions = {}): Promise<void> {
    this.cbs.push(...cbs);
    try {
      this.nEpochs = nEpochs;
      this.epochs = Array.from({ length: nEpochs }, (_, i) => i);
      if (this.optFunc) {
        this.opt?.dispose();
        this.opt = this.optFunc(this.model.parameters(), lr ?? this.lr);
      }
      await this.#within("Fit", async () => {
        for (this.epoch of this.epochs) {
          if (train) await this.oneEpoch(true);
          if (valid) await this.oneEpoch(false);
        }
      });
    } finally {
      this.cbs = this.cbs.filter((cb) => !cbs.includes(cb));
    }
  }

  /** One pass over the training or validation data. */
  async oneEpoch(train: boolean): Promise<void> {
    this.training = train;
    this.model.train(train);
    this.dl = train ? this.dls.train : this.dls.valid;
    await this.#within("Epoch", async () => {
      this.iter = train ? this.skip : 0;
      for await (this.batch of this.dl.batches(this.iter)) {
        await this.#scoped(() => this.#within("Batch", () => this.oneBatch()));
        this.iter++;
        await breathe();
      }
    });
    if (train) this.skip = 0;
  }

  /** The phases of one batch. */
  async oneBatch(): Promise<void> {
    await this.#recorded(() => this.predict());
    await this.callback("afterPredict");
    await this.#recorded(() => this.getLoss());
    await this.callback("afterLoss");
    if (!this.training) return;
    await this.backward();
    await this.callback("afterBackward");
    await this.step();
    await this.callback("afterStep");
    await this.zeroGrad();
  }

  /** Lets tensors outlive the batch that made them, until the next call or {@link releaseKept}. */
  keep(...tensors: Tensor[]): void {
    this.releaseKept();
    this.#kept = tensors.map((t) => tf.keep(t));
  }

  /** Frees what {@link keep} holds. */
  releaseKept(): void {
    tf.dispose(this.#kept);
    this.#kept = [];
  }

  /** Frees the optimiser and what callbacks kept; the model stays. */
  dispose(): void {
    this.releaseKept();
    this.opt?.dispose();
    this.opt = null;
  }

  async #within(name: keyof typeof CANCEL, body: () => Promise<void>): Promise<void> {
    try {
      await this.callback(`before${name}`);
      await body();
      await this.callback(`after${name}`);
    } catch (error) {
      if (!(error instanceof CANCEL[name])) throw error;
    } finally {
      await this.callback(`cleanup${name}`);
    }
  }

  /** Records operations while training, for the backward pass. */
  async #recorded(phase: () => void | Promise<void>): Promise<void> {
    if (!this.training) return await phase();
    this.tape.start();
    try {
      await phase();
    } finally {
      this.tape.stop();
    }
  }

  /** Frees every tensor made in body that nobody kept. */
  async #scoped(body: () => Promise<void>): Promise<void> {
    engine.startScope("batch");
    try {
      await body();
    } finally {
      this.tape.clear();
      engine.endScope();
    }
  }
}

/** A learner that does the phases itself; source: miniai 09_learner. */
export class TrainLearner extends Learner {
  override predict(): void | Promise<void> {
    this.preds = this.model.call(this.batch[0]);
  }
  override getLoss(): void | Promise<void> {
    this.loss = this.lossFunc(this.preds, ...this.batch.slice(1));
  }
  override backward(): void | Promise<void> {
    this.tape.backward(this.loss, this.seed);
  }
  override step(): void | Promise<void> {
    this.opt!.step();
  }
  override zeroGrad(): void | Promise<void> {
    this.opt!.zeroGrad();
  }
}

/** A {@link TrainLearner} that multiplies gradients by `mom` in place of clearing them; source: miniai 09_learner. */
export class MomentumLearner extends TrainLearner {
  /** @param mom share of the gradient that stays; default 0.85 */
  constructor(model: Module, dls: DataLoaders, options: LearnerOptions = {}, readonly mom = 0.85) {
    super(model, dls, options);
  }
  override zeroGrad(): void {
    for (const p of this.model.parameters()) p.scaleGrad(this.mom);
  }
}
