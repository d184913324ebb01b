/** What a network may be asked to say of xₜ = α·x₀ + σ·ε, and how x₀ follows from it. */
import { constant, type Tensor, tf } from "../../core/mod.ts";

/** The numbers of xₜ = α·x₀ + σ·ε: one for all images, or tensors that broadcast, as [N,1,1,1]. */
export interface Mix {
  /** Share of the image. */
  readonly α: number | Tensor;
  /** Standard deviation of the noise. */
  readonly σ: number | Tensor;
}

/** Where a process stands: xₜ = α·x₀ + σ·ε with these numbers. */
export interface NoiseLevel extends Mix {
  /** Share of the image; 1 in a process whose variance grows (VE), √ᾱ in one that preserves it (VP), 1 − t in a flow. */
  readonly α: number;
  /** Standard deviation of the noise; 0 where the image is clean. */
  readonly σ: number;
  /** What the network is told; a network of `edm` is told ln(σ/α)/4 instead. */
  readonly t: number;
}

/** A number on the device, kept there so that no step of training uploads it again. */
export function fixed(value: number): Tensor {
  return constant(`number ${value}`, () => tf.scalar(value));
}

/** xₜ of images and noise: α·x₀ + σ·ε. */
export function mix(x0: Tensor, ε: Tensor, { α, σ }: Mix): Tensor {
  return tf.tidy(() => tf.add(tf.mul(x0, α), tf.mul(ε, σ)));
}

/**
 * x₀ where the noise is ε: (xₜ − σ·ε)/α (Ho et al. 2020, eq. 15).
 * @param at a level with α over 0: pure noise says nothing of the image
 */
export function sampleOfNoise(x: Tensor, ε: Tensor, { α, σ }: Mix): Tensor {
  return tf.tidy(() => tf.div(tf.sub(x, tf.mul(ε, σ)), α));
}

/**
 * The noise where the image is x₀: (xₜ − α·x₀)/σ.
 * @param at a level with σ over 0
 */
export function noiseOfSample(x: Tensor, x0: Tensor, { α, σ }: Mix): Tensor {
  return tf.tidy(() => tf.div(tf.sub(x, tf.mul(x0, α)), σ));
}

/** α² + σ²: 1 where variance is preserved. */
const variance = ({ α, σ }: Mix): number | Tensor =>
  typeof α === "number" && typeof σ === "number" ? α * α + σ * σ : tf.add(tf.square(α), tf.square(σ));

/** α + σ: 1 in a flow. */
const total = ({ α, σ }: Mix): number | Tensor =>
  typeof α === "number" && typeof σ === "number" ? α + σ : tf.add(α, σ);

/** x₀ where v = α·ε − σ·x₀: (α·xₜ − σ·v)/(α² + σ²) (Salimans & Ho 2022, appendix D, for any α and σ). */
export function sampleOfV(x: Tensor, v: Tensor, at: Mix): Tensor {
  return tf.tidy(() => tf.div(tf.sub(tf.mul(x, at.α), tf.mul(v, at.σ)), variance(at)));
}

/**
 * v = α·ε − σ·x₀ where the image is x₀: (α·xₜ − (α² + σ²)·x₀)/σ.
 * @param at a level with σ over 0
 */
export function vOfSample(x: Tensor, x0: Tensor, at: Mix): Tensor {
  return tf.tidy(() => tf.div(tf.sub(tf.mul(x, at.α), tf.mul(x0, variance(at))), at.σ));
}

/** x₀ where the flow's velocity is u = ε − x₀: (xₜ − σ·u)/(α + σ) (Liu et al. 2022, eq. 1, for any α and σ). */
export function sampleOfFlow(x: Tensor, u: Tensor, at: Mix): Tensor {
  return tf.tidy(() => tf.div(tf.sub(x, tf.mul(u, at.σ)), total(at)));
}

/**
 * The flow's velocity u = ε − x₀ where the image is x₀: (xₜ − (α + σ)·x₀)/σ.
 * @param at a level with σ over 0
 */
export function flowOfSample(x: Tensor, x0: Tensor, at: Mix): Tensor {
  return tf.tidy(() => tf.div(tf.sub(x, tf.mul(x0, total(at))), at.σ));
}

/** How the network F of EDM is wrapped: D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise) (Karras et al. 2022, eq. 7). */
export interface Preconditioning {
  /** c_skip: how much of the noisy image is passed on. */
  skip: Tensor;
  /** c_out: the scale of what the network says. */
  out: Tensor;
  /** c_in: the scale of what it is given. */
  in: Tensor;
  /** c_noise: what it is told. */
  noise: Tensor;
}

