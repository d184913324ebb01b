/** Pseudo numerical methods (Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds"). */
import { type Tensor, tf } from "../../../core/mod.ts";
import { mix, type NoiseLevel, noiseOfSample, sampleOfNoise } from "../parametrisation.ts";
import type { Process } from "../process.ts";
import type { Denoise } from "../denoiser.ts";
import type { Sampler, StepInputs } from "../sampling.ts";

/** Options of {@link pndm}. */
export interface PndmOptions {
  /**
   * The network's process, which says what the network is told halfway between two levels: with it the first three steps
   * are Runge and Kutta's, of four evaluations each. Default none: the first step is Heun's, of two evaluations
   * (Diffusers' `skip_prk_steps`).
   */
  warmUp?: Process;
}

/** The weights of the last noises, the newest first (paper, eq. 12; of fewer, Adams and Bashforth's). */
const WEIGHTS = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** Steps of Runge and Kutta before there are enough noises to go on with. */
const WARM_UP_STEPS = 3;

/**
 * Images moved to another level as if their noise were ε (paper, eq. 11).
 * @throws RangeError at pure noise, where that says nothing of the image.
 */
function transfer(x: Tensor, ε: Tensor, at: NoiseLevel, to: NoiseLevel): Tensor {
  if (at.α === 0) {
    throw new RangeError("pndm: pure noise (α 0) is no level to begin at: take another sampler");
  }
  return mix(sampleOfNoise(x, ε, at), ε, to);
}

/** The sum of noises by weights. */
function weigh(noises: Tensor[], weights: number[]): Tensor {
  return tf.addN(noises.map((ε, i) => tf.mul(ε, weights[i])));
}

/** The level halfway in time. */
function halfway(process: Process, at: NoiseLevel, to: NoiseLevel): NoiseLevel {
  const last = to.σ > 0 ? process.timeOf(to.σ / to.α) : 0;
  return process.at((process.timeOf(at.σ / at.α) + last) / 2);
}

/**
 * PNDM's sampler (paper, algorithm 2; without Runge and Kutta's steps, Diffusers' PLMS): one evaluation a step once it
 * has four noises.
 */
export function pndm({ warmUp }: PndmOptions = {}): Sampler {
  return ({ x, at, to, i, denoise, memory = [] }: StepInputs<Tensor[]>) => {
    const noiseIn = (x: Tensor, at: NoiseLevel) => noiseOfSample(x, denoise(x, at), at);
    const x̂0 = denoise(x, at), ε = noiseOfSample(x, x̂0, at);
    const seen = [ε, ...memory].slice(0, WEIGHTS.length);
    const moved = (ε: Tensor) => ({ x: transfer(x, ε, at, to), x̂0, memory: seen });
    if (to.σ === 0 && seen.length < WEIGHTS.length) return moved(ε);
    if (warmUp && i < WARM_UP_STEPS) return moved(rungeKutta(x, ε, at, halfway(warmUp, at, to), to, noiseIn));
    if (i > 0) return moved(weigh(seen, WEIGHTS[seen.length - 1]));
    return moved(weigh([ε, noiseIn(transfer(x, ε, at, to), to)], [1 / 2, 1 / 2]));
  };
}

/** The noise of a step by Runge and Kutta's method of fourth order (paper, eq. 13). */
function rungeKutta(
  x: Tensor,
  ε1: Tensor,
  at: NoiseLevel,
  half: NoiseLevel,
  to: NoiseLevel,
  noiseIn: Denoise,
): Tensor {
  const ε2 = noiseIn(transfer(x, ε1, at, half), half);
  const ε3 = noiseIn(transfer(x, ε2, at, half), half);
  const ε4 = noiseIn(transfer(x, ε3, at, to), to);
  return weigh([ε1, ε2, ε3, ε4], [1 / 6, 2 / 6, 2 / 6, 1 / 6]);
}
