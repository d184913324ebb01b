/** Initialising whole models. */
import { kaimingNormal } from "./init.ts";
import { Conv2d } from "./layers.ts";
import type { Module } from "./module.ts";

/**
 * Draws the weights of every convolution from Kaiming's normal distribution; everything else stays.
 * Source: miniai 11_initializing.
 * @param leak slope below 0 of the leaky ReLU that follows; default 0
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
