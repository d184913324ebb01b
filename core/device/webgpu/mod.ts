/** The WGSL kernels, one file each; what has none is composed of tfjs's (`../composed.ts`). */
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
}
