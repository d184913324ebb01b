/** The WGSL kernels, one file each. */
import { registerAdam } from "./adam.ts";
import { registerAttention } from "./attention.ts";
import { registerBatchNorm } from "./batchnorm.ts";
import { registerConv } from "./conv.ts";
import { registerElementwise } from "./elementwise.ts";
import type { Gpu } from "./gpu.ts";
import { registerGroupNorm } from "./groupnorm.ts";
import { registerLoss } from "./loss.ts";
import { registerMatMul } from "./matmul.ts";
import { registerRandom } from "./random.ts";
import { registerReduce } from "./reduce.ts";
import { registerScale } from "./scale.ts";

export { Gpu } from "./gpu.ts";

/** Registers them all. */
export function registerWgsl(gpu: Gpu): void {
  registerAdam(gpu);
  registerAttention(gpu);
  registerBatchNorm(gpu);
  registerConv(gpu);
  registerElementwise(gpu);
  registerGroupNorm(gpu);
  registerLoss(gpu);
  registerMatMul(gpu);
  registerRandom(gpu);
  registerReduce(gpu);
  registerScale(gpu);
}
