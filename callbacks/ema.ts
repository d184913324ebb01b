/** EMACB. */
import { Callback, copyOf, type Learner, noGrad, type Parameter, type Tensor, tf } from "../core/mod.ts";

/**
 * Keeps an exponential moving average of the parameters and evaluates with it (Polyak averaging; Ho et al. 2020 use
 * decay 0.9999). Training goes on with the parameters themselves; {@link apply} puts the average into the model.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DataLoaders, DeviceCB, EMACB, HostArray, Linear, TrainLearner, useDevice } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
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
  #average = new Map<Parameter, Tensor>();
  #own = new Map<Parameter, Tensor>();

  /** @param decay share of the average that stays at each step. @throws RangeError outside [0, 1). */
  constructor(readonly decay = 0.999) {
    super();
    if (!(decay >= 0 && decay < 1)) throw new RangeError(`An average's decay lies in [0, 1), not ${decay}`);
  }

  beforeFit(learn: Learner): void {
    if (this.#average.size) return;
    for (const p of learn.model.parameters()) this.#average.set(p, tf.keep(copyOf(p)));
  }

  afterStep(): void {
    for (const [p, average] of this.#average) {
      const next = noGrad(() =>
        tf.tidy(() => tf.add(tf.mul(average, this.decay), tf.mul(p, 1 - this.decay)))
      );
      this.#average.set(p, tf.keep(next));
      average.dispose();
    }
  }

  beforeEpoch(learn: Learner): void {
    if (learn.training) return;
    for (const [p, average] of this.#average) {
      this.#own.set(p, tf.keep(copyOf(p)));
      p.assign(copyOf(average));
    }
  }

  /** Before a checkpoint is saved, which is to hold the parameters themselves. */
  afterEpoch(): void {
    this.#putBack();
  }

  cleanupEpoch(): void {
    this.#putBack();
  }

  #putBack(): void {
    for (const [p, own] of this.#own) p.assign(own);
    this.#own.clear();
  }

  stateTensors(): Record<string, Tensor> {
    return Object.fromEntries([...this.#average.values()].map((average, i) => [`average.${i}`, average]));
  }

  loadTensors(tensors: Record<string, Tensor>): void {
    [...this.#average].forEach(([p, average], i) => {
      const saved = tensors[`average.${i}`];
      if (!saved || !tf.util.arraysEqual(saved.shape, p.shape)) {
        throw new Error("EMACB: the checkpoint holds no average of this model");
      }
      average.dispose();
      this.#average.set(p, tf.keep(copyOf(saved)));
    });
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
