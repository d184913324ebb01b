/** Our own operations: types, checks, reference bodies and gradient rules; see `op.ts`. */
export {
  type AnyOp,
  type Backend,
  type Gradient,
  gradient,
  type Infos,
  type InOrder,
  type Kernel,
  type None,
  type Op,
  opsByReference,
  type PlainKernel,
  register,
  registerKernel,
  replaceKernel,
  run,
} from "./op.ts";
export { OPS } from "./table.ts";
export { type AdamEntry, AdamStep } from "./adam.ts";
export { Attention, AttentionGrad } from "./attention.ts";
export { BatchNorm, BatchNormGrad, ChannelAffine } from "./batchnorm.ts";
export { Conv2d, Conv2dFilterGrad, Conv2dInputGrad, convShape } from "./conv.ts";
export { AddChannels, Gelu, GeluGrad, GeneralRelu, GeneralReluGrad, Silu, SiluGrad } from "./elementwise.ts";
export { GroupNorm, GroupNormGrad, requireGroups } from "./groupnorm.ts";
export { CrossEntropy, CrossEntropyGrad, MseLoss, MseLossGrad } from "./loss.ts";
export { UnscaleGrads, UpdateLossScale } from "./loss_scale.ts";
export { Linear, requireBatches } from "./matmul.ts";
export { Random, threefry, threefryBlock } from "./random.ts";
export { SumPixels } from "./reduce.ts";
export { AveragePool, AveragePoolGrad, Upsample, UpsampleGrad } from "./resample.ts";
export { LogSoftmaxGrad, SoftmaxGrad } from "./softmax.ts";