/** Standard deviation of the images' pixels that EDM assumes. */
export const SIGMA_DATA = 0.5;

/**
 * EDM's preconditioning at a level (Karras et al. 2022, table 1), with which input, output and target of the network
 * have variance 1 at every level.
 * @param σ of the noise where α is 1: a number, or a tensor of any shape
 * @param sigmaData standard deviation of the images' pixels; default 0.5
 * @returns tensors of σ's shape
 */
export function preconditioning(σ: number | Tensor, sigmaData: number = SIGMA_DATA): Preconditioning {
  return tf.tidy(() => {
    const σ_data = fixed(sigmaData), variance = fixed(sigmaData ** 2);
    const total = tf.add(tf.square(σ), variance);
    return {
      skip: tf.div(variance, total),
      out: tf.div(tf.mul(σ, σ_data), tf.sqrt(total)),
      in: tf.rsqrt(total),
      noise: tf.div(tf.log(σ), fixed(4)),
    };
  });
}

/** σ/α: the noise of xₜ/α, which is what a process whose variance grows has there. */
export const ratio = ({ α, σ }: Mix): number | Tensor =>
  typeof α === "number" && typeof σ === "number" ? σ / α : tf.div(σ, α);

/** What a network says, by Diffusers' names, and `edm`. */
export type Prediction = "epsilon" | "sample" | "v_prediction" | "flow_prediction" | "edm";

/** One way to say what x₀ is. */
export interface Parametrisation {
  /** x̂₀ of the noisy images and what the network says of them. */
  toSample(x: Tensor, output: Tensor, at: Mix): Tensor;
  /** What a network that is right says: its target in training. */
  fromSample(x: Tensor, x0: Tensor, at: Mix): Tensor;
  /** What the network is given and told in place of x and the level's t. */
  input?(x: Tensor, at: Mix): [x: Tensor, t: Tensor];
}

/** EDM's, for a standard deviation of the images' pixels. */
function edm(sigmaData: number): Parametrisation {
  const of = (x: Tensor, at: Mix) => ({ x: tf.div(x, at.α), c: preconditioning(ratio(at), sigmaData) });
  return {
    toSample: (xt, F, at) =>
      tf.tidy(() => {
        const { x, c } = of(xt, at);
        return tf.add(tf.mul(x, c.skip), tf.mul(F, c.out));
      }),
    fromSample: (xt, x0, at) =>
      tf.tidy(() => {
        const { x, c } = of(xt, at);
        return tf.div(tf.sub(x0, tf.mul(x, c.skip)), c.out);
      }),
    input: (xt, at) =>
      tf.tidy(() => {
        const { x, c } = of(xt, at);
        return [tf.mul(x, c.in), tf.reshape(c.noise, [-1])];
      }),
  };
}

/**
 * Conversions between what a network says and x₀.
 * @param sigmaData standard deviation of the images' pixels, for `edm`; default 0.5
 * @throws RangeError for another name, or sigmaData that is not over 0.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const at = { α: 0.6, σ: 0.8 }, x0 = tf.tensor1d([0.5]), ε = tf.tensor1d([-1]);
 * const x = diffusion.mix(x0, ε, at), { toSample, fromSample } = diffusion.parametrisation("v_prediction");
 * const [v] = await fromSample(x, x0, at).data();
 * assert(Math.abs(v - (0.6 * -1 - 0.8 * 0.5)) < 1e-6);
 * assert(Math.abs((await toSample(x, tf.tensor1d([v]), at).data())[0] - 0.5) < 1e-6);
 * ```
 */
export function parametrisation(prediction: Prediction, sigmaData: number = SIGMA_DATA): Parametrisation {
  if (!(sigmaData > 0)) throw new RangeError(`parametrisation: sigmaData is over 0, not ${sigmaData}`);
  const all: { [P in Prediction]: Parametrisation } = {
    epsilon: { toSample: sampleOfNoise, fromSample: noiseOfSample },
    sample: { toSample: (_, x0) => tf.clone(x0), fromSample: (_, x0) => tf.clone(x0) },
    v_prediction: { toSample: sampleOfV, fromSample: vOfSample },
    flow_prediction: { toSample: sampleOfFlow, fromSample: flowOfSample },
    edm: edm(sigmaData),
  };
  if (Object.hasOwn(all, prediction)) return all[prediction];
  throw new RangeError(`parametrisation: prediction is ${Object.keys(all).join(", ")}, not ${prediction}`);
}
