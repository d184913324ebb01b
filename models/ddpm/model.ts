/** The lesson's U-Net for DDPM, and its initialisation. */
import { init, type Parameter, type Tensor } from "../../core/mod.ts";
import { type ClassLabels, Downsample2D, ResnetBlock2D, UNet2D } from "../unet/mod.ts";

/** What {@link UNet} takes as one argument: xₜ alone, or with its t, or with t and classes. */
export type UNetInput = Tensor | [xt: Tensor, t: Tensor | number, classes?: ClassLabels];

/**
 * A UNet2DModel whose forward spreads the pair (xₜ, t) and gives the bare noise, with the same parameter names.
 * Source: lesson notebook 17.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { tf, UNet, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet({
 *   in_channels: 1,
 *   out_channels: 1,
 *   block_out_channels: [16, 32, 64, 64],
 *   norm_num_groups: 8,
 * });
 * const ε = model.call([tf.zeros([1, 32, 32, 1]), tf.tensor1d([7], "int32")]);
 * assert(ε.shape.join() === "1,32,32,1");
 * ```
 */
export class UNet extends UNet2D<[UNetInput, (Tensor | number)?, ClassLabels?], Tensor> {
  /**
   * The noise in images.
   * @param input xₜ [N,H,W,C], or the pair of it and t, or the three of it, t and classes
   * @param t timesteps [N], or one for all, where the input is xₜ alone
   * @param classes of the images, where the input is xₜ alone and the config has `num_class_embeds`
   * @throws Error if there is no t.
   */
  override forward(input: UNetInput, t?: Tensor | number, classes?: ClassLabels): Tensor {
    if (Array.isArray(input)) return this.predict(...input);
    if (t === undefined) throw new Error("UNet takes the pair (x, t), or both: there is no t");
    return this.predict(input, t, classes);
  }
}

/**
 * The lesson's initialisation (notebook 17): the second convolution of each residual block in down and up blocks has
 * weights 0, downsamplers are orthogonal, and the last convolution has weights 0, so that the output begins at its bias.
 */
// deno-lint-ignore no-explicit-any
export function initDdpm(model: UNet2D<any, any>): void {
  const zero = (p: Parameter) => p.assign(init.constant(p.shape, 0));
  for (const block of [...model.down_blocks, ...model.up_blocks]) {
    for (const [, part] of block.namedModules()) {
      if (part instanceof ResnetBlock2D) zero(part.conv2.weight);
      if (part instanceof Downsample2D) part.conv.weight.assign(init.orthogonal(part.conv.weight.shape));
    }
  }
  zero(model.conv_out.weight);
}
