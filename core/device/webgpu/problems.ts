/** What goes wrong on a device, of which it tells later: kernels, reads and loops throw it. */
import { tf } from "../../tf.ts";
import { DeviceError } from "../device_error.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** How long after the first command that fails the device may report why. */
const REPORT_WAIT_MS = 20;
/** A tensor of no elements has a buffer too: an empty one cannot be bound. */
const MIN_BUFFER_BYTES = 4;

/** The problems of a device. */
export class Problems {
  /** What ended the device's use, if anything has: thrown from then on. */
  failure: DeviceError | null = null;
  /** A command that the device would not do: thrown once, and the device goes on. */
  #refusal: DeviceError | null = null;

  /** Listens to a device. */
  constructor(device: GPUDevice) {
    device.addEventListener("uncapturederror", (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      if (error instanceof GPUOutOfMemoryError) {
        this.fail(`The WebGPU device is out of memory: use a smaller batch (${error.message})`);
      } else this.refuse(error.message);
    });
    device.lost.then(({ reason, message }) => {
      this.fail(`The WebGPU device was lost (${reason || "unknown reason"}${message ? `: ${message}` : ""})`);
    });
  }

  /** Ends the device's use. */
  fail(problem: string): void {
    this.failure ??= new DeviceError(
      `${problem}. Nothing more can be computed on it in this process; a checkpoint can be resumed in another, ` +
        'also on `useDevice("wasm")`',
    );
  }

  /** Notes a command that the device would not do. */
  refuse(problem: string): void {
    this.#refusal ??= new DeviceError(
      `The WebGPU device refused a command, and what was computed since is not right: ${problem}`,
    );
  }

  /** @throws DeviceError if anything went wrong; for a refused command once. */
  throwAny(): void {
    const problem = this.failure ?? this.#refusal;
    this.#refusal = null;
    if (problem) throw problem;
  }

  /** Makes reads from tfjs's backend fail after a problem, when what is read is not what was computed. */
  guardReads(backend: Any): void {
    const read = backend.read.bind(backend), keep = backend.convertAndCacheOnCPU.bind(backend);
    // A tensor may be disposed of while it is read.
    backend.convertAndCacheOnCPU = (dataId: object, values: unknown) =>
      backend.tensorMap.has(dataId) ? keep(dataId, values) : values;
    backend.read = async (dataId: object) => {
      if (!backend.tensorMap.has(dataId)) return await read(dataId); // which throws
      const { shape, dtype } = backend.tensorMap.get(dataId);
      if (tf.util.sizeFromShape(shape) === 0) return tf.util.getTypedArrayFromDType(dtype, 0);
      const values = await read(dataId).catch(async (error: Error) => {
        await new Promise((resolve) => setTimeout(resolve, REPORT_WAIT_MS));
        if (!this.#refusal) this.fail(`The WebGPU device could not be read (${error.message})`);
      });
      this.throwAny();
      return values;
    };
  }
}

/** Makes tfjs's backend refuse buffers that the device cannot bind. */
export function guardBuffers(
  { bufferManager }: Any,
  { maxBufferSize, maxStorageBufferBindingSize }: GPUSupportedLimits,
): void {
  const acquire = bufferManager.acquireBuffer.bind(bufferManager);
  const most = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  bufferManager.acquireBuffer = (bytes: number, ...rest: unknown[]) => {
    if (bytes <= most) return acquire(Math.max(bytes, MIN_BUFFER_BYTES), ...rest);
    throw new DeviceError(
      `A tensor of ${bytes} bytes is too large for this WebGPU device, whose largest is ${most}: use a smaller batch`,
    );
  };
}
