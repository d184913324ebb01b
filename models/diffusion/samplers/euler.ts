/** Euler's method, and its ancestral form. */
import { tf } from "../../../core/mod.ts";
import { mix, noiseOfSample } from "../parametrisation.ts";
import type { Sampler } from "../sampling.ts";

/**
 * Euler's method (Karras et al. 2022, algorithm 1 without lines 6 to 8): z' = z + (τ' − τ)·ε for z = x/α and τ = σ/α. In
 * those of a flow it is the same: x̂₀ and ε are held fast, x' = α'·x̂₀ + σ'·ε.
 */
export function euler(): Sampler {
  return ({ x, at, to, denoise }) => {
    const x̂0 = denoise(x, at), ε = noiseOfSample(x, x̂0, at);
    return { x: mix(x̂0, ε, to), x̂0 };
  };
}

/** Options of {@link eulerAncestral}. */
export interface EulerAncestralOptions {
  /** Share of the most noise that a step can renew, from 0 (none: Euler) to 1; default 1. */
  eta?: number;
}

/**
 * Euler's method to less noise than the next level has, and new noise for the rest (k-diffusion's `euler_ancestral`):
 * with τ = σ/α, τ_up² = η²·τ'²·(τ² − τ'²)/τ² is new and τ_down² = τ'² − τ_up² is left.
 * @throws RangeError unless eta lies in [0, 1].
 */
export function eulerAncestral({ eta = 1 }: EulerAncestralOptions = {}): Sampler {
  if (!(eta >= 0 && eta <= 1)) throw new RangeError(`eulerAncestral: eta lies in [0, 1], not ${eta}`);
  return ({ x, at, to, denoise, noise }) => {
    const x̂0 = denoise(x, at), ε = noiseOfSample(x, x̂0, at);
    const up = eta * to.σ * Math.sqrt(Math.max(0, 1 - (to.σ / to.α * at.α / at.σ) ** 2));
    const down = Math.sqrt(to.σ ** 2 - up ** 2);
    const next = mix(x̂0, ε, { α: to.α, σ: down });
    return { x: up > 0 ? tf.add(next, tf.mul(noise(), up)) : next, x̂0 };
  };
}
