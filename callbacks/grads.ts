/** Callbacks between the backward pass and the step: AccumulateGradCB, GradientClipCB. */
import { Callback, copyOf, type Json, type Learner, type Tensor, tf } from "../core/mod.ts";

/** A learner's step, replaced for a fit. */
type Step = () => void | Promise<void>;

/**
 * Puts something round the learner's step for a fit. The callback that does so last is the outermost: by `order`,
 * clipping is inside unscaling, and both are inside accumulation.
 * @returns puts the step back as its class has it
 */
export function wrapStep(learn: Learner, wrap: (step: Step) => Step): () => void {
  learn.step = wrap(learn.step.bind(learn));
  return () => Reflect.deleteProperty(learn, "step");
}

/**
 * Steps once every n batches, on the mean of their gradients; the last batches of an epoch step with what there is.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   AccumulateGradCB,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), new AccumulateGradCB(2)] });
 * await learn.fit(3);
 * assert(learn.opt!.state().step === 3); // an epoch is two batches
 * ```
 */
export class AccumulateGradCB extends Callback {
  #waiting = 0;
  #restore: (() => void) | null = null;

  /** @param batches whose gradients are averaged. @throws RangeError unless it is a positive whole number. */
  constructor(readonly batches: number) {
    super();
    if (!Number.isInteger(batches) || batches < 1) {
      throw new RangeError(`AccumulateGradCB averages a positive whole number of batches, not ${batches}`);
    }
  }

  beforeFit(learn: Learner): void {
    const restoreStep = wrapStep(learn, (step) => () => {
      this.#waiting++;
      if (!this.#due(learn)) return;
      for (const p of learn.model.parameters()) p.scaleGrad(1 / this.#waiting);
      return step();
    });
    const zeroGrad = learn.zeroGrad.bind(learn);
    learn.zeroGrad = () => {
      if (!this.#due(learn)) return;
      this.#waiting = 0;
      return zeroGrad();
    };
    this.#restore = () => {
      restoreStep();
      Reflect.deleteProperty(learn, "zeroGrad");
    };
  }

  state(): Json {
    return this.#waiting;
  }
  loadState(state: Json): void {
    this.#waiting = state as number;
  }

  /** The gradients that wait for a step, by the parameter's name. */
  stateTensors(learn: Learner): Record<string, Tensor> {
    const waiting = this.#waiting ? [...learn.model.namedParameters()].filter(([, p]) => p.grad) : [];
    return Object.fromEntries(waiting.map(([name, p]) => [name, p.grad!]));
  }
  loadTensors(tensors: Record<string, Tensor>, learn: Learner): void {
    for (const [name, p] of learn.model.namedParameters()) {
      if (tensors[name]) p.setGrad(copyOf(tensors[name]));
    }
  }

  #due(learn: Learner): boolean {
    return this.#waiting >= this.batches || learn.iter + 1 === learn.dl.length;
  }

  cleanupFit(): void {
    this.#restore?.();
    this.#waiting = 0;
  }
}

/**
 * Scales the gradients so that their norm over all parameters is at most `maxNorm` (Pascanu et al. 2013).
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   DataLoaders,
 *   DeviceCB,
 *   GradientClipCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = { images: x, labels: x };
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const clip = new GradientClipCB(1e-3);
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), clip] }).fit(1);
 * assert(await clip.norm() > 1e-3); // before clipping
 * ```
 */
export class GradientClipCB extends Callback {
  override order = -10;
  #restore: (() => void) | null = null;
  #norm: Tensor | null = null;

  /** @throws RangeError unless maxNorm is positive. */
  constructor(readonly maxNorm: number) {
    super();
    if (!(maxNorm > 0)) {
      throw new RangeError(`A gradient's norm is clipped to a positive number, not ${maxNorm}`);
    }
  }

  beforeFit(learn: Learner): void {
    this.#restore = wrapStep(learn, (step) => () => {
      this.#clip(learn);
      return step();
    });
  }

  /** The norm before clipping, of the last batch; NaN before the first. It is read from the device only here. */
  async norm(): Promise<number> {
    return this.#norm ? (await this.#norm.data())[0] : NaN;
  }

  #clip(learn: Learner): void {
    const parameters = learn.model.parameters().filter((p) => p.grad);
    this.#norm?.dispose();
    this.#norm = tf.keep(tf.tidy(() => tf.sqrt(tf.addN(parameters.map((p) => tf.sum(tf.square(p.grad!)))))));
    const factor = tf.tidy(() => tf.minimum(tf.div(this.maxNorm, this.#norm!), 1));
    for (const p of parameters) p.scaleGrad(factor);
    factor.dispose();
  }

  cleanupFit(): void {
    this.#restore?.();
  }
}
