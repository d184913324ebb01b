/** What goes wrong on a device, of which it tells later: kernels, reads and loops throw it. */
import { tf } from "../../tf.ts";
import { DeviceError } from "../device_error.ts";
import type { Trial, Trials } from "./trials.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** How long after the first command that fails the device may report why. */
const REPORT_WAIT_MS = 20;
/** A tensor of no elements has a buffer too: an empty one cannot be bound. */
const MIN_BUFFER_BYTES = 4;
/** Smaller buffers are not put on trial: where there is no memory for one, there is none for a larger one of the same step. */
const MIN_TRIAL_BYTES = 2 ** 20;

/** The problems of a device. */
export class Problems {
  /** What ended the device's use, if anything has: thrown from then on. */
  failure: DeviceError | null = null;
  /** A command that the device would not do: thrown once, and the device goes on. */
  #refusal: DeviceError | null = null;

  /** Listens to a device. */
  constructor(device: GPUDevice) {
    device.addEventListener("uncapturederror", (event) => {
      this.refuse((event as GPUUncapturedErrorEvent).error.message);
    });
    device.lost.then(({ reason, message }) => {
      this.fail(`The WebGPU device was lost (${reason || "unknown reason"}${message ? `: ${message}` : ""})`);
    });
  }

  /** Ends the device's use. */
  fail(problem: string): void {
    this.failure ??= new DeviceError(
      `${problem}, and its tensors are lost; \`await useDevice()\` starts a device anew, on which a checkpoint can be resumed`,
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
  guardReads(backend: Any, trials: Trials): void {
    const read = backend.read.bind(backend), keep = backend.convertAndCacheOnCPU.bind(backend);
    const readSync = backend.readSync.bind(backend);
    backend.readSync = (dataId: object) => {
      try {
        return readSync(dataId);
      } catch (cause) { // tfjs reads through a canvas, which there may be none of
        if (!(cause instanceof TypeError)) throw cause;
        throw new Error("A tensor on WebGPU cannot be read at once here: use `await x.data()`", { cause });
      }
    };
    // A tensor may be disposed of while it is read.
    backend.convertAndCacheOnCPU = (dataId: object, values: unknown) =>
      backend.tensorMap.has(dataId) ? keep(dataId, values) : values;
    const readTensor = async (dataId: object) => {
      const values = await read(dataId).catch(async (error: Error) => {
        await new Promise((resolve) => setTimeout(resolve, REPORT_WAIT_MS));
        this.throwAny();
        throw new DeviceError(`The WebGPU device could not be read: ${error.message}`);
      });
      this.throwAny();
      return values;
    };
    backend.read = async (dataId: object) => {
      if (!backend.tensorMap.has(dataId)) return await read(dataId); // which throws
      const { shape, dtype } = backend.tensorMap.get(dataId);
      if (tf.util.sizeFromShape(shape) === 0) return tf.util.getTypedArrayFromDType(dtype, 0);
      if (trials.has(dataId)) {
        backend.incRef(dataId); // it may be disposed of while the device has not answered
        try {
          await trials.requireGood(dataId);
          return await readTensor(dataId);
        } finally {
          backend.disposeData(dataId);
        }
      }
      return await readTensor(dataId);
    };
  }
}

/**
 * Makes tfjs's backend refuse buffers that the device cannot bind, and puts new large ones on trial: the device may be out of
 * memory, which ends nothing but the tensor. Memory that is kept for later tensors is then given back.
 * @param user the kernel that runs
 */
export function guardBuffers(
  backend: Any,
  limits: GPUSupportedLimits,
  trials: Trials,
  user: () => string,
): void {
  const { bufferManager, device } = backend, { freeBuffers } = bufferManager;
  const [acquire, release, upload] = [
    bufferManager.acquireBuffer.bind(bufferManager),
    bufferManager.releaseBuffer.bind(bufferManager),
    backend.uploadToGPU.bind(backend),
  ];
  const most = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const ofBuffer = new WeakMap<GPUBuffer, Trial>();

  bufferManager.acquireBuffer = (asked: number, usage: number, mapped = false, reuse = true): GPUBuffer => {
    if (asked > most) {
      throw new DeviceError(
        `A tensor of ${asked} bytes is too large for this WebGPU device, whose largest is ${most}: use a smaller batch`,
      );
    }
    const bytes = Math.max(asked, MIN_BUFFER_BYTES);
    const kept = reuse && freeBuffers.get(`${bytes}_${usage}`)?.length > 0;
    if (kept || bytes < MIN_TRIAL_BYTES) return acquire(bytes, usage, mapped, reuse);
    const trial = trials.begin(noMemory(bytes));
    const buffer: GPUBuffer = trial.watch(device, () => acquire(bytes, usage, mapped, reuse));
    ofBuffer.set(buffer, trial);
    trial.settle().then(() => {
      if (trial.error) freeBuffers.forEach((kept: GPUBuffer[]) => kept.splice(0).forEach((b) => drop(b)));
    });
    return buffer;
  };

  /** What is said of a buffer that cannot be had. */
  function noMemory(bytes: number): string {
    return `${user()}: the WebGPU device has no memory for a tensor of ${bytes} bytes; use a smaller batch`;
  }

  /** Destroys a buffer that was kept. */
  function drop(buffer: GPUBuffer): void {
    buffer.destroy();
    bufferManager.numFreeBuffers--;
    bufferManager.numBytesAllocated -= buffer.size;
  }

  bufferManager.releaseBuffer = (buffer: GPUBuffer, reuse = true): void =>
    release(buffer, reuse && !ofBuffer.get(buffer)?.error);

  backend.uploadToGPU = (dataId: object): void => {
    const data = backend.tensorMap.get(dataId);
    if (data.resource) return;
    try {
      upload(dataId);
    } catch (cause) { // a buffer to write into cannot be had
      data.resource = null;
      if (cause instanceof DeviceError) throw cause;
      const bytes = tf.util.sizeFromShape(data.shape) * tf.util.bytesPerElement(data.dtype);
      throw new DeviceError(`${noMemory(bytes)}: ${(cause as Error).message}`, { cause });
    }
    const trial = ofBuffer.get(data.resource);
    if (trial && !(trial.settled && !trial.error)) trials.add({ dataId }, trial);
  };
}
