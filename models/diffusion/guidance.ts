/** Classifier-free guidance (Ho & Salimans 2022). */
import { type Tensor, tf } from "../../core/mod.ts";
import type { ClassDenoise, Denoise } from "./denoiser.ts";

/** Options of {@link guided}. */
export interface GuidanceOptions {
  /** How far to go from what any class may be towards the class: 0 no class, 1 the class as it is, over 1 more of it. */
  scale: number;
  /** The number by which the network is told no class. */
  none: number;
  /**
   * σ/α above the first and up to the second of which guidance acts (Kynkäänniemi et al. 2024, section 3); elsewhere the
   * class is told as it is, in one evaluation of half the images. Default everywhere.
   */
  interval?: readonly [low: number, high: number];
}

/**
 * x̂₀ of classes, guided: D(x) + scale·(D(x; c) − D(x)) (paper, eq. 6, where its w is scale − 1). The network is asked
 * once, of a batch of twice the images.
 * @param denoise of a network that was trained with some classes not told
 * @param classes of the images, int32 [N]; they stay the caller's
 * @throws RangeError for options that are no numbers; when called, for as many classes as there are not images.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const denoise: diffusion.ClassDenoise = (_, __, c) => tf.reshape(tf.cast(c!, "float32"), [-1, 1, 1, 1]);
 * const guided = diffusion.guided(denoise, tf.tensor1d([3, 4], "int32"), { scale: 2, none: 10 });
 * const x̂0 = guided(tf.zeros([2, 1, 1, 1]), { α: 1, σ: 1, t: 1 });
 * assertEquals([...await x̂0.data()], [10 + 2 * (3 - 10), 10 + 2 * (4 - 10)]);
 * ```
 */
export function guided(denoise: ClassDenoise, classes: Tensor, options: GuidanceOptions): Denoise {
  const { scale, none, interval: [low, high] = [0, Infinity] } = options;
  if (!Number.isFinite(scale)) throw new RangeError(`guided: scale is a number, not ${scale}`);
  if (!Number.isInteger(none)) throw new RangeError(`guided: none is a class's number, not ${none}`);
  if (!(low >= 0 && low < high)) {
    throw new RangeError(`guided: interval is a range [low, high] of σ/α, not [${low}, ${high}]`);
  }
  return (x, at) => {
    const [n] = x.shape, ratio = at.σ / at.α;
    if (String(classes.shape) !== String([n])) {
      throw new RangeError(`guided: classes of the shape [${classes.shape}] for ${n} images`);
    }
    if (scale === 1 || !(ratio > low && ratio <= high)) return denoise(x, at, classes);
    return tf.tidy(() => {
      const no = tf.fill([n], none, "int32");
      if (scale === 0) return denoise(x, at, no);
      const both = denoise(tf.concat([x, x]), at, tf.concat([classes, no]));
      const [of, any] = tf.split(both, 2);
      return tf.add(any, tf.mul(tf.sub(of, any), scale));
    });
  };
}
