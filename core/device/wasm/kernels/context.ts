/** What a kernel's JavaScript side needs: addresses, outputs, temporaries, and registration. */
import { tf } from "../../../tf.ts";
import type { Attrs, TensorInfo } from "../../../tf.ts";
import type { WasmModule } from "../boot.ts";
import type { KernelPool } from "../pool.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
/** A kernel as tfjs calls it. */
export type KernelFunc = (
  inputs: Record<string, TensorInfo>,
  attrs: Any,
) => TensorInfo | TensorInfo[];

/** The booted WASM device, as kernels see it. */
export class Context {
  constructor(readonly backend: Any, readonly module: WasmModule, readonly pool: KernelPool) {}

  /** A tensor's address. */
  at(t: TensorInfo): number {
    return this.backend.dataIdMap.get(t.dataId).memoryOffset;
  }

  /** A new float32 tensor, its contents undefined. */
  output(shape: number[]): TensorInfo {
    return this.backend.makeOutput(shape, "float32");
  }

  /** Calls body with the address of n temporary floats. */
  temporary<T>(floats: number, body: (at: number) => T): T {
    const at = this.module._malloc(floats * 4);
    try {
      return body(at);
    } finally {
      this.module._free(at);
    }
  }

  /** Registers a kernel for this device. `original` is tfjs's own of that name, where it has one. */
  register(
    name: string,
    make: (original: KernelFunc | undefined) => KernelFunc,
  ): void {
    const old = tf.getKernel(name, "wasm");
    const { backend } = this;
    if (old) {
      old.setupFunc?.(backend);
      tf.unregisterKernel(name, "wasm");
    }
    const original: KernelFunc | undefined = old &&
      ((inputs, attrs) => old.kernelFunc({ inputs, attrs, backend } as Any) as TensorInfo);
    const kernel = make(original);
    tf.registerKernel({
      kernelName: name,
      backendName: "wasm",
      kernelFunc: ({ inputs, attrs }) => kernel(inputs as Record<string, TensorInfo>, attrs as Attrs),
    });
  }
}

/** Floats of a task of the elementwise kernels, as in the module. */
export const CHUNK = 16384;

/** The number of elements of a shape. */
export const size = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

/** Splits n units of work into about 16 tasks of at least `least` units, whatever the number of threads. */
export function share(n: number, least: number): { per: number; tasks: number } {
  const per = Math.max(least, Math.ceil(n / 16));
  return { per, tasks: Math.ceil(n / per) };
}
