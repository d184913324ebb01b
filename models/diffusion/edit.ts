/** Drawing from images that there are: image-to-image, inpainting, and ways from one noise to another. */
import { defaultGenerator, type Generator, type Tensor, tf } from "../../core/mod.ts";
import type { Denoise } from "./denoiser.ts";
import { mix, type NoiseLevel } from "./parametrisation.ts";

/** Options of {@link fromImages}. */
export interface FromImagesOptions {
  /** The levels of a whole sampling. */
  levels: readonly NoiseLevel[];
  /** Share of the steps to take, over 0 and at most 1: the larger, the less of the images is left. */
  strength: number;
  /** Draws the noise; default the shared generator. */
  generator?: Generator;
}

/** Where a sampling begins. */
export interface Start {
  /** The images at the first of the levels; the caller frees them. */
  xT: Tensor;
  /** The levels that are left. */
  levels: NoiseLevel[];
}

/**
 * Image-to-image: images noised as far as a share of the steps takes away, and these steps (Meng et al. 2021, "SDEdit").
 * Both are options of {@link sample}.
 * @param images [N,H,W,C]
 * @throws RangeError unless 0 < strength ≤ 1.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const levels = diffusion.levels(diffusion.flow(), 10);
 * const start = diffusion.fromImages(tf.ones([1, 4, 4, 1]), { levels, strength: 0.3 });
 * assert(start.levels.length === 4 && Math.abs(start.levels[0].σ - 0.3) < 1e-9);
 * ```
 */
export function fromImages(images: Tensor, options: FromImagesOptions): Start {
  const { levels, strength, generator = defaultGenerator } = options;
  if (!(strength > 0 && strength <= 1)) {
    throw new RangeError(`fromImages: strength is over 0 and at most 1, not ${strength}`);
  }
  const steps = Math.max(1, Math.round(strength * (levels.length - 1)));
  const left = levels.slice(levels.length - 1 - steps);
  return { xT: tf.tidy(() => mix(images, generator.fork().normal(images.shape), left[0])), levels: left };
}

/** Options of {@link inpainting}. */
export interface InpaintingOptions {
  /** What is known, [N,H,W,C]; where the mask is 0 it does not matter. It stays the caller's. */
  images: Tensor;
  /** 1 where the images are known and 0 where they are to be drawn, of a shape that broadcasts, as [N,H,W,1]. */
  mask: Tensor;
  /** Draws the noise of the known pixels; default the shared generator. */
  generator?: Generator;
}

/**
 * Inpainting: the network sees the known pixels noised anew at each level, and x̂₀ has them as they are, so that the others
 * come to fit (Lugmayr et al. 2022, "RePaint", algorithm 1 without its repetitions; Song et al. 2021, appendix I.2).
 * A sampler of the first or second order ends at exactly the known pixels.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const denoise: diffusion.Denoise = (x) => tf.zerosLike(x);
 * const images = tf.ones([1, 1, 2, 1]), mask = tf.tensor([1, 0], [1, 1, 2, 1]);
 * const x̂0 = diffusion.inpainting(denoise, { images, mask })(tf.zeros([1, 1, 2, 1]), { α: 1, σ: 1, t: 1 });
 * assertEquals([...await x̂0.data()], [1, 0]);
 * ```
 */
export function inpainting(denoise: Denoise, options: InpaintingOptions): Denoise {
  const { images, mask, generator = defaultGenerator } = options;
  const fill = (known: Tensor, drawn: Tensor) => tf.add(drawn, tf.mul(mask, tf.sub(known, drawn)));
  return (x, at) =>
    tf.tidy(() => {
      if (String(images.shape) !== String(x.shape)) {
        throw new RangeError(`inpainting: known images of shape [${images.shape}] for [${x.shape}]`);
      }
      const noised = mix(images, generator.fork().normal(images.shape), at);
      return fill(images, denoise(fill(noised, x), at));
    });
}

/** Angle below which two noises are mixed straight: there, sines say as much and divide by 0. */
const SMALL_ANGLE = 1e-3;

/**
 * Noise on the way from one to another along a great circle, so that it stays as large as noise is (Shoemake 1985; Ho et
 * al. 2020, figure 8 shows images in between).
 * @param from noise [N,H,W,C]
 * @param to noise of the same shape
 * @param share of the way, 0 to 1
 * @throws RangeError for noises of other shapes than each other's, or a share that is no number.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, Generator, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const generator = new Generator(1), [a, b] = [generator.normal([1, 32, 32, 1]), generator.normal([1, 32, 32, 1])];
 * const [size] = await tf.norm(diffusion.slerp(a, b, 0.5)).data();
 * assert(Math.abs(size / 32 - 1) < 0.1);
 * ```
 */
export function slerp(from: Tensor, to: Tensor, share: number): Tensor {
  if (String(from.shape) !== String(to.shape)) {
    throw new RangeError(`slerp: noises of shapes [${from.shape}] and [${to.shape}]`);
  }
  if (!Number.isFinite(share)) throw new RangeError(`slerp: share is a number, not ${share}`);
  return tf.tidy(() => {
    const axes = from.shape.map((_, axis) => axis).slice(1);
    const dot = (a: Tensor, b: Tensor) => tf.sum(tf.mul(a, b), axes, true);
    const cos = tf.div(dot(from, to), tf.sqrt(tf.mul(dot(from, from), dot(to, to))));
    const Ω = tf.acos(tf.clipByValue(cos, -1, 1)), sin = tf.maximum(tf.sin(Ω), SMALL_ANGLE);
    const straight = tf.lessEqual(tf.sin(Ω), SMALL_ANGLE);
    const part = (share: number) =>
      tf.where(straight, tf.fill(Ω.shape, share), tf.div(tf.sin(tf.mul(Ω, share)), sin));
    return tf.add(tf.mul(from, part(1 - share)), tf.mul(to, part(share)));
  });
}
