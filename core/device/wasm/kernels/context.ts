/** What a kernel's JavaScript side needs: registration, addresses, outputs and temporary memory. */
import { type Kernel, type Op, type PlainKernel, registerKernel, replaceKernel } from "../../../ops/mod.ts";
import type { DataType, TensorInfo } from "../../../tf.ts";
import type { WasmModule } from "../boot.ts";
import { isFatal, type KernelPool } from "../pool.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** Most groups of images that partial filter gradients are kept for. */
export const MAX_GROUPS = 8;

/** The booted WASM device, as kernels see it. */
export class Context {
  /** What the kernel that runs has made. */
  #made: TensorInfo[] = [];

  constructor(
    readonly backend: Any,
    readonly module: WasmModule,
    readonly pool: KernelPool,
    readonly onClose: () => void,
  ) {}

  /**
   * Takes the device out at once, and ends its threads.
   * @returns when they have ended
   */
  close(): Promise<void> {
    this.onClose();
    return this.pool.close();
  }

  /** Registers a kernel of one of our ops. */
  kernel<I, A, O>(op: Op<I, A, O>, kernel: Kernel<I, A, O>): void {
    registerKernel("wasm", op, (inputs, attrs) => this.#freeing(() => kernel(inputs, attrs)));
  }

  /** Registers a kernel under one of tfjs's names, made from tfjs's own. */
  replace(name: string, make: (original: PlainKernel) => PlainKernel): void {
    replaceKernel("wasm", name, (original) => {
      const kernel = make(original);
      return (inputs, attrs) => this.#freeing(() => kernel(inputs, attrs));
    });
  }

  /** Runs a kernel, and frees its outputs if it fails: memory may be out. */
  #freeing<T>(body: () => T): T {
    const outer = this.#made;
    this.#made = [];
    try {
      return body();
    } catch (error) {
      if (!isFatal(error)) { for (const { dataId } of this.#made) this.backend.disposeData(dataId); }
      throw error;
    } finally {
      this.#made = outer;
    }
  }

  /** A tensor's address, in bytes. */
  address(t: TensorInfo): number {
    return this.backend.dataIdMap.get(t.dataId).memoryOffset;
  }

  /** A tensor's elements, in place; until memory is allocated. */
  values(t: TensorInfo): Float32Array | Int32Array | Uint8Array {
    return this.backend.typedArrayFromHeap(t);
  }

  /** A float32 scalar's number. */
  scalar(t: TensorInfo): number {
    return new Float32Array(this.pool.memory.buffer)[this.address(t) / 4];
  }

  /** A new tensor, its contents undefined. */
  output(shape: number[], dtype: DataType = "float32"): TensorInfo {
    const out = this.backend.makeOutput(shape, dtype);
    this.#made.push(out);
    return out;
  }

  /** Calls body with the address of memory for n floats, which is freed after it. */
  temporary<T>(floats: number, body: (address: number) => T): T {
    const at = this.module._malloc(floats * 4);
    try {
      const result = body(at);
      this.module._free(at);
      return result;
    } catch (error) {
      if (!isFatal(error)) this.module._free(at);
      throw error;
    }
  }
}

/** Whether tensors are all of float32. */
export const areFloat = (...ts: TensorInfo[]): boolean => ts.every((t) => t.dtype === "float32");

/** The number of elements of a shape. */
export const size = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

/** Splits n units of work into about 16 tasks of `least` to `most` units, whatever the number of threads. */
export function share(n: number, least: number, most = Infinity): { per: number; tasks: number } {
  const per = Math.min(most, Math.max(least, Math.ceil(n / 16)));
  return { per, tasks: Math.ceil(n / per) };
}
