/** The lesson's U-Net for DDPM, and its initialisation. */
import { init, type Module, type Parameter, type Tensor } from "../../core/mod.ts";
import { type UNet2DConfig, UNet2DModel } from "../unet/mod.ts";

/** UNet2DModel's constructor without the types of its forward, which {@link UNet} changes. */
const Spread = UNet2DModel as unknown as new (
  config?: Partial<UNet2DConfig>,
) => UNetParts & Concrete;

// deno-lint-ignore no-explicit-any
type Concrete = Omit<Module<any[], any>, "forward"> & { forward(...inputs: any[]): any };

/** What of the network other code looks at. */
type UNetParts = Pick<
  UNet2DModel,
  "config" | "conv_in" | "time_embedding" | "down_blocks" | "mid_block" | "up_blocks" | "conv_out"
>;

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
export class UNet extends Spread {
  /** @param input xₜ [N,H,W,C], or the pair of it and t [N] @param t where the input is xₜ alone */
  override forward(input: Tensor | [Tensor, Tensor], t?: Tensor | number): Tensor {
    const [x, steps] = Array.isArray(input) ? input : [input, t];
    return super.forward(x, steps).sample;
  }
}

/**
 * The lesson's initialisation (notebook 17): every residual block begins as the identity (the second convolution's
 * weight 0, in down and up blocks), downsamplers are orthogonal, and the network's output begins at its bias.
 */
export function initDdpm(model: UNetParts): void {
  const zero = (p: Parameter) => p.assign(init.constant(p.shape, 0));
  for (const block of [...model.down_blocks, ...model.up_blocks]) {
    for (const resnet of block.resnets) zero(resnet.conv2.weight);
  }
  for (const { downsamplers } of model.down_blocks) {
    for (const { conv } of downsamplers) conv.weight.assign(init.orthogonal(conv.weight.shape));
  }
  zero(model.conv_out.weight);
}
