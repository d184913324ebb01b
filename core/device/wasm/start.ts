/** Starts the WASM device: tfjs's backend over a shared memory, our kernels and their threads beside it. */
import { castInputs } from "../../ops/dtypes.ts";
import { takeNoElements } from "../../ops/no_elements.ts";
import type { TensorInfo } from "../../tf.ts";
import { formerBackend, installBackend, removeBackend, restoreBackend } from "../backend.ts";
import { bootWasm } from "./boot.ts";
import { registerAdam } from "./kernels/adam.ts";
import { registerAttention } from "./kernels/attention.ts";
import { registerBatchNorm } from "./kernels/batchnorm.ts";
import { registerConcat } from "./kernels/concat.ts";
import { Context } from "./kernels/context.ts";
import { registerConv } from "./kernels/conv.ts";
import { registerElementwise } from "./kernels/elementwise.ts";
import { registerGroupNorm } from "./kernels/groupnorm.ts";
import { registerLoss } from "./kernels/loss.ts";
import { registerMatMul } from "./kernels/matmul.ts";
import { registerRandom } from "./kernels/random.ts";
import { registerReduce } from "./kernels/reduce.ts";
import { registerResample } from "./kernels/resample.ts";
import { registerSoftmax } from "./kernels/softmax.ts";
import { KernelPool } from "./pool.ts";

const REGISTER = [
  registerAdam,
  registerAttention,
  registerBatchNorm,
  registerConcat,
  registerConv,
  registerElementwise,
  registerGroupNorm,
  registerLoss,
  registerMatMul,
  registerRandom,
  registerReduce,
  registerResample,
  registerSoftmax,
];

let context: Promise<Context> | undefined;

/**
 * The running WASM device, started on the first call.
 * @param threads kernel threads, the caller's included
 * @param shared whether the memory is shared with them; without it there is only the caller's
 */
export function startWasm(threads: number, shared = true): Promise<Context> {
  context ??= start(threads, shared).catch((error) => {
    context = undefined; // so that it can be tried again
    throw error;
  });
  return context;
}

async function start(threads: number, shared: boolean): Promise<Context> {
  const former = formerBackend("wasm");
  try {
    const { backend, module, memory } = await bootWasm(shared);
    const addressOf = ({ dataId }: TensorInfo) => backend.dataIdMap.get(dataId).memoryOffset;
    const pool = await KernelPool.start({ memory, malloc: module, addressOf, threads });
    const made = new Context(backend, module, pool, () => {
      context = undefined;
      removeBackend(former, backend);
    });
    installBackend("wasm", backend, () => {
      for (const register of REGISTER) register(made);
      castInputs("wasm");
      takeNoElements("wasm");
    });
    return made;
  } catch (error) {
    restoreBackend(former);
    throw error;
  }
}
