/** The activations of a U-Net by Diffusers' names. */
import { F, type Tensor } from "../../../core/mod.ts";

/** An activation by Diffusers' name; `"swish"` is SiLU too. */
export type Activation = "silu" | "swish" | "mish" | "gelu" | "relu";

/** What each name computes, of any shape. */
export const ACTIVATIONS: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  silu: F.silu,
  swish: F.silu,
  mish: F.mish,
  gelu: F.gelu,
  relu: F.relu,
};
