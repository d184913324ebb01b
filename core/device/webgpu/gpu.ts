/** tfjs's WebGPU backend as our kernels see it: outputs, sizes, and dispatches into its command encoder. */
import { setPace } from "../../event_loop.ts";
import { tf } from "../../tf.ts";
import type { DataType, TensorInfo } from "../../tf.ts";
import { DeviceError } from "../device_error.ts";
import { guardBuffers, Problems } from "./problems.ts";
import { type Dispatch, type Pipeline, Pipelines, type Shader } from "./shader.ts";
import { type Trial, Trials } from "./trials.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** A run of a kernel with a thread an element. */
export interface EachElement extends Omit<Dispatch, "groups" | "shader"> {
  /** The shader without its threads, which are set here; called when its key is new. */
  shader: () => Omit<Shader, "threads">;
}

/** Told of every dispatch: its kernel and the bytes of what it reads and writes. */
export type DispatchListener = (kernel: string, bytes: number) => void;

/** Dispatches between submits: enough that the processor runs ahead of the device. */
const DISPATCHES_A_SUBMIT = 64;
/** Turns of a loop (batches, sampling steps) that may be under way at once. */
const MAX_TURNS_AHEAD = 2;
/** Most buffers of sizes that are kept; then they are made anew. */
const MAX_KEPT_SIZES = 4096;
/** Threads of a workgroup of a kernel with a thread an element. */
const EACH_THREADS = 64;
/** Most workgroups along the first axis of a grid of one dimension. */
const MAX_GRID_WIDTH = 32768;

/** tfjs's WebGPU backend as kernels see it. */
export class Gpu {
  /** The device. */
  readonly device: GPUDevice;
  /** What the device can do. */
  readonly limits: GPUSupportedLimits;
  /** Whether operands of convolutions, products and attention are rounded to f16; sums stay f32. */
  half = false;
  /** Called at every dispatch; null for no one. */
  onDispatch: DispatchListener | null = null;
  /**
   * The pipelines by key.
   * @internal
   */
  readonly pipelines: Pipelines;
  readonly #problems: Problems;
  readonly #trials = new Trials();
  /** The kernel that runs, or ran last. */
  #kernel = "";
  readonly #turns: Promise<unknown>[] = [];
  readonly #sizes = new Map<string, GPUBuffer>();

  /**
   * tfjs's backend.
   * @internal
   */
  readonly backend: Any;

  /**
   * Takes over a backend.
   * @internal
   * @param backend tfjs's.
   * @param debug Whether a pipeline that is found by its key is compared with the code of each run; slow.
   */
  constructor(backend: Any, debug = false) {
    this.backend = backend;
    this.device = backend.device;
    this.limits = this.device.limits;
    this.#problems = new Problems(this.device);
    this.pipelines = new Pipelines(this.device, this.#trials, debug);
    this.#problems.guardReads(backend, this.#trials);
    this.#followTfjs();
    guardBuffers(backend, this.limits, this.#trials, () => this.#kernel);
    setPace(() => this.#catchUp());
    tf.env().set("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE", DISPATCHES_A_SUBMIT);
  }

  /**
   * Ends the device.
   * @internal
   */
  close(): void {
    this.#problems.fail("The WebGPU device was closed");
    setPace(null);
    this.#sizes.clear();
    this.backend.dispose();
    this.device.destroy();
  }

  /** Submits what is recorded, and waits while the device is more than {@link MAX_TURNS_AHEAD} turns behind. */
  async #catchUp(): Promise<void> {
    this.#problems.throwAny();
    this.#submit();
    this.#turns.push(this.device.queue.onSubmittedWorkDone());
    if (this.#turns.length > MAX_TURNS_AHEAD) await this.#turns.shift();
  }

  /** Follows what tfjs's own kernels compute. */
  #followTfjs(): void {
    const { backend } = this, { runWebGPUProgram, recordAndSubmit } = backend;
    backend.runWebGPUProgram = (program: Any, ...rest: unknown[]) => {
      this.#kernel = program.constructor.name;
      return runWebGPUProgram.call(backend, program, ...rest);
    };
    backend.recordAndSubmit = (program: Any, output: TensorInfo, inputs: TensorInfo[], uniforms: Any) => {
      const record = () => recordAndSubmit.call(backend, program, output, inputs, uniforms);
      this.#trials.follow(
        inputs,
        [output],
        undefined,
        record,
        (trial, others) => this.#alone(record, trial, others),
      );
    };
  }

  /** What ended the device's use, if anything has: every kernel and read throws it from then on. */
  get failure(): DeviceError | null {
    return this.#problems.failure;
  }

  /** Whether shaders may use f16. */
  get hasF16(): boolean {
    return this.device.features.has("shader-f16");
  }

  /** A new tensor, its contents undefined. */
  output(shape: number[], dtype: DataType = "float32"): TensorInfo {
    const none = size(shape) === 0 ? tf.util.getTypedArrayFromDType(dtype as "float32", 0) : undefined;
    return this.backend.makeTensorInfo(shape, dtype, none);
  }

  /** Frees a tensor once the dispatches that use it are done. */
  free(...tensors: TensorInfo[]): void {
    for (const { dataId } of tensors) this.backend.disposeData(dataId);
  }

  /** Records a run with a thread for each of n elements: where the body begins, `gid` is less than `u.n`. */
  runEach(kernel: string, n: number, run: EachElement): void {
    this.run(kernel, {
      key: run.key,
      read: run.read,
      write: run.write,
      sizes: { n, ...run.sizes },
      floats: run.floats,
      passing: run.passing,
      groups: grid(n, EACH_THREADS),
      shader: () => {
        const shader = run.shader();
        return { ...shader, threads: EACH_THREADS, body: `if (gid >= u.n) { return; }\n${shader.body}` };
      },
    });
  }

  /** Records a run of a kernel. */
  run(kernel: string, dispatch: Dispatch): void {
    this.#problems.throwAny();
    const { read = {}, write, groups: [x, y = 1, z = 1] } = dispatch;
    if (x * y * z === 0) return;
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    if (Math.max(x, y, z) > most) {
      throw new DeviceError(
        `${kernel} would need ${x}×${y}×${z} workgroups, and this WebGPU device has ${most} at most: use a smaller batch`,
      );
    }
    this.#kernel = kernel;
    const made = this.pipelines.get(kernel, dispatch), outputs = Object.values(write);
    for (const { dataId } of outputs) this.backend.uploadToGPU(dataId);
    const record = () => this.#record(kernel, dispatch, made);
    this.#trials.follow(
      Object.values(read),
      outputs,
      made.trial,
      record,
      (trial, others) => this.#alone(record, trial, others),
    );
    if (this.backend.dispatchCountInPass >= DISPATCHES_A_SUBMIT) this.#submit();
  }

