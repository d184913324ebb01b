/** Heun's method. */
import { tf } from "../../../core/mod.ts";
import type { Sampler } from "../sampling.ts";
import { type Along, coordinates, follow } from "./coordinates.ts";

/** Options of {@link heun}. */
export interface HeunOptions {
  /** What it steps along; default `sigma`. */
  along?: Along;
}

/**
 * Heun's method of second order (Karras et al. 2022, algorithm 1): the mean of the slopes at both ends of an Euler step.
 * It evaluates the network twice a step, but once in a step to no noise.
 * @throws RangeError for other coordinates.
 */
export function heun({ along = "sigma" }: HeunOptions = {}): Sampler {
  const c = coordinates("heun", along);
  return ({ x, at, to, denoise }) => {
    const x̂0 = denoise(x, at), d = c.slope(x, x̂0, at);
    const euler = follow(x, d, at, to, c);
    if (to.σ === 0) return { x: euler, x̂0 };
    const d_to = c.slope(euler, denoise(euler, to), to);
    return { x: follow(x, tf.div(tf.add(d, d_to), 2), at, to, c), x̂0 };
  };
}
