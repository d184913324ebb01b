/** What the blocks of the U-Net are made with in common, and what they refuse. */
import type { Activation } from "./activation.ts";

/** What the norms of a block are made with. */
export interface NormOptions {
  /** Groups of the norms; they divide the channels. */
  groups: number;
  /** Epsilon of the norms, above 0. */
  eps: number;
}

/** How a residual block is told the timestep: its embedding added, or a scale and a shift of the second norm. */
export type TimeScaleShift = "default" | "scale_shift";

/** What all residual blocks of a network have in common. */
export interface StyleOptions extends NormOptions {
  /** The activation; default `"silu"`. */
  act?: Activation;
  /** How the timestep's embedding comes in; default `"default"`, added to the image before the second norm. */
  timeScaleShift?: TimeScaleShift;
  /** Probability of a zero before the second convolution, in training, from 0 to 1; default 0. */
  dropout?: number;
}

/** What {@link DownBlock}, {@link UpBlock} and their kin with a skip image are made with. */
export interface BlockOptions extends StyleOptions {
  /** Channels of the input; of an up block, those of the last skip connection. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Channels of the time embedding. */
  tembChannels: number;
  /** Residual blocks, one at least. */
  layers: number;
  /** Whether attention follows each residual block; in a {@link SkipUpBlock} the last one. */
  addAttention: boolean;
  /** Channels of an attention head; null for one head. */
  headDim: number | null;
}

/** @throws RangeError unless a number by which an output is divided is above 0. */
export function requireDivisor(block: string, name: string, value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new RangeError(`${block}: ${name} is a number above 0, not ${value}`);
}

/** @throws RangeError unless a block has a whole number of layers, one at least. */
export function requireLayers(block: string, layers: number): void {
  if (Number.isInteger(layers) && layers >= 1) return;
  throw new RangeError(`${block}: layers is a positive whole number, not ${layers}`);
}

/** @throws Error unless there are as many skip connections as residual blocks. */
export function requireSkips(block: string, blocks: number, skips: number): void {
  if (skips !== blocks) throw new Error(`${block} takes ${blocks} skip connections, not ${skips}`);
}
