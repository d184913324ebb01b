/** Averages of the parameters: AverageCB and EMACB. */
import {
  Callback,
  copyOf,
  COUNT,
  type Json,
  type Learner,
  type Module,
  noGrad,
  type Parameter,
  requireSchema,
  requireSynchronous,
  type Tensor,
  tf,
} from "../core/mod.ts";
import { ORDER } from "./order.ts";

/**
 * Keeps an average of the parameters and evaluates with it. It moves once a step of the optimiser; subclasses say by how
 * much. Training goes on with the parameters themselves; {@link AverageCB.apply} puts the average into the model. A fit
 * of another model begins another average. Of several averages the one added first is evaluated with.
 */
export abstract class AverageCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.emaCB;
  /** The model whose average this is. */
  #model: Module | null = null;
  readonly #average = new Map<Parameter, Tensor>();
  /** The parameters' own values while the average is applied. */
  readonly #own = new Map<Parameter, Tensor>();
  /** How often the average has moved. */
  #moves = 0;
  /** Whether a fit is training the model. */
  #training = false;

  /** Share of the average that stays at the nth move, from 0; below 1. */
  protected abstract decayAt(n: number): number;

  /** How often the average has moved; settable, to go on with an average from elsewhere. */
  get moves(): number {
    return this.#moves;
  }
  set moves(moves: number) {
    if (!Number.isInteger(moves) || moves < 0) {
      throw new RangeError(`${this.stateName}: moves is a whole number of at least 0, not ${moves}`);
    }
    this.#moves = moves;
  }

  /** Begins the average where there is none, moves it after each step, and lends it to predictions of evaluation. */
  override beforeFit(learn: Learner): void {
    const fit = learn.current;
    fit.wrap("predict", (predict) => () => {
      return learn.training || learn.model !== this.#model ? predict() : this.#lend(predict);
    });
    if (!fit.train) return;
    this.#training = true;
    free(this.#own);
    if (this.#model !== learn.model) this.#begin(learn.model);
    fit.wrap("step", (step) => () => {
      const done = step();
      return done ? done.then(() => this.#move()) : this.#move();
    });
  }

  #begin(model: Module): void {
    this.dispose();
    this.#model = model;
    for (const p of model.parameters()) this.#average.set(p, tf.keep(copyOf(p)));
  }

  #move(): void {
    const decay = this.decayAt(this.#moves++);
    for (const [p, average] of this.#average) {
      const next = noGrad(() => tf.tidy(() => tf.add(tf.mul(average, decay), tf.mul(p, 1 - decay))));
      this.#average.set(p, tf.keep(next));
      average.dispose();
    }
  }

  /** The parameters may be changed again. */
  override cleanupFit(learn: Learner): void {
    if (learn.current.train) this.#training = false;
  }

  /**
   * Runs `body` with the average in place of the parameters, also while a fit trains them: nothing is copied.
   * @param body synchronous, such as a call of the model
   * @throws Error for an asynchronous body, most of which would run after the parameters are back.
   *
   * @example
   * ```ts
   * import { type EMACB, Module, type Tensor, type UNet } from "../mod.ts";
   * // Predicts with an average of a model's weights, for `sample` beside a fit.
   * class Averaged extends Module<[Tensor, number], Tensor> {
   *   constructor(readonly model: UNet, readonly ema: EMACB) {
   *     super();
   *   }
   *   override forward(x: Tensor, t: number): Tensor {
   *     return this.ema.withAverage(() => this.model.call(x, t));
   *   }
   * }
   * ```
   */
  withAverage<T>(body: () => T): T {
    return this.#lend(() => requireSynchronous("withAverage", body()));
  }

  /** Lends the average to the parameters while the synchronous part of `body` runs. */
  #lend<T>(body: () => T): T {
    this.#exchange();
    try {
      return body();
    } finally {
      this.#exchange();
    }
  }

  /** Exchanges what parameters and average hold; nothing is copied. */
  #exchange(): void {
    for (const [p, average] of this.#average) [p.dataId, average.dataId] = [average.dataId, p.dataId];
  }

  /** How often the average has moved. */
  override state(): Json {
    return this.#moves;
  }

  /** Goes on with its warm-up. */
  override loadState(state: Json): void {
    this.#moves = requireSchema(COUNT, state, "EMACB's state");
  }

  /** The average, by the place of the parameter. */
  override stateTensors(): Record<string, Tensor> {
    return Object.fromEntries([...this.#average.values()].map((average, i) => [`average.${i}`, average]));
  }

  /**
   * Goes on with a saved average.
   * @throws Error where it is of another model.
   */
  override loadTensors(tensors: Record<string, Tensor>): void {
    // Checkpoints of before there was a warm-up hold no state.
    this.#moves = Number.MAX_SAFE_INTEGER;
    [...this.#average].forEach(([p, average], i) => {
      const saved = tensors[`average.${i}`];
      if (!saved || !tf.util.arraysEqual(saved.shape, p.shape)) {
        throw new Error(`${this.stateName}: the checkpoint holds no average of this model`);
      }
      average.dispose();
      this.#average.set(p, tf.keep(copyOf(saved)));
    });
  }

  /** While something is only tried, the average is evaluated with, and stays as it is. */
  override inTrials(training: boolean): boolean {
    return !training;
  }

  /**
   * Makes the average the model's parameters, until {@link restore} or for good; before the first fit nothing happens.
   * @throws Error while a fit trains them: it would go on from the average. {@link withAverage} lends it.
   */
  apply(): void {
    this.#requireNoTraining("apply");
    for (const [p, average] of this.#average) {
      if (!this.#own.has(p)) this.#own.set(p, tf.keep(copyOf(p)));
      p.assign(copyOf(average));
    }
  }

  /**
   * Takes {@link apply} back: the parameters are those of training again. Nothing happens after another fit has begun.
   * @throws Error while a fit trains them.
   */
  restore(): void {
    this.#requireNoTraining("restore");
    for (const [p, own] of this.#own) p.assign(copyOf(own));
    free(this.#own);
  }

  #requireNoTraining(method: string): void {
    if (!this.#training) return;
    throw new Error(
      `${this.stateName}.${method}: a fit is training these weights. Wait for it, or use withAverage`,
    );
  }

  /** Frees the average, and what {@link apply} put aside; the next fit that trains begins another. */
  dispose(): void {
    free(this.#average);
    free(this.#own);
    this.#model = null;
    this.#moves = 0;
  }
}

/**
 * Keeps an exponential moving average of the parameters and evaluates with it (Polyak averaging; Ho et al. 2020 use
 * decay 0.9999). It moves once a step of the optimiser, by min(decay, (1 + n) / (10 + n)) at the nth from 0, so that it
 * soon leaves the first weights. Training goes on with the parameters themselves; {@link AverageCB.apply} puts the average
 * into the model. A fit of another model begins another average.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   EMACB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const model = new Linear(1, 1), ema = new EMACB(0.9);
 * await new TrainLearner(model, dls, { cbs: [new DeviceCB(), ema] }).fit(5);
 * const [last] = await model.weight.data();
 * ema.apply(); // to save or to use the average
 * assert((await model.weight.data())[0] !== last);
 * ema.restore();
 * assert((await model.weight.data())[0] === last);
 * ema.dispose();
 * ```
 */
export class EMACB extends AverageCB {
  /** Share of the average that stays at each step. */
  readonly decay: number;

  /**
   * Begins an average with the first fit that trains.
   * @param decay share of the average that stays at each step.
   * @throws RangeError outside [0, 1).
   */
  constructor(decay = 0.999) {
    super();
    if (!(decay >= 0 && decay < 1)) throw new RangeError(`An average's decay lies in [0, 1), not ${decay}`);
    this.decay = decay;
  }

  /** Less at first, so that the average soon leaves the first weights. */
  protected override decayAt(n: number): number {
    return Math.min(this.decay, (1 + n) / (10 + n));
  }

  /** With the decay: an average goes on with its own. */
  override get stateName(): string {
    return `EMACB(${this.decay})`;
  }
}

function free(tensors: Map<unknown, Tensor>): void {
  tensors.forEach((x) => x.dispose());
  tensors.clear();
}
