/** All of our operations, in one list. */
import { AdamStep } from "./adam.ts";
import { Attention, AttentionGrad } from "./attention.ts";
import { BatchNorm, BatchNormGrad, ChannelAffine } from "./batchnorm.ts";
import { Conv2d, Conv2dFilterGrad, Conv2dInputGrad } from "./conv.ts";
import { AddChannels, Gelu, GeluGrad, GeneralRelu, GeneralReluGrad, Silu, SiluGrad } from "./elementwise.ts";
import { GroupNorm, GroupNormGrad } from "./groupnorm.ts";
import { CrossEntropy, CrossEntropyGrad, MseLoss, MseLossGrad } from "./loss.ts";
import { UnscaleGrads, UpdateLossScale } from "./loss_scale.ts";
import { Linear } from "./matmul.ts";
import { isOtherInUse } from "../device/copies.ts";
import { type AnyOp, register } from "./op.ts";
import { Random } from "./random.ts";
import { SumPixels } from "./reduce.ts";
import { AveragePool, AveragePoolGrad, Upsample, UpsampleGrad } from "./resample.ts";
import { LogSoftmaxGrad, SoftmaxGrad } from "./softmax.ts";

/** Every op by its name. */
export const OPS = {
  Conv2d,
  Conv2dInputGrad,
  Conv2dFilterGrad,
  Linear,
  GroupNorm,
  GroupNormGrad,
  BatchNorm,
  BatchNormGrad,
  ChannelAffine,
  Attention,
  AttentionGrad,
  Silu,
  SiluGrad,
  Gelu,
  GeluGrad,
  GeneralRelu,
  GeneralReluGrad,
  AddChannels,
  SumPixels,
  AveragePool,
  AveragePoolGrad,
  Upsample,
  UpsampleGrad,
  SoftmaxGrad,
  LogSoftmaxGrad,
  MseLoss,
  MseLossGrad,
  CrossEntropy,
  CrossEntropyGrad,
  AdamStep,
  UnscaleGrads,
  UpdateLossScale,
  Random,
} satisfies Record<string, AnyOp>;

/** Which copy of the library has registered its ops last, see `device/copies.ts`. */
const KEY = Symbol.for("@denoise/denoise ops");
const HERE = import.meta.url;
const program = globalThis as unknown as Record<symbol, string | undefined>;

/** Registers all ops, unless those that are registered are this copy's. */
export function registerOps(): void {
  if (program[KEY] === HERE) return;
  program[KEY] = HERE;
  for (const op of Object.values<AnyOp>(OPS)) register(op);
}

// Those that another copy computes with stay.
if (!isOtherInUse()) registerOps();