  /** Submits what a piece of work records by itself. */
  #alone(record: () => void, trial: Trial, others: Trial[]): void {
    this.#submit();
    trial.watch(this.device, () => {
      record();
      this.#submit();
    }, others);
  }

  #record(kernel: string, dispatch: Dispatch, { pipeline, layout }: Pipeline): void {
    const { read = {}, write, groups: [x, y = 1, z = 1] } = dispatch;
    const entries: GPUBindGroupEntry[] = [];
    const bind = (buffer: GPUBuffer) => entries.push({ binding: entries.length, resource: { buffer } });
    for (const name in read) if (read[name]) bind(this.#buffer(read[name]));
    for (const name in write) {
      bind(this.#buffer(write[name]));
      this.backend.tensorMap.get(write[name].dataId).values = null; // what was read back is no longer true
    }
    const listener = this.onDispatch;
    const bytes = listener ? entries.reduce((sum, { resource }) => sum + sizeOf(resource), 0) : 0;
    const sizes = this.#sizesBuffer(dispatch);
    if (sizes) bind(sizes);
    const { backend } = this;
    backend.ensureCommandEncoderReady();
    const pass: GPUComputePassEncoder = backend.computePassEncoder ??= backend.commandEncoder
      .beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.device.createBindGroup({ label: kernel, layout, entries }));
    pass.dispatchWorkgroups(x, y, z);
    listener?.(kernel, bytes);
    backend.dispatchCountInPass++;
  }

  /** Submits what is recorded. */
  #submit(): void {
    if (!this.backend.commandEncoder) return;
    this.backend.endComputePassEncoder();
    this.backend.submitQueue();
  }

  /** A tensor's buffer, which stays until the commands are submitted. */
  #buffer({ dataId }: TensorInfo): GPUBuffer {
    const { backend } = this;
    backend.uploadToGPU(dataId);
    backend.commandQueueOwnedIds.add(dataId);
    return backend.tensorMap.get(dataId).resource;
  }

  /** The buffer of a run's sizes and floats: written once and kept, unless they pass. */
  #sizesBuffer({ sizes, floats, passing }: Dispatch): GPUBuffer | null {
    if (!sizes && !floats) return null;
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.UNIFORM;
    if (passing) {
      const data = packSizes(sizes, floats);
      const buffer: GPUBuffer = this.backend.bufferManager.acquireBuffer(data.byteLength, usage);
      this.device.queue.writeBuffer(buffer, 0, data);
      this.backend.uniformPendingDisposal.push(buffer);
      return buffer;
    }
    let key = "";
    for (const name in sizes) key += `${sizes[name]} `;
    for (const name in floats) key += Object.is(floats[name], -0) ? "-0f " : `${floats[name]}f `;
    let buffer = this.#sizes.get(key);
    if (!buffer) {
      if (this.#sizes.size >= MAX_KEPT_SIZES) this.#sizes.clear(); // in use or not: the device frees them in time
      const data = packSizes(sizes, floats);
      buffer = this.device.createBuffer({ size: data.byteLength, usage });
      this.device.queue.writeBuffer(buffer, 0, data);
      this.#sizes.set(key, buffer);
    }
    return buffer;
  }
}

/** Sizes and floats as the shader's struct has them, whose length is a multiple of 16 bytes. */
function packSizes(
  sizes: Record<string, number> = {},
  floats: Record<string, number> = {},
): Uint32Array<ArrayBuffer> {
  const whole = Object.values(sizes), real = Object.values(floats);
  const data = new Uint32Array(Math.ceil((whole.length + real.length) / 4) * 4);
  data.set(whole);
  new Float32Array(data.buffer).set(real, whole.length);
  return data;
}

/** The number of elements of a shape. */
export const size = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

/** Workgroups in two dimensions, of which the first has a limit. */
export function groupsOf(count: number): [number, number] {
  const x = Math.min(count, MAX_GRID_WIDTH);
  return [x, Math.ceil(count / x) || 0];
}

/** Workgroups for n threads in a grid of one dimension, which spills over into the second: see `gid`. */
export const grid = (n: number, threads: number): [number, number] => groupsOf(Math.ceil(n / threads));

/** The bytes that a binding names. */
const sizeOf = (resource: GPUBindingResource): number => (resource as GPUBufferBinding).buffer.size;
