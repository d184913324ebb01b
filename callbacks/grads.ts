/** Callbacks between the backward pass and the step: AccumulateGradCB, GradientClipCB. */
import { Callback, type Learner, tf } from "../core/mod.ts";

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
 * import { AccumulateGradCB } from "../mod.ts";
 * assert(new AccumulateGradCB(4).batches === 4);
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

  #due(learn: Learner): boolean {
    return this.#waiting >= this.batches || learn.iter === learn.dl.length - 1;
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
 * import { GradientClipCB } from "../mod.ts";
 * assert(new GradientClipCB(1).maxNorm === 1);
 * ```
 */
export class GradientClipCB extends Callback {
  override order = -10;
  #restore: (() => void) | null = null;
  /** The norm before clipping, of the last batch. */
  norm = 0;

  /** @throws RangeError unless maxNorm is positive. */
  constructor(readonly maxNorm: number) {
    super();
    if (!(maxNorm > 0)) {
      throw new RangeError(`A gradient's norm is clipped to a positive number, not ${maxNorm}`);
    }
  }

  beforeFit(learn: Learner): void {
    this.#restore = wrapStep(learn, (step) => async () => {
      await this.#clip(learn);
      await step();
    });
  }

  async #clip(learn: Learner): Promise<void> {
    const parameters = learn.model.parameters().filter((p) => p.grad);
    const squares = tf.tidy(() => tf.addN(parameters.map((p) => tf.sum(tf.square(p.grad!)))));
    this.norm = Math.sqrt((await squares.data())[0]);
    squares.dispose();
    if (this.norm > this.maxNorm) { for (const p of parameters) p.scaleGrad(this.maxNorm / this.norm); }
  }

  cleanupFit(): void {
    this.#restore?.();
  }
}
