/** AccumulateGradCB. */
import {
  Callback,
  copyOf,
  COUNT,
  type Json,
  type Learner,
  type Parameter,
  perFit,
  requireSchema,
  type Tensor,
  tf,
} from "../core/mod.ts";
import { ORDER } from "./order.ts";

/**
 * Steps once every n batches, on the mean of their gradients; the last batches of an epoch step with what there is.
 * A batch that is cancelled before its step does not count.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   AccumulateGradCB,
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const learn = new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), new AccumulateGradCB(2)] });
 * await learn.fit(3);
 * assert(learn.opt!.state().step === 3); // an epoch is two batches
 * ```
 */
export class AccumulateGradCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.accumulateGradCB;
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;
  /** How many batches' gradients are averaged. */
  readonly batches: number;
  readonly #fit = perFit(() => ({
    /** Batches that wait for a step. */
    waiting: 0,
    /** Their gradients, while those of another are computed. */
    sums: [] as (Tensor | null)[],
    /** Whether the gradients of the batch are among those that wait. */
    counted: true,
    flushing: false,
    /** Whether they have made their step, and are not cleared yet. */
    stepped: false,
  }));

  /**
   * Averages gradients.
   * @param batches whose gradients are averaged.
   * @throws RangeError unless it is a positive whole number.
   */
  constructor(batches: number) {
    super();
    if (!Number.isInteger(batches) || batches < 1) {
      throw new RangeError(`AccumulateGradCB averages a positive whole number of batches, not ${batches}`);
    }
    this.batches = batches;
  }

  /** Holds the step and the clearing of gradients back until enough batches wait. */
  override beforeFit(learn: Learner): void {
    const fit = this.#fit(learn), { current, model } = learn;
    const due = () => fit.flushing || fit.waiting >= this.batches || learn.iter + 1 === learn.dl.length;
    current.wrap("backward", (backward) => () => {
      // The sum of the batches before, until this one counts.
      fit.sums = fit.waiting ? model.parameters().map((p) => takeGrad(p)) : [];
      fit.counted = false;
      return backward();
    });
    current.wrap("step", (step) => () => {
      if (!fit.flushing) {
        model.parameters().forEach((p, i) => addGrad(p, fit.sums[i]));
        fit.sums = [];
        fit.counted = true;
        fit.waiting++;
      }
      if (!due()) return;
      for (const p of model.parameters()) p.scaleGrad(1 / fit.waiting);
      fit.stepped = true;
      return step();
    });
    current.wrap("zeroGrad", (zeroGrad) => () => {
      if (!due()) return;
      fit.waiting = 0;
      fit.stepped = false;
      return zeroGrad();
    });
  }

  /** Takes back the gradients of a batch that was cancelled before its step; after it, clears those that made it. */
  override cleanupBatch(learn: Learner): void {
    const fit = this.#fit(learn);
    if (fit.stepped) {
      fit.waiting = 0;
      fit.stepped = false;
      learn.model.zeroGrad();
    }
    if (fit.counted) return;
    learn.model.parameters().forEach((p, i) => {
      p.zeroGrad();
      addGrad(p, fit.sums[i]);
    });
    fit.sums = [];
    fit.counted = true;
  }

  /** Steps with what is left, where the pass's last batch did not. */
  override async afterEpoch(learn: Learner): Promise<void> {
    const fit = this.#fit(learn);
    if (!learn.training || fit.waiting === 0) return;
    fit.flushing = true;
    await learn.within("step", () => learn.step());
    await learn.within("zeroGrad", () => learn.zeroGrad());
    fit.flushing = false;
  }

  /** With the number of batches: others' gradients would be averaged over another. */
  override get stateName(): string {
    return `AccumulateGradCB(${this.batches})`;
  }
  /** The number of batches that wait for a step. */
  override state(learn: Learner): Json {
    return this.#fit(learn).waiting;
  }
  /** Goes on with as many waiting. */
  override loadState(state: Json, learn: Learner): void {
    this.#fit(learn).waiting = requireSchema(COUNT, state, "AccumulateGradCB's state");
  }

  /** The gradients that wait for a step, by the parameter's name. */
  override stateTensors(learn: Learner): Record<string, Tensor> {
    const tensors: Record<string, Tensor> = {};
    if (this.#fit(learn).waiting === 0) return tensors;
    for (const [name, p] of learn.model.namedParameters()) if (p.grad) tensors[name] = p.grad;
    return tensors;
  }
  /** Puts the waiting gradients back. */
  override loadTensors(tensors: Record<string, Tensor>, learn: Learner): void {
    for (const [name, p] of learn.model.namedParameters()) {
      if (tensors[name]) p.setGrad(copyOf(tensors[name]));
    }
  }
}

/** Takes a parameter's gradient from it. */
function takeGrad(p: Parameter): Tensor | null {
  const { grad } = p;
  p.grad = null;
  return grad;
}

/** Adds a sum to a parameter's gradient; the sum is no longer the caller's. */
function addGrad(p: Parameter, sum: Tensor | null | undefined): void {
  if (!sum) return;
  if (!p.grad) {
    p.grad = sum;
    return;
  }
  p.setGrad(tf.add(sum, p.grad));
  sum.dispose();
}
