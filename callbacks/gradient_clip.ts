/** GradientClipCB. */
import { Callback, constant, hostValues, type Learner, type Tensor, tf } from "../core/mod.ts";
import { ORDER } from "./order.ts";

/** The largest norm that comes from squares as they are: above, their sum leaves the range of float32. */
const LARGEST_PLAIN = 1e19;
/** What larger gradients are divided by before they are squared: a power of two, so that no bit is lost. */
const SCALE = 2 ** 64;

/** √Σg² over all gradients; finite for every norm that float32 can hold. No GPU is waited for. */
function normOf(grads: Tensor[]): Tensor {
  const root = (xs: Tensor[]) => tf.sqrt(tf.addN(xs.map((x) => tf.sum(tf.square(x)))));
  const scaled = (xs: Tensor[]) => tf.mul(root(xs.map((g) => tf.div(g, SCALE))), SCALE);
  return tf.tidy(() => {
    if (tf.getBackend() === "wasm") {
      const plain = root(grads);
      return hostValues(plain)![0] <= LARGEST_PLAIN ? plain : scaled(grads);
    }
    // As one array, so that two norms cost a few kernels, not some for each gradient.
    const all = [tf.concat(grads.map((g) => tf.reshape(g, [g.size])))], plain = root(all);
    const largest = constant("GradientClipCB", () => tf.scalar(LARGEST_PLAIN)); // so that no step uploads it
    return tf.where(tf.lessEqual(plain, largest), plain, scaled(all));
  });
}

/**
 * Scales the gradients so that their norm over all parameters is at most `maxNorm` (Pascanu et al. 2013), before each step
 * of the optimiser; no gradient, no norm. The last norm is the callback's until the next step, or {@link dispose}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import {
 *   ArrayDataset,
 *   DataLoaders,
 *   DeviceCB,
 *   GradientClipCB,
 *   HostArray,
 *   Linear,
 *   TrainLearner,
 *   useDevice,
 * } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const x = new HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), line = new ArrayDataset(x, x);
 * const dls = DataLoaders.from(line, line, { batchSize: 2 });
 * const clip = new GradientClipCB(1e-3);
 * await new TrainLearner(new Linear(1, 1), dls, { cbs: [new DeviceCB(), clip] }).fit(1);
 * assert(await clip.norm() > 1e-3); // before clipping
 * ```
 */
export class GradientClipCB extends Callback {
  /** See {@link ORDER}. */
  override order: number = ORDER.gradientClipCB;
  /** The largest norm that is left as it is. */
  readonly maxNorm: number;
  #norm: Tensor | null = null;

  /**
   * Clips gradients.
   * @param maxNorm the largest norm that is left as it is.
   * @throws RangeError unless it is positive.
   */
  constructor(maxNorm: number) {
    super();
    if (!(maxNorm > 0)) {
      throw new RangeError(`A gradient's norm is clipped to a positive number, not ${maxNorm}`);
    }
    this.maxNorm = maxNorm;
  }

  /** Clips before each step. */
  override beforeFit(learn: Learner): void {
    learn.current.wrap("step", (step) => () => {
      this.#clip(learn);
      return step();
    });
  }

  /** The norm before clipping, of the last step; NaN before the first. A GPU is waited for only here. */
  async norm(): Promise<number> {
    return this.#norm ? (await this.#norm.data())[0] : NaN;
  }

  /** Frees the norm. */
  dispose(): void {
    this.#norm?.dispose();
    this.#norm = null;
  }

  #clip(learn: Learner): void {
    const parameters = learn.model.parameters().filter((p) => p.grad);
    this.dispose();
    if (parameters.length === 0) return;
    this.#norm = tf.keep(normOf(parameters.map((p) => p.grad!)));
    const factor = tf.tidy(() => tf.minimum(tf.div(this.maxNorm, this.#norm!), 1));
    for (const p of parameters) p.scaleGrad(factor);
    factor.dispose();
  }
}
