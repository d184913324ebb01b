/** Ancestral sampling (Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models"). */
import { type Tensor, tf } from "../../../core/mod.ts";
import type { Variance } from "../../ddpm/mod.ts";
import type { NoiseLevel } from "../parametrisation.ts";
import type { Sampler } from "../sampling.ts";

/** Options of {@link ddpm}. */
export interface DdpmOptions {
  /**
   * The variance of the noise that a step adds, by Diffusers' names: `fixed_small` is the posterior's β̃, `fixed_large` is
   * β (paper, section 3.2), `learned_range` lies between both where the network says, whose denoiser has `learnedRange`
   * (Nichol & Dhariwal 2021, eq. 15). Default `fixed_small`.
   */
  variance?: Variance | "learned_range";
}

/** β of the step from one level to another: the variance that noising adds on the way back; 1 − ᾱ/ᾱ' in a VP process. */
export function addedVariance(at: NoiseLevel, to: NoiseLevel): number {
  return Math.max(0, at.σ ** 2 - (at.α / to.α * to.σ) ** 2);
}

/**
 * DDPM's sampler (paper, algorithm 2 with the mean of eq. 7), for any α and σ.
 * @throws RangeError for another variance, or `learned_range` with a denoiser that gives none.
 */
export function ddpm({ variance = "fixed_small" }: DdpmOptions = {}): Sampler {
  if (!["fixed_small", "fixed_large", "learned_range"].includes(variance)) {
    throw new RangeError(`ddpm: variance is fixed_small, fixed_large or learned_range, not ${variance}`);
  }
  return ({ x, at, to, denoise, noise }) => {
    const said = denoise(x, at), C = x.shape.at(-1)!;
    if (variance === "learned_range" && said.shape.at(-1) !== 2 * C) {
      throw new RangeError(
        `ddpm: learned_range takes x̂₀ of ${2 * C} channels, as of a denoiser with learnedRange`,
      );
    }
    const [x̂0, v] = said.shape.at(-1) === 2 * C ? tf.split(said, 2, -1) : [said];
    const β = addedVariance(at, to), β̃ = β * (to.σ / at.σ) ** 2;
    const μ = tf.add(tf.mul(x̂0, to.α * β / at.σ ** 2), tf.mul(x, at.α / to.α * (to.σ / at.σ) ** 2));
    if (to.σ === 0) return { x: μ, x̂0 };
    const σ: Tensor | number = variance === "learned_range"
      ? between(v, β̃, β)
      : Math.sqrt(variance === "fixed_large" ? β : β̃);
    return { x: tf.add(μ, tf.mul(noise(), σ)), x̂0 };
  };
}

/** The standard deviation whose logarithm lies between those of two variances, where v says: −1 for the lower one. */
function between(v: Tensor, low: number, high: number): Tensor {
  const share = tf.div(tf.add(v, 1), 2);
  return tf.exp(tf.div(tf.add(tf.mul(share, Math.log(high) - Math.log(low)), Math.log(low)), 2));
}
