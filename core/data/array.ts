/** Arrays on the host: what files and loaders hold before a device takes them. */
import { tf } from "../tf.ts";
import type { Tensor, TypedArray } from "../tf.ts";

/** A typed array with a shape. */
export class HostArray<T extends TypedArray = TypedArray> {
  /**
   * An array of these numbers.
   * @param data a Float32Array, Int32Array or Uint8Array; not copied
   * @param shape sizes of the axes, whole numbers from 0 on; none for a single number
   * @throws TypeError for another array; RangeError for another shape; Error if the shape does not hold as many
   *   elements as the data.
   */
  constructor(readonly data: T, readonly shape: number[]) {
    if (!(data instanceof Float32Array || data instanceof Int32Array || data instanceof Uint8Array)) {
      const kind = (data as object)?.constructor?.name ?? String(data);
      throw new TypeError(`A HostArray holds a Float32Array, Int32Array or Uint8Array, not ${kind}`);
    }
    if (!shape.every((n) => Number.isInteger(n) && n >= 0)) {
      throw new RangeError(`A HostArray's sizes are whole numbers from 0 on, not [${shape}]`);
    }
    const size = shape.reduce((a, b) => a * b, 1);
    if (size !== data.length) {
      throw new Error(`${data.length} numbers do not fill the shape [${shape}] of ${size}`);
    }
  }

  /**
   * Copies the array to the current device; the caller owns the tensor.
   * @returns float32 of a Float32Array, else int32, of this shape
   */
  toTensor(): Tensor {
    const { data, shape } = this;
    // The WebGPU backend keeps the array that it is given.
    if (data instanceof Float32Array) return tf.tensor(data.slice(), shape, "float32");
    return tf.tensor(new Int32Array(data), shape, "int32");
  }

  /** Copies a tensor to the host; bool becomes bytes of 0 and 1. The tensor stays the caller's. */
  static async from(x: Tensor): Promise<HostArray> {
    return new HostArray((await x.data() as TypedArray).slice(), x.shape); // WebGPU keeps what has been read
  }

  /** Copies tensors to the host, all at once: on WebGPU a read by itself costs a wait. They stay the caller's. */
  static async fromAll(tensors: Record<string, Tensor>): Promise<Record<string, HostArray>> {
    const reads = Object.entries(tensors).map(async ([name, x]) => [name, await HostArray.from(x)] as const);
    return Object.fromEntries(await Promise.all(reads));
  }
}
