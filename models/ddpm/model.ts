/** The lesson's U-Net for DDPM, and its initialisation. */
import { init, type Parameter, type Tensor } from "../../core/mod.ts";
import { UNet2D } from "../unet/mod.ts";

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
export class UNet extends UNet2D<[Tensor | [Tensor, Tensor | number], (Tensor | number)?], Tensor> {
  /** @param input xₜ [N,H,W,C], or the pair of it and t [N] @param t where the input is xₜ alone */
  override forward(input: Tensor | [Tensor, Tensor | number], t?: Tensor | number): Tensor {
    if (Array.isArray(input)) return this.predict(...input);
    if (t === undefined) throw new Error("UNet takes the pair (x, t), or both: there is no t");
    return this.predict(input, t);
  }
}

/**
 * The lesson's initialisation (notebook 17): every residual block begins as the identity (the second convolution's
 * weight 0, in down and up blocks), downsamplers are orthogonal, and the network's output begins at its bias.
 */
// deno-lint-ignore no-explicit-any
export function initDdpm(model: UNet2D<any, any>): void {
  const zero = (p: Parameter) => p.assign(init.constant(p.shape, 0));
  for (const block of [...model.down_blocks, ...model.up_blocks]) {
    for (const resnet of block.resnets) zero(resnet.conv2.weight);
  }
  for (const { downsamplers } of model.down_blocks) {
    for (const { conv } of downsamplers) conv.weight.assign(init.orthogonal(conv.weight.shape));
  }
  zero(model.conv_out.weight);
}
