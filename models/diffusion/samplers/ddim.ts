/** Sampling without a Markov chain (Song, Meng & Ermon 2020, "Denoising Diffusion Implicit Models"). */
import { tf } from "../../../core/mod.ts";
import { mix, noiseOfSample } from "../parametrisation.ts";
import type { Sampler } from "../sampling.ts";
import { addedVariance } from "./ddpm.ts";

/** Options of {@link ddim}. */
export interface DdimOptions {
  /** Share of DDPM's noise that a step adds, from 0 (none) to 1 (ancestral sampling); default 0. */
  eta?: number;
}

/**
 * DDIM's sampler (paper, eq. 12 with the σ of eq. 16), for any α and σ.
 * @throws RangeError unless eta lies in [0, 1].
 */
export function ddim({ eta = 0 }: DdimOptions = {}): Sampler {
  if (!(eta >= 0 && eta <= 1)) throw new RangeError(`ddim: eta lies in [0, 1], not ${eta}`);
  return ({ x, at, to, denoise, noise }) => {
    const x̂0 = denoise(x, at), ε = noiseOfSample(x, x̂0, at);
    const σ = eta * to.σ / at.σ * Math.sqrt(addedVariance(at, to));
    const next = mix(x̂0, ε, { α: to.α, σ: Math.sqrt(to.σ ** 2 - σ ** 2) });
    return { x: σ > 0 ? tf.add(next, tf.mul(noise(), σ)) : next, x̂0 };
  };
}
