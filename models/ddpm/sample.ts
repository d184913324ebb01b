/** Drawing images. */
import {
  breathe,
  defaultGenerator,
  type Generator,
  HostArray,
  type Module,
  noGrad,
  type Tensor,
  tf,
} from "../../core/mod.ts";
import type { Schedule } from "./schedule.ts";

/** A model of noise: called with xₜ and t, it gives ε, bare or as `{ sample }`. */
// deno-lint-ignore no-explicit-any
export type NoiseModel = Module<[Tensor, any], any>;

/** Options of {@link sample}. */
export interface SampleOptions {
  schedule: Schedule;
  /** Default the shared generator. */
  generator?: Generator;
  /** Where to begin; default noise. */
  xT?: Tensor;
  /** The noise added at step t > 0; default drawn. */
  noise?: (t: number) => Tensor;
  /** Which xₜ₋₁ to return, by the t of the step that makes them; default every one. */
  keep?: (t: number) => boolean;
  /** Clamp of x̂₀; default [−1, 1]. */
  clip?: [number, number];
  /** Called after each step. */
  onStep?: (t: number, x: Tensor) => void | Promise<void>;
}

const predictNoise = (model: NoiseModel, x: Tensor, t: number): Tensor => {
  const out = model.call(x, t);
  return out.sample ?? out;
};

/**
 * Draws images by ancestral sampling (paper, algorithm 2, in the form of eq. 7 with x̂₀ clamped; lesson notebook 15).
 * @param size [N,H,W,C]
 * @returns the kept images on the host, in the order they were made; the last one is x₀
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearSchedule, sample, UNet2DModel, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet2DModel({
 *   in_channels: 1,
 *   out_channels: 1,
 *   block_out_channels: [8, 8],
 *   down_block_types: ["DownBlock2D", "DownBlock2D"],
 *   up_block_types: ["UpBlock2D", "UpBlock2D"],
 *   norm_num_groups: 4,
 * });
 * const steps = await sample(model, [2, 8, 8, 1], { schedule: linearSchedule({ nSteps: 5 }) });
 * assert(steps.length === 5);
 * ```
 */
export async function sample(
  model: NoiseModel,
  size: [number, number, number, number],
  options: SampleOptions,
): Promise<HostArray[]> {
  const { β, α, ᾱ, σ, nSteps, timesteps } = options.schedule;
  const { generator = defaultGenerator, keep = () => true, clip = [-1, 1] } = options;
  const z = options.noise ?? (() => generator.normal(size));
  const kept: HostArray[] = [];
  const wasTraining = model.training;
  model.eval();
  let x = options.xT ? tf.clone(options.xT) : generator.normal(size);
  try {
    for (let t = nSteps - 1; t >= 0; t--) {
      const ᾱ_prev = t > 0 ? ᾱ[t - 1] : 1;
      const next = noGrad(() =>
        tf.tidy(() => {
          const ε = predictNoise(model, x, timesteps[t]);
          const x̂0 = tf.clipByValue(
            tf.div(tf.sub(x, tf.mul(ε, Math.sqrt(1 - ᾱ[t]))), Math.sqrt(ᾱ[t])),
            ...clip,
          );
          const mean = tf.add(
            tf.mul(x̂0, Math.sqrt(ᾱ_prev) * β[t] / (1 - ᾱ[t])),
            tf.mul(x, Math.sqrt(α[t]) * (1 - ᾱ_prev) / (1 - ᾱ[t])),
          );
          return t > 0 ? tf.add(mean, tf.mul(z(t), σ[t])) : mean;
        })
      );
      x.dispose();
      x = next;
      if (keep(t)) kept.push(await HostArray.from(x));
      await options.onStep?.(t, x);
      await breathe();
    }
  } finally {
    x.dispose();
    model.train(wasTraining);
  }
  return kept;
}
