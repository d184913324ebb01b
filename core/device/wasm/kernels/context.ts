/** What a kernel's JavaScript side needs: addresses, outputs and temporary memory. */
import type { TensorInfo } from "../../../tf.ts";
import type { WasmModule } from "../boot.ts";
import type { KernelPool } from "../pool.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** Most groups of images that partial filter gradients are kept for. */
export const MAX_GROUPS = 8;

/** The booted WASM device, as kernels see it. */
export class Context {
  constructor(readonly backend: Any, readonly module: WasmModule, readonly pool: KernelPool) {}

  /** A tensor's address, in bytes. */
  address(t: TensorInfo): number {
    return this.backend.dataIdMap.get(t.dataId).memoryOffset;
  }

  /** A float32 scalar's number. */
  scalar(t: TensorInfo): number {
    return new Float32Array(this.pool.memory.buffer)[this.address(t) / 4];
  }

  /** A new float32 tensor, its contents undefined. */
  output(shape: number[]): TensorInfo {
    return this.backend.makeOutput(shape, "float32");
  }

  /** Calls body with the address of memory for n floats, which is freed after it. */
  temporary<T>(floats: number, body: (address: number) => T): T {
    const at = this.module._malloc(floats * 4);
    try {
      return body(at);
    } finally {
      this.module._free(at);
    }
  }
}

/** Whether tensors are all of float32. */
export const areFloat = (...ts: TensorInfo[]): boolean => ts.every((t) => t.dtype === "float32");

/** The number of elements of a shape. */
export const size = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

/** Splits n units of work into about 16 tasks of at least `least` units, whatever the number of threads. */
export function share(n: number, least: number): { per: number; tasks: number } {
  const per = Math.max(least, Math.ceil(n / 16));
  return { per, tasks: Math.ceil(n / per) };
}
