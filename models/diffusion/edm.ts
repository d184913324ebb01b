/** Training as in Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models" (EDM). */
import { defaultGenerator, type Generator, type Tensor, tf } from "../../core/mod.ts";
import { DiffusionCB } from "./callback.ts";
import type { ClassOptions } from "./classes.ts";
import { fixed, SIGMA_DATA } from "./parametrisation.ts";
import { ve } from "./process.ts";

/** Levels of noise that training draws: ln σ is normal (paper, table 1). */
export interface LogNormalOptions {
  /** P_mean, the mean of ln σ; default −1.2. */
  meanLogSigma?: number;
  /** P_std, its standard deviation, above 0; default 1.2. */
  stdLogSigma?: number;
}

/** Options of {@link EDMCB}. */
export interface EDMOptions extends LogNormalOptions {
  /** Standard deviation of the images' pixels; default 0.5. */
  sigmaData?: number;
  /** Where the network is told classes, which the batch's second element has; default it is not. */
  conditions?: ClassOptions;
  /** Draws levels, noise and dropped classes of training, as {@link DiffusionOptions}' does; default the shared generator. */
  generator?: Generator;
}

/** n levels of noise σ, log-normal; [n]. */
export function logNormalSigmas(
  n: number,
  { meanLogSigma = -1.2, stdLogSigma = 1.2 }: LogNormalOptions = {},
  generator: Generator = defaultGenerator,
): Tensor {
  return tf.tidy(() => {
    const log = tf.add(tf.mul(generator.normal([n]), fixed(stdLogSigma)), fixed(meanLogSigma));
    return tf.exp(log);
  });
}

/**
 * Turns a batch of images, and classes where the network is told them, into what EDM trains on: `[[c_in·x, c_noise,
 * classes], F]`, for images x with noise of a random level and what the network should say of them. With the mean
 * squared error as loss, that is the paper's loss with its weight λ(σ) = 1/c_out² (eq. 8). For any learner that trains by
 * itself and a model that takes the list, as {@link PatchUNet} and {@link UNet} do. Every evaluation draws the same from a
 * generator of its own, and drops no class.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DeviceCB, diffusion } from "../../mod.ts";
 * const cb = new diffusion.EDMCB({ sigmaData: 0.7, conditions: { classes: 10 } });
 * assert(cb.order > new DeviceCB().order);
 * ```
 */
export class EDMCB extends DiffusionCB {
  /**
   * Noises by log-normal levels.
   * @throws RangeError for an option out of its range.
   */
  constructor(options: EDMOptions = {}) {
    const { meanLogSigma = -1.2, stdLogSigma = 1.2, sigmaData = SIGMA_DATA, conditions, generator } = options;
    if (!Number.isFinite(meanLogSigma)) {
      throw new RangeError(`EDMCB: meanLogSigma is a number, not ${meanLogSigma}`);
    }
    for (const [name, value] of Object.entries({ stdLogSigma, sigmaData })) {
      if (value > 0 && Number.isFinite(value)) continue;
      throw new RangeError(`EDMCB: ${name} is a number above 0, not ${value}`);
    }
    const times = (n: number, generator: Generator) =>
      logNormalSigmas(n, { meanLogSigma, stdLogSigma }, generator);
    super({ process: ve(), prediction: "edm", sigmaData, times, conditions, generator });
  }
}
