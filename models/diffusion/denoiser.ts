/** What a sampler needs of a model: x̂₀ of noisy images. */
import { type Module, noGrad, type Tensor, tf, withMode } from "../../core/mod.ts";
import { type NoiseLevel, parametrisation, type Prediction } from "./parametrisation.ts";

/** x̂₀ of images xₜ at a level. The caller frees it. */
export type Denoise = (x: Tensor, at: NoiseLevel) => Tensor;

/** x̂₀ of images xₜ at a level, where they are of these classes, int32 [N]; without them of any. */
export type ClassDenoise = (x: Tensor, at: NoiseLevel, classes?: Tensor) => Tensor;

/**
 * A network that samples are drawn with: called with xₜ, what it is told of the level, and the images' classes where
 * there are any, it gives its prediction, bare or as `{ sample }`.
 */
// deno-lint-ignore no-explicit-any
export type DiffusionModel = Module<any, any>;

/** Options of {@link denoiser}. */
export interface DenoiserOptions {
  /** What the network says; default `epsilon`. */
  prediction?: Prediction;
  /** Standard deviation of the images' pixels, for `edm`; default 0.5. */
  sigmaData?: number;
  /**
   * Whether the network gives, in as many channels behind its prediction, where the variance of a step lies between
   * its bounds (Nichol & Dhariwal 2021, section 3.1): −1 for the lower one, 1 for the upper; default false. x̂₀ then has
   * them behind it as well, for a sampler that uses them.
   */
  learnedRange?: boolean;
}

/**
 * x̂₀ by a network. It is called in evaluation mode and its work is not recorded; afterwards each module is in the mode
 * it was.
 * @throws RangeError for an unknown prediction; when called, if the network gives another shape than its input's (with
 *   `learnedRange`, twice the channels), or at pure noise, of which ε says nothing.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, tf, UNet, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet({ in_channels: 1, out_channels: 1, block_out_channels: [8, 8, 8, 8], norm_num_groups: 4 });
 * const denoise = diffusion.denoiser(model, { prediction: "v_prediction" });
 * const x̂0 = denoise(tf.zeros([2, 8, 8, 1]), { α: 0.6, σ: 0.8, t: 500 });
 * assert(x̂0.shape.join() === "2,8,8,1");
 * ```
 */
export function denoiser(model: DiffusionModel, options: DenoiserOptions = {}): ClassDenoise {
  const { prediction = "epsilon", sigmaData, learnedRange = false } = options;
  const { input, toSample } = parametrisation(prediction, sigmaData);
  const run = (x: Tensor, at: NoiseLevel, classes?: Tensor): Tensor => {
    if (at.α === 0 && (prediction === "epsilon" || prediction === "edm")) {
      throw new RangeError(`denoiser: of pure noise (α 0) a network of ${prediction} says nothing of x₀`);
    }
    const told = input?.(x, at) ?? [x, at.t];
    const result = model.call(...told, ...(classes ? [classes] : []));
    const output: Tensor = result.sample ?? result;
    const channels = x.shape.at(-1)!, shape = x.shape.with(-1, learnedRange ? 2 * channels : channels);
    if (String(output.shape) !== String(shape)) {
      throw new RangeError(
        `denoiser: the model gives [${output.shape}] for images of [${x.shape}], not [${shape}]`,
      );
    }
    if (!learnedRange) return toSample(x, output, at);
    const [said, range] = tf.split(output, 2, -1);
    return tf.concat([toSample(x, said, at), range], -1);
  };
  return (x, at, classes) => withMode(model, false, () => noGrad(() => tf.tidy(() => run(x, at, classes))));
}

/** x̂₀ where the images are of these classes, int32 [N]. */
export function ofClasses(denoise: ClassDenoise, classes: Tensor): Denoise {
  return (x, at) => denoise(x, at, classes);
}
