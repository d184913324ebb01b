/** The two roofs: how fast the register tile runs on packed panels in the cache, and how fast memory is copied. */
import { Kernel } from "../core/device/wasm/assembly/abi.ts";
import type { KernelPool } from "../core/device/wasm/pool.ts";
import { measure } from "./measure.ts";

/** Rates by number of threads. */
export interface Peaks {
  /** GFLOP/s of the 6×8 tile on cache-resident packed panels. */
  gflops: Record<number, number>;
  /** GB/s of copying, read and written bytes counted. */
  gbytes: Record<number, number>;
}

/** Measures both. */
export async function peaks(pool: KernelPool, threadCounts: number[]): Promise<Peaks> {
  const found: Peaks = { gflops: {}, gbytes: {} };
  // A[24,256]·B[256,32]: 24 KiB and 32 KiB, the same for every task
  const [m, n, k, batch] = [24, 32, 256, 2000];
  const floats = m * k + k * n + m * n;
  const at = pool.malloc._malloc(4 * floats);
  const size = 1 << 24, rows = size / 4096;
  const memory = pool.malloc._malloc(8 * size);
  new Float32Array(pool.memory.buffer, at, floats).fill(0.5);
  new Float32Array(pool.memory.buffer, memory, 2 * size).fill(0.5);
  const [a, panels, out] = [at, at + 4 * m * k, at + 4 * (m * k + k * n)];
  for (const threads of threadCounts) {
    pool.limitThreads(threads);
    const multiply = () =>
      pool.run(Kernel.matmul, batch, {
        a,
        aBatchStep: 0,
        aRowStep: k,
        transposeA: false,
        panels,
        panelBatchStep: 0,
        m,
        n,
        k,
        out,
        outBatchStep: 0,
        outRowStep: n,
        bias: undefined,
        add: undefined,
        rowsPerTask: m,
      });
    found.gflops[threads] = 2 * m * n * k * batch / await measure(multiply, 300) / 1e6;
    const copy = () =>
      pool.run(Kernel.copyColumns, 64, {
        from: memory,
        fromStep: 4096,
        to: memory + 4 * size,
        toStep: 4096,
        width: 4096,
        rows,
        rowsPerTask: rows / 64,
      });
    found.gbytes[threads] = 8 * size / await measure(copy, 300) / 1e6;
  }
  pool.malloc._free(at);
  pool.malloc._free(memory);
  return found;
}
