/** Coordinates in which the way of the images without new noise is an ordinary differential equation. */
import { type Tensor, tf } from "../../../core/mod.ts";
import { flowOfSample, type NoiseLevel, noiseOfSample } from "../parametrisation.ts";

/**
 * What a solver steps along: z(τ) with dz/dτ = d, where z is x by a scale.
 *
 * - `sigma`: z = x/α, τ = σ/α, d = ε (Karras et al. 2022, eq. 3 and algorithm 1);
 * - `flow`: z = x/(α + σ), τ = σ/(α + σ), d = ε − x̂₀ (Liu et al. 2022, eq. 1).
 *
 * Straight lines in one are straight in the other, so Euler's method is the same in both; methods of a higher order are
 * not.
 */
export type Along = "sigma" | "flow";

/** Coordinates of a level. */
export interface Coordinates {
  /** x/z. */
  scale(at: NoiseLevel): number;
  /** τ. */
  time(at: NoiseLevel): number;
  /** σ/α at a τ. */
  ratio(τ: number): number;
  /** dz/dτ of images x with this x̂₀. */
  slope(x: Tensor, x̂0: Tensor, at: NoiseLevel): Tensor;
}

/** The coordinates of each name. */
const COORDINATES: { [A in Along]: Coordinates } = {
  sigma: { scale: ({ α }) => α, time: ({ α, σ }) => σ / α, ratio: (τ) => τ, slope: noiseOfSample },
  flow: {
    scale: ({ α, σ }) => α + σ,
    time: ({ α, σ }) => σ / (α + σ),
    ratio: (τ) => τ / (1 - τ),
    slope: flowOfSample,
  },
};

/** @throws RangeError for another name. */
export function coordinates(name: string, along: Along): Coordinates {
  if (Object.hasOwn(COORDINATES, along)) return COORDINATES[along];
  throw new RangeError(`${name}: along is sigma or flow, not ${along}`);
}

/**
 * Images at a level, moved along a slope to another: x' = s(to)·(x/s(at) + (τ' − τ)·d).
 * @throws RangeError at pure noise, which has no place along `sigma`.
 */
export function follow(
  x: Tensor,
  d: Tensor,
  at: NoiseLevel,
  to: NoiseLevel,
  { scale, time }: Coordinates,
): Tensor {
  if (scale(at) === 0) {
    throw new RangeError("At pure noise (α 0) there is no x/α: let the sampler step along flow");
  }
  const s = scale(to);
  return tf.add(tf.mul(x, s / scale(at)), tf.mul(d, s * (time(to) - time(at))));
}
