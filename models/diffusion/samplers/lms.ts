/** A linear multistep method. */
import { type Tensor, tf } from "../../../core/mod.ts";
import type { Sampler, StepInputs } from "../sampling.ts";
import { type Along, coordinates, follow } from "./coordinates.ts";

/** Options of {@link lms}. */
export interface LmsOptions {
  /** Slopes that a step knows, its own among them, from 1 to 4; default 4. */
  order?: number;
  /** What it steps along; default `sigma`. */
  along?: Along;
}

/** A slope that was seen. */
interface Seen {
  τ: number;
  d: Tensor;
}

/** Product of two polynomials, by their coefficients from that of τ⁰ on. */
function times(a: number[], b: number[]): number[] {
  const product = new Array(a.length + b.length - 1).fill(0);
  a.forEach((v, i) => b.forEach((w, j) => product[i + j] += v * w));
  return product;
}

/** The integral from `from` to `to` of the polynomial that is 1 at τ[j] and 0 at the others (Lagrange's). */
export function lagrangeIntegral(τ: number[], j: number, from: number, to: number): number {
  // From `from` on, so that small steps far from 0 lose no digits.
  let basis = [1];
  τ.forEach((node, k) => {
    if (k !== j) basis = times(basis, [(from - node) / (τ[j] - node), 1 / (τ[j] - node)]);
  });
  return basis.reduce((sum, coefficient, n) => sum + coefficient * (to - from) ** (n + 1) / (n + 1), 0);
}

/**
 * Adams and Bashforth's method over steps of any length: the polynomial through the last slopes is integrated (k-diffusion's
 * `lms`; Diffusers' LMSDiscreteScheduler). It evaluates the network once a step.
 * @throws RangeError for another order or other coordinates.
 */
export function lms({ order = 4, along = "sigma" }: LmsOptions = {}): Sampler {
  if (!(Number.isInteger(order) && order >= 1 && order <= 4)) {
    throw new RangeError(`lms: order is a whole number from 1 to 4, not ${order}`);
  }
  const c = coordinates("lms", along);
  return ({ x, at, to, denoise, memory = [] }: StepInputs<Seen[]>) => {
    const x̂0 = denoise(x, at);
    const seen = [{ τ: c.time(at), d: c.slope(x, x̂0, at) }, ...memory].slice(0, order);
    const τ = seen.map((s) => s.τ), from = c.time(at), length = c.time(to) - from;
    const parts = seen.map(({ d }, j) => tf.mul(d, lagrangeIntegral(τ, j, from, c.time(to)) / length));
    return { x: follow(x, tf.addN(parts), at, to, c), x̂0, memory: seen };
  };
}
