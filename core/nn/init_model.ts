/** Initialising whole models. */
import { noGrad } from "../autograd/tape.ts";
import { type Tensor, tf } from "../tf.ts";
import { kaimingNormal } from "./init.ts";
import { Conv2d, type Linear } from "./layers.ts";
import type { Module } from "./module.ts";

/**
 * Draws the weights of every convolution from Kaiming's normal distribution, by the shared generator; everything else
 * stays. Source: miniai 11_initializing.
 * @param leak slope below 0 of the leaky ReLU that follows; default 0
 * @throws RangeError for a leak that is no finite number.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Conv2d, initWeights, tf, useDevice } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const conv = new Conv2d(64, 64, 3);
 * initWeights(conv, 0.1);
 * const std = tf.sqrt(tf.moments(conv.weight).variance);
 * assert(Math.abs((await std.data())[0] / Math.sqrt(2 / 1.01 / 576) - 1) < 0.05);
 * ```
 */
export function initWeights(model: Module, leak = 0): void {
  model.apply((m) => {
    if (m instanceof Conv2d) m.weight.assign(kaimingNormal(m.weight.shape, leak));
  });
}

/** Options of {@link lsuvInit}. */
export interface LsuvOptions {
  /** How near mean and standard deviation must come to 0 and 1, above 0; default 1e-3. */
  tolerance?: number;
  /** Forward passes a layer at most, a positive whole number; default 50. */
  maxTries?: number;
}

/**
 * Layer-sequential unit-variance initialisation (Mishkin & Matas 2015): shifts each layer's bias and scales its weight
 * until what follows it has mean 0 and standard deviation 1 on a batch. The model runs in the mode that it is in: in
 * training, running statistics follow and dropout draws. Source: miniai 11_initializing.
 * @param input what the model is called with; it stays the caller's
 * @param pairs layers with the module whose output is to be so, such as the activation after it; in forward order
 * @throws Error if a layer has no bias, its output is constant, or it does not get there; RangeError for the options.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Conv2d, defaultGenerator, GeneralRelu, lsuvInit, Sequential, tf, useDevice } from "../mod.ts";
 * await useDevice("wasm", { log: null });
 * const conv = new Conv2d(1, 8, 3), act = new GeneralRelu({ leak: 0.1 });
 * const model = new Sequential(conv, act);
 * const x = defaultGenerator.normal([4, 9, 9, 1]);
 * await lsuvInit(model, x, [[conv, act]]);
 * const [mean] = await tf.mean(model.call(x)).data();
 * assert(Math.abs(mean) < 2e-3);
 * ```
 */
export async function lsuvInit(
  model: Module,
  input: unknown,
  pairs: [layer: Conv2d | Linear, out: Module][],
  { tolerance = 1e-3, maxTries = 50 }: LsuvOptions = {},
): Promise<void> {
  if (!(tolerance > 0)) throw new RangeError(`lsuvInit: tolerance is above 0, not ${tolerance}`);
  if (!Number.isInteger(maxTries) || maxTries < 1) {
    throw new RangeError(`lsuvInit: maxTries is a positive whole number, not ${maxTries}`);
  }
  for (const [i, [layer, out]] of pairs.entries()) {
    const { bias, weight } = layer;
    if (!bias) throw new Error(`lsuvInit: layer ${i} has no bias to shift`);
    let stats: Tensor | undefined;
    const undo = out.registerForwardHook((_, __, y) => {
      const { mean, variance } = tf.moments(y);
      stats?.dispose();
      stats = tf.keep(tf.stack([mean, tf.sqrt(variance)]));
    });
    try {
      for (let tries = 1;; tries++) {
        noGrad(() => tf.tidy(() => void model.call(input)));
        if (!stats) throw new Error(`lsuvInit: the module of layer ${i} was not run`);
        const [mean, std] = await stats.data();
        stats.dispose();
        if (Math.abs(mean) < tolerance && Math.abs(std - 1) < tolerance) break;
        if (!(std > 0) || tries === maxTries) {
          throw new Error(`lsuvInit: layer ${i} has mean ${mean} and deviation ${std} after ${tries} tries`);
        }
        bias.assign(noGrad(() => tf.tidy(() => tf.sub(bias, mean))));
        weight.assign(noGrad(() => tf.tidy(() => tf.div(weight, std))));
      }
    } finally {
      undo();
    }
  }
}
