/** Starts the WASM device: tfjs's backend over a shared memory, our kernels and their threads beside it. */
import { bootWasm } from "./boot.ts";
import { KernelPool } from "./pool.ts";
import { Context } from "./kernels/context.ts";
import { registerBatchNorm } from "./kernels/batchnorm.ts";
import { registerConv } from "./kernels/conv.ts";
import { registerFused } from "./kernels/fused.ts";
import { registerLoss } from "./kernels/loss.ts";
import { registerMatMul } from "./kernels/matmul.ts";
import { registerPlain } from "./kernels/plain.ts";

let context: Promise<Context> | undefined;

/**
 * The running WASM device; starts it on the first call, with that many threads over shared memory, or on one thread
 * without.
 */
export function startWasm(threads: number, shared = true): Promise<Context> {
  context ??= (async () => {
    const { backend, module, memory } = await bootWasm(shared);
    const pool = await KernelPool.start(memory, module, threads);
    const ctx = new Context(backend, module, pool);
    for (
      const register of [
        registerConv,
        registerMatMul,
        registerFused,
        registerBatchNorm,
        registerLoss,
        registerPlain,
      ]
    ) {
      register(ctx);
    }
    return ctx;
  })();
  return context;
}
