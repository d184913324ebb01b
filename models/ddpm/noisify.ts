/** Noising images: the forward process. */
import { constant, defaultGenerator, type Generator, type Tensor, tf } from "../../core/mod.ts";

/** What {@link noisify} gives: the model's input and its target. */
export type Noised = [[xt: Tensor, t: Tensor], ε: Tensor];

/** Noise and timesteps to use in place of drawn ones. */
export interface NoiseDraw {
  /** Timesteps [N] below T. */
  t?: Int32Array;
  /** Noise of x0's shape. */
  noise?: Tensor;
  /** Draws what is not given; default the shared generator. */
  generator?: Generator;
}

/**
 * Noised images at random timesteps, and the noise (paper, eq. 4): xₜ = √ᾱₜ·x₀ + √(1−ᾱₜ)·ε.
 * @param x0 images [N,H,W,C]
 * @param ᾱ of the schedule, [T]
 * @returns `[[xₜ, t], ε]`: what the model takes and what it should say; t int32 [N]
 */
export function noisify(x0: Tensor, ᾱ: ArrayLike<number>, draw: NoiseDraw = {}): Noised {
  const { generator = defaultGenerator } = draw;
  const n = x0.shape[0];
  const t = draw.t ? tf.tensor1d(draw.t, "int32") : generator.randint([n], 0, ᾱ.length);
  const ε = draw.noise ?? generator.normal(x0.shape);
  const xt = tf.tidy(() => {
    const each = (name: string, f: (a: number) => number) => {
      const table = constant(name, () => tf.tensor1d(Float32Array.from(ᾱ, f)), ᾱ);
      return tf.reshape(tf.gather(table, t), [n, 1, 1, 1]);
    };
    return tf.add(tf.mul(each("√ᾱ", Math.sqrt), x0), tf.mul(each("√(1−ᾱ)", (a) => Math.sqrt(1 - a)), ε));
  });
  return [[xt, t], ε];
}
