/** EMACB. */
import {
  Callback,
  copyOf,
  type Done,
  type Learner,
  noGrad,
  type Parameter,
  type Tensor,
  tf,
} from "../core/mod.ts";

/**
 * Keeps an exponential moving average of the parameters and evaluates with it (Polyak averaging; Ho et al. 2020 use
 * decay 0.9999). Training goes on with the parameters themselves; {@link apply} puts the average into the model.
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
 * ema.dispose();
 * assert((await model.weight.data())[0] !== last);
 * ```
 */
export class EMACB extends Callback {
  /** Share of the average that stays at each step. */
  readonly decay: number;
  readonly #average = new Map<Parameter, Tensor>();

  /**
   * Begins an average with the first fit.
   * @param decay share of the average that stays at each step. @throws RangeError outside [0, 1).
   */
  constructor(decay = 0.999) {
    super();
    if (!(decay >= 0 && decay < 1)) throw new RangeError(`An average's decay lies in [0, 1), not ${decay}`);
    this.decay = decay;
  }

  /** Begins the average where there is none, and lends it to each prediction of an evaluation. */
  override beforeFit(learn: Learner): void {
    learn.current.wrap("predict", (predict) => () => learn.training ? predict() : this.#withAverage(predict));
    if (this.#average.size) return;
    for (const p of learn.model.parameters()) this.#average.set(p, tf.keep(copyOf(p)));
  }

  /** Moves the average towards the parameters. */
  override afterStep(): void {
    for (const [p, average] of this.#average) {
      const next = noGrad(() =>
        tf.tidy(() => tf.add(tf.mul(average, this.decay), tf.mul(p, 1 - this.decay)))
      );
      this.#average.set(p, tf.keep(next));
      average.dispose();
    }
  }

  /** Lends the average to the parameters while the synchronous part of a phase runs. */
  #withAverage(phase: () => Done): Done {
    const own = Array.from(this.#average.keys(), (p) => [p, tf.clone(p)] as const);
    for (const [p, average] of this.#average) p.assign(tf.clone(average));
    try {
      return phase();
    } finally {
      for (const [p, value] of own) p.assign(value);
    }
  }

  /** The average, by the place of the parameter. */
  override stateTensors(): Record<string, Tensor> {
    return Object.fromEntries([...this.#average.values()].map((average, i) => [`average.${i}`, average]));
  }

  /** Goes on with a saved average. @throws Error where it is of another model. */
  override loadTensors(tensors: Record<string, Tensor>): void {
    [...this.#average].forEach(([p, average], i) => {
      const saved = tensors[`average.${i}`];
      if (!saved || !tf.util.arraysEqual(saved.shape, p.shape)) {
        throw new Error("EMACB: the checkpoint holds no average of this model");
      }
      average.dispose();
      this.#average.set(p, tf.keep(copyOf(saved)));
    });
  }

  /** While something is only tried, the average is evaluated with, and stays as it is. */
  override inTrials(training: boolean): boolean {
    return !training;
  }

  /** Makes the average the model's parameters. */
  apply(): void {
    for (const [p, average] of this.#average) p.assign(copyOf(average));
  }

  /** Frees the average. */
  dispose(): void {
    this.#average.forEach((t) => t.dispose());
    this.#average.clear();
  }
}
