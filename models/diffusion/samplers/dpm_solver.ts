/** DPM-Solver++ (Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models"). */
import { type Tensor, tf } from "../../../core/mod.ts";
import type { NoiseLevel } from "../parametrisation.ts";
import type { Sampler, StepInputs } from "../sampling.ts";

/** Options of {@link dpmSolver}. */
export interface DpmSolverOptions {
  /** Estimates of x₀ that a step knows, its own among them, from 1 to 3; default 2. */
  order?: number;
}

/** An estimate of x₀ that was seen. */
export interface Estimate {
  /** λ of its level. */
  λ: number;
  /** x̂₀. */
  x̂0: Tensor;
}

/** λ = log(α/σ) of a level (paper, section 2.1). */
export const λOf = ({ α, σ }: NoiseLevel): number => Math.log(α / σ);

/** Few steps end with ones of a lower order, which are then the steadier. */
const FEW_STEPS = 15;

/** The order of a step: what is known before it, and the end of the walk, may leave it no more. */
export function orderOf(order: number, known: number, { i, nSteps, to }: StepInputs<unknown>): number {
  const left = nSteps - i;
  return Math.min(order, known, nSteps < FEW_STEPS || (to.σ === 0 && left === 1) ? left : order);
}

/** x̂₀ of a step and the estimates before it, the newest first; those at pure noise tell nothing of how x̂₀ changes. */
function remember(x̂0: Tensor, at: NoiseLevel, memory: Estimate[], order: number): Estimate[] {
  return [{ λ: λOf(at), x̂0 }, ...memory.filter(({ λ }) => λ > -Infinity)].slice(0, order);
}

/** @throws RangeError unless a sampler has such an order. */
export function requireOrder(name: string, order: number, most: number): void {
  if (Number.isInteger(order) && order >= 1 && order <= most) return;
  throw new RangeError(`${name}: order is a whole number from 1 to ${most}, not ${order}`);
}

/**
 * DPM-Solver++(2M) (paper, algorithm 2), and of order 1, which is DDIM, and 3: the change of x̂₀ along λ is taken from the
 * steps before. It evaluates the network once a step. Order 3 is Diffusers' to the digit, in which the second difference
 * counts half of what it should: it converges with order 2, its error being smaller; {@link uniPc} of order 2 has order 3.
 * @throws RangeError for another order.
 */
export function dpmSolver({ order = 2 }: DpmSolverOptions = {}): Sampler {
  requireOrder("dpmSolver", order, 3);
  return (inputs: StepInputs<Estimate[]>) => {
    const { x, at, to, denoise, memory = [] } = inputs;
    const x̂0 = denoise(x, at), seen = remember(x̂0, at, memory, order);
    const h = λOf(to) - λOf(at), φ1 = Math.expm1(-h);
    const first = tf.sub(tf.mul(x, to.σ / at.σ), tf.mul(x̂0, to.α * φ1));
    const { D1, D2 } = differences(seen, h, orderOf(order, seen.length, inputs));
    if (!D1) return { x: first, x̂0, memory: seen };
    if (!D2) return { x: tf.sub(first, tf.mul(D1, to.α * φ1 / 2)), x̂0, memory: seen };
    const φ2 = φ1 / h + 1, φ3 = φ2 / h - 1 / 2;
    return {
      x: tf.sub(tf.add(first, tf.mul(D1, to.α * φ2)), tf.mul(D2, to.α * φ3)),
      x̂0,
      memory: seen,
    };
  };
}

/** First and second divided differences of x̂₀ along λ, in steps of h (paper, appendix B.3), as far as the order asks. */
function differences(seen: Estimate[], h: number, order: number): { D1?: Tensor; D2?: Tensor } {
  if (order < 2) return {};
  const [{ λ: λ0, x̂0: D0 }, one, two] = seen;
  const r0 = (λ0 - one.λ) / h;
  const D10 = tf.div(tf.sub(D0, one.x̂0), r0);
  if (order < 3) return { D1: D10 };
  const r1 = (one.λ - two.λ) / h;
  const D11 = tf.div(tf.sub(one.x̂0, two.x̂0), r1), change = tf.sub(D10, D11);
  return {
    D1: tf.add(D10, tf.mul(change, r0 / (r0 + r1))),
    D2: tf.div(change, r0 + r1),
  };
}

/**
 * SDE-DPM-Solver++(2M) (paper, appendix; Diffusers' `sde-dpmsolver++`): as {@link dpmSolver} of order 2, for the equation
 * that renews the noise.
 */
export function dpmSolverSde(): Sampler {
  return (inputs: StepInputs<Estimate[]>) => {
    const { x, at, to, denoise, noise, memory = [] } = inputs;
    const x̂0 = denoise(x, at), seen = remember(x̂0, at, memory, 2);
    const h = λOf(to) - λOf(at), share = -Math.expm1(-2 * h);
    const first = tf.add(tf.mul(x, to.σ / at.σ * Math.exp(-h)), tf.mul(x̂0, to.α * share));
    const { D1 } = differences(seen, h, orderOf(2, seen.length, inputs));
    const μ = D1 ? tf.add(first, tf.mul(D1, to.α * share / 2)) : first;
    const σ = to.σ * Math.sqrt(share);
    return { x: σ > 0 ? tf.add(μ, tf.mul(noise(), σ)) : μ, x̂0, memory: seen };
  };
}
