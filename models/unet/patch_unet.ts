/** PatchUNet. */
import { type Tensor, tf } from "../../core/mod.ts";
import { completeConfig, type UNet2DConfig } from "./config.ts";
import { type ClassLabels, UNet2D } from "./unet.ts";

/** The fields of a {@link PatchUNet}'s config. */
export interface PatchUNetConfig extends UNet2DConfig {
  /** Height and width of the patches of pixels that the network sees as one; default 2. */
  patch_size: number;
}

/** @throws RangeError unless the side of a patch is a positive whole number. */
function requireSide(name: string, p: number): void {
  if (Number.isInteger(p) && p >= 1) return;
  throw new RangeError(`${name}: the side of a patch is a positive whole number, not ${p}`);
}

/**
 * The pixels of a patch side by side in the channels.
 * @param x images [N,H,W,C]
 * @param p height and width of a patch, which divides H and W
 * @returns [N,H/p,W/p,p·p·C]
 * @throws RangeError for another p, or other images.
 */
export function toPatches(x: Tensor, p: number): Tensor {
  requireSide("toPatches", p);
  const [n, h, w, c] = x.shape;
  if (x.shape.length !== 4 || h % p || w % p) {
    throw new RangeError(`toPatches: images [N,H,W,C] of whole patches of ${p}×${p}, not [${x.shape}]`);
  }
  return tf.tidy(() => {
    const split = tf.reshape(x, [n, h / p, p, w / p, p * c]);
    return tf.reshape(tf.transpose(split, [0, 1, 3, 2, 4]), [n, h / p, w / p, p * p * c]);
  });
}

/**
 * The images of {@link toPatches}' patches.
 * @param x patches [N,H,W,p·p·C]
 * @param p height and width of a patch
 * @returns [N,H·p,W·p,C]
 * @throws RangeError for another p, or other channels.
 */
export function fromPatches(x: Tensor, p: number): Tensor {
  requireSide("fromPatches", p);
  const [n, h, w, channels] = x.shape;
  if (x.shape.length !== 4 || channels % (p * p)) {
    throw new RangeError(`fromPatches: patches [N,H,W,${p * p}·C], not [${x.shape}]`);
  }
  const c = channels / (p * p);
  return tf.tidy(() => {
    const split = tf.reshape(x, [n, h, w, p, p * c]);
    return tf.reshape(tf.transpose(split, [0, 1, 3, 2, 4]), [n, h * p, w * p, c]);
  });
}

/** What {@link PatchUNet} takes as one argument: x alone, or with its t, or with t and classes. */
export type PatchUNetInput = Tensor | [x: Tensor, t: Tensor | number, classes?: ClassLabels];

/**
 * A UNet2DModel over patches of pixels in place of pixels (Shi et al. 2016, the pixel shuffle; Dosovitskiy et al. 2021):
 * with patches of 2×2 the largest images that blocks see have a quarter of the pixels, and a step costs about a third.
 * `in_channels` and `out_channels` are those of the images. Parameter names are UNet2DModel's.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { tf, unet, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new unet.PatchUNet({
 *   patch_size: 2,
 *   in_channels: 1,
 *   out_channels: 1,
 *   block_out_channels: [16, 32],
 *   down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
 *   up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
 *   norm_num_groups: 8,
 *   num_class_embeds: 10,
 * });
 * const y = model.call(tf.zeros([2, 28, 28, 1]), 0.5, tf.tensor1d([3, 9], "int32"));
 * assert(y.shape.join() === "2,28,28,1");
 * ```
 */
export class PatchUNet extends UNet2D<[PatchUNetInput, (Tensor | number)?, ClassLabels?], Tensor> {
  /** Height and width of a patch. */
  readonly patchSize: number;

  /**
   * Makes the parts with random weights.
   * @param config fields that differ from {@link UNET2D_DEFAULTS}, and the patch's size
   * @throws Error as UNet2DModel, and for a patch_size that is no positive whole number.
   */
  constructor(config: Partial<PatchUNetConfig> = {}) {
    const { patch_size = 2, ...fields } = config;
    if (!Number.isInteger(patch_size) || patch_size < 1) {
      throw new Error(`PatchUNet: patch_size must be a positive whole number, not ${patch_size}`);
    }
    const { in_channels, out_channels } = completeConfig(fields), pixels = patch_size ** 2;
    super({ ...fields, in_channels: in_channels * pixels, out_channels: out_channels * pixels });
    this.patchSize = patch_size;
  }

  /** The whole config, with the images' channels. */
  override get config(): PatchUNetConfig {
    const inner = super.config, pixels = this.patchSize ** 2;
    return {
      ...inner,
      in_channels: inner.in_channels / pixels,
      out_channels: inner.out_channels / pixels,
      patch_size: this.patchSize,
    };
  }

  /**
   * What the network says of images.
   * @param input x [N,H,W,C], or the pair of it and t, or the three of it, t and classes
   * @param t timesteps [N], or one for all, where the input is x alone
   * @param classes of the images, where the input is x alone and the config has `num_class_embeds`
   * @returns [N,H,W,out_channels]
   * @throws Error if there is no t; RangeError unless the patches divide the images.
   */
  override forward(input: PatchUNetInput, t?: Tensor | number, classes?: ClassLabels): Tensor {
    const [x, step, labels] = Array.isArray(input) ? input : [input, t, classes];
    if (step === undefined) throw new Error("PatchUNet takes the pair (x, t), or both: there is no t");
    const y = this.predict(toPatches(x, this.patchSize), step, labels);
    return fromPatches(y, this.patchSize);
  }
}
