/** Training on any process: times, what a network is given and should say, and how much each level counts. */
import { defaultGenerator, type Generator, type Tensor, tf } from "../../core/mod.ts";
import {
  fixed,
  type Mix,
  mix,
  parametrisation,
  preconditioning,
  type Prediction,
} from "./parametrisation.ts";
import type { Process } from "./process.ts";

/** n times of a process, each as likely as any: whole steps, int32 [n], of one that has them. */
export function uniformTimes(process: Process, n: number, generator: Generator = defaultGenerator): Tensor {
  if (process.steps) return generator.randint([n], 0, process.steps);
  const [least, most] = process.times;
  return tf.tidy(() => tf.add(tf.mul(generator.uniform([n]), fixed(most - least)), fixed(least)));
}

/** Options of {@link logitNormalTimes}. */
export interface LogitNormalOptions {
  /** Mean of log(t/(1−t)): under 0 for times nearer to images, over 0 for those nearer to noise; default 0. */
  mean?: number;
  /** Its standard deviation, over 0; default 1. */
  std?: number;
}

/**
 * n times from 0 to 1 of which the middle ones are the likelier: log(t/(1−t)) is normal (Esser et al. 2024, eq. 19); [n].
 * @throws RangeError unless mean is a number and std over 0.
 */
export function logitNormalTimes(
  n: number,
  { mean = 0, std = 1 }: LogitNormalOptions = {},
  generator: Generator = defaultGenerator,
): Tensor {
  if (!Number.isFinite(mean)) throw new RangeError(`logitNormalTimes: mean is a number, not ${mean}`);
  if (!(std > 0 && std < Infinity)) throw new RangeError(`logitNormalTimes: std is over 0, not ${std}`);
  return tf.tidy(() => tf.sigmoid(tf.add(tf.mul(generator.normal([n]), fixed(std)), fixed(mean))));
}

/** A batch of training. */
export interface TrainingBatch extends Mix {
  /** What the network is given, [N,H,W,C]. */
  input: Tensor;
  /** What it is told of the level, [N]. */
  t: Tensor;
  /** What it should say, [N,H,W,C]. */
  target: Tensor;
  /** Share of the images in what was noised, [N,1,1,1]. */
  α: Tensor;
  /** Standard deviation of its noise, [N,1,1,1]. */
  σ: Tensor;
}

/** Options of {@link trainingBatch}. */
export interface TrainingBatchOptions {
  /** What makes noise of the images. */
  process: Process;
  /** What the network is to say; default `epsilon`. */
  prediction?: Prediction;
  /** Standard deviation of the images' pixels, for `edm`; default 0.5. */
  sigmaData?: number;
  /** The images' times, [N]; default drawn by {@link uniformTimes}. They stay the caller's. */
  times?: Tensor;
  /** Draws the noise, after the times if they are drawn; default the shared generator. */
  generator?: Generator;
}

/**
 * Noised images at times of a process, and what a network that is right says of them. The caller frees all of it.
 * @param x0 images [N,H,W,C]
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const { input, t, target } = diffusion.trainingBatch(tf.zeros([8, 4, 4, 1]), {
 *   process: diffusion.flow(),
 *   prediction: "flow_prediction",
 *   times: diffusion.logitNormalTimes(8),
 * });
 * assert(input.shape.join() === target.shape.join() && t.shape.join() === "8");
 * ```
 */
export function trainingBatch(x0: Tensor, options: TrainingBatchOptions): TrainingBatch {
  const { process, prediction = "epsilon", sigmaData, generator = defaultGenerator } = options;
  const { fromSample, input } = parametrisation(prediction, sigmaData);
  return tf.tidy((): TrainingBatch & Record<string, Tensor> => {
    const [n] = x0.shape, times = options.times ?? uniformTimes(process, n, generator);
    if (String(times.shape) !== String([n])) {
      throw new RangeError(`trainingBatch: times of the shape [${times.shape}] for ${n} images`);
    }
    const at = process.batch(times);
    const x = mix(x0, generator.normal(x0.shape), at), target = fromSample(x, x0, at);
    const [given, t] = input?.(x, at) ?? [x, at.t];
    return { input: given, t, target, α: at.α, σ: at.σ };
  });
}

/** How fast what a network says changes with x₀ at a level, squared. */
const SLOPES: { [P in Prediction]: (at: { α: Tensor; σ: Tensor }, sigmaData?: number) => Tensor } = {
  epsilon: ({ α, σ }) => tf.square(tf.div(α, σ)),
  sample: ({ α }) => tf.onesLike(α),
  v_prediction: ({ α, σ }) => tf.square(tf.div(tf.add(tf.square(α), tf.square(σ)), σ)),
  flow_prediction: ({ α, σ }) => tf.square(tf.div(tf.add(α, σ), σ)),
  edm: ({ α, σ }, sigmaData) => tf.reciprocal(tf.square(preconditioning(tf.div(σ, α), sigmaData).out)),
};

/** Options of {@link minSnrWeights}. */
export interface MinSnrOptions {
  /** What the network says; default `epsilon`. */
  prediction?: Prediction;
  /** γ: errors of x̂₀ count by the level's signal-to-noise ratio, but by this at most; over 0, default 5. */
  gamma?: number;
  /** Standard deviation of the images' pixels, for `edm`; default 0.5. */
  sigmaData?: number;
}

/**
 * Weights of the images' squared errors with which levels of little noise do not outweigh the others (Hang et al. 2023,
 * "Min-SNR", section 3.4): min(SNR, γ) for x̂₀, with SNR = α²/σ²; min(SNR, γ)/SNR for ε and min(SNR, γ)/(SNR + 1) for v;
 * for others what is the same for x̂₀.
 * @param at levels of the images, tensors of one shape
 * @returns weights of that shape
 * @throws RangeError unless gamma is over 0, or for an unknown prediction.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const at = { α: tf.tensor1d([3, 1]), σ: tf.tensor1d([1, 1]) };
 * const weights = await diffusion.minSnrWeights(at).data();
 * assert(Math.abs(weights[0] - 5 / 9) < 1e-6 && weights[1] === 1);
 * ```
 */
export function minSnrWeights(at: { α: Tensor; σ: Tensor }, options: MinSnrOptions = {}): Tensor {
  const { prediction = "epsilon", gamma = 5, sigmaData } = options;
  if (!(gamma > 0)) throw new RangeError(`minSnrWeights: gamma is over 0, not ${gamma}`);
  parametrisation(prediction, sigmaData); // refuses what is none
  return tf.tidy(() => {
    const snr = tf.square(tf.div(at.α, at.σ));
    return tf.div(tf.minimum(snr, fixed(gamma)), SLOPES[prediction](at, sigmaData));
  });
}
