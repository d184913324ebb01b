/** What every WGSL kernel shares: outputs, bindings, sizes, pipelines, and dispatches into tfjs's command encoder. */
import { setPace } from "../../event_loop.ts";
import { tf } from "../../tf.ts";
import type { Attrs, DataType, TensorInfo } from "../../tf.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
type Inputs = Record<string, TensorInfo>;

/** One dispatch of a kernel. */
export interface Dispatch {
  /** Tensors by the names that the code knows them by; storage arrays of f32, or of the type in `types`. */
  read?: Record<string, TensorInfo | undefined>;
  write: Record<string, TensorInfo>;
  /** Element types other than f32. */
  types?: Record<string, string>;
  /** Numbers that the code finds as `u.name`: whole ones are u32, those in `floats` f32. */
  sizes?: Record<string, number>;
  floats?: Record<string, number>;
  /** Compile-time constants, u32; each set of values is a pipeline of its own. */
  consts?: Record<string, number>;
  /** Threads of a workgroup. */
  threads: number;
  /** Workgroups. */
  groups: [x: number, y?: number, z?: number];
  /** Whether the sizes change from step to step, so that keeping them would be a waste. */
  passing?: boolean;
  /** Whether the code uses f16. */
  f16?: boolean;
  /**
   * WGSL: what stands before the entry point, and its body, which knows `id` (workgroup), `t` (thread) and `gid`
   * (number of the thread in a grid of one dimension).
   */
  declarations?: string;
  body: string;
}

/** The device is lost, out of memory, or refused a command. */
export class DeviceError extends Error {
  override name = "DeviceError";
}

function describe(error: GPUError): string {
  if (error instanceof GPUOutOfMemoryError) {
    return `The WebGPU device is out of memory: use a smaller batch (${error.message})`;
  }
  return `The WebGPU device reports an error: ${error.message}`;
}

/** Told of every dispatch: its kernel and the bytes of what it reads and writes. */
export type DispatchListener = (kernel: string, bytes: number) => void;

const U32 = "u32", F32 = "f32";
/** Dispatches between submits: enough that the processor runs ahead of the device. */
const SUBMIT_EVERY = 64;
/** Turns of a loop (batches, sampling steps) that may be under way at once. */
const AHEAD = 2;
/** The device's report of what went wrong may come this long after the first command that fails for it, in ms. */
const REPORT_AFTER = 20;
/** Most kept buffers of sizes; then they are made anew. */
const KEPT_SIZES = 4096;

/** tfjs's WebGPU backend as kernels see it. */
export class Gpu {
  readonly device: GPUDevice;
  readonly limits: GPUSupportedLimits;
  /** Whether operands of convolutions, products and attention are rounded to f16; sums stay f32. */
  half = false;
  /** Shader compilations so far. */
  compilations = 0;
  onDispatch: DispatchListener | null = null;
  /** What ended the device's use, if anything has: every kernel and read throws it from then on. */
  failure: DeviceError | null = null;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #turns: Promise<unknown>[] = [];
  readonly #sizes = new Map<string, GPUBuffer>();

  constructor(readonly backend: Any) {
    this.device = backend.device;
    this.limits = this.device.limits;
    this.device.addEventListener("uncapturederror", (event) => {
      this.#fail(describe((event as GPUUncapturedErrorEvent).error));
    });
    this.device.lost.then(({ reason, message }) => {
      this.#fail(
        `The WebGPU device was lost (${reason || "unknown reason"}${message ? `: ${message}` : ""})`,
      );
    });
    // What is read after a failure is not what was computed.
    const read = backend.read.bind(backend);
    backend.read = async (dataId: object) => {
      const values = await read(dataId).catch(async (error: Error) => {
        await new Promise((resolve) => setTimeout(resolve, REPORT_AFTER));
        this.#fail(`The WebGPU device could not be read (${error.message})`);
        throw this.failure;
      });
      if (this.failure) throw this.failure;
      return values;
    };
    const { bufferManager } = backend, acquire = bufferManager.acquireBuffer.bind(bufferManager);
    const most = Math.min(this.limits.maxBufferSize, this.limits.maxStorageBufferBindingSize);
    bufferManager.acquireBuffer = (bytes: number, ...rest: unknown[]) => {
      if (bytes <= most) return acquire(bytes, ...rest);
      throw new DeviceError(
        `A tensor of ${bytes} bytes is too large for this WebGPU device, whose largest is ${most}: use a smaller batch`,
      );
    };
    setPace(() => this.#catchUp());
    tf.env().set("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE", SUBMIT_EVERY);
  }

  /** Submits what is recorded, and waits while the device is more than {@link AHEAD} turns behind. */
  async #catchUp(): Promise<void> {
    if (this.failure) throw this.failure;
    if (this.backend.commandEncoder) {
      this.backend.endComputePassEncoder();
      this.backend.submitQueue();
    }
    this.#turns.push(this.device.queue.onSubmittedWorkDone());
    if (this.#turns.length > AHEAD) await this.#turns.shift();
  }

  #fail(problem: string): void {
    this.failure ??= new DeviceError(
      `${problem}. Nothing more can be computed on it in this process; a checkpoint can be resumed in another, ` +
        "also with --device wasm",
    );
  }

  /** Whether shaders may use f16. */
  get hasF16(): boolean {
    return this.device.features.has("shader-f16");
  }

  /** A new tensor, its contents undefined. */
  output(shape: number[], dtype: DataType = "float32"): TensorInfo {
    return this.backend.makeTensorInfo(shape, dtype);
  }

  /** Frees a tensor once the dispatches that use it are done. */
  free(...tensors: TensorInfo[]): void {
    for (const { dataId } of tensors) this.backend.disposeData(dataId);
  }

  /** Records a dispatch. */
  run(kernel: string, d: Dispatch): void {
    const [x, y = 1, z = 1] = d.groups;
    if (this.failure) throw this.failure;
    if (x * y * z === 0) return;
    const most = this.limits.maxComputeWorkgroupsPerDimension;
    if (Math.max(x, y, z) > most) {
      throw new DeviceError(
        `${kernel} would need ${x}×${y}×${z} workgroups, and this WebGPU device has ${most} at most: use a smaller batch`,
      );
    }
    const read = Object.entries(d.read ?? {}).filter((e): e is [string, TensorInfo] => e[1] !== undefined);
    const write = Object.entries(d.write);
    const pipeline = this.#pipeline(kernel, d, read.map(([name]) => name), write.map(([name]) => name));
    let bytes = 0;
    const resources = [...read, ...write].map(([, { dataId }], i) => {
      this.backend.uploadToGPU(dataId);
      const data = this.backend.tensorMap.get(dataId);
      // What was read back before is no longer true.
      if (i >= read.length) data.values = null;
      this.backend.commandQueueOwnedIds.add(dataId);
      bytes += data.resource.size;
      return { buffer: data.resource as GPUBuffer };
    });
    const sizes = this.#sizesBuffer(d);
    if (sizes) resources.push({ buffer: sizes });
    const { backend } = this;
    backend.ensureCommandEncoderReady();
    const bindGroup = this.device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
    backend.computePassEncoder ??= backend.commandEncoder.beginComputePass();
    const pass: GPUComputePassEncoder = backend.computePassEncoder;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(x, y, z);
    this.onDispatch?.(kernel, bytes);
    if (++backend.dispatchCountInPass >= SUBMIT_EVERY) {
      backend.endComputePassEncoder();
      backend.submitQueue();
    }
  }

  #pipeline(kernel: string, d: Dispatch, read: string[], write: string[]): GPUComputePipeline {
    const key = [
      kernel,
      ...Object.values(d.consts ?? {}),
      ...read,
      ...write,
      ...Object.values(d.types ?? {}),
      d.threads,
      !!d.f16,
    ]
      .join();
    let pipeline = this.#pipelines.get(key);
    if (pipeline) return pipeline;
    const binding = (name: string, i: number) =>
      `@group(0) @binding(${i}) var<storage, ${i < read.length ? "read" : "read_write"}> ${name}: array<${
        d.types?.[name] ?? F32
      }>;`;
    const fields = [
      ...Object.keys(d.sizes ?? {}).map((name) => `${name}: ${U32},`),
      ...Object.keys(d.floats ?? {}).map((name) => `${name}: ${F32},`),
    ];
    const bindings = [...read, ...write];
    const code = [
      d.f16 ? "enable f16;" : "",
      ...bindings.map(binding),
      fields.length ? `struct Sizes { ${fields.join(" ")} }` : "",
      fields.length ? `@group(0) @binding(${bindings.length}) var<uniform> u: Sizes;` : "",
      ...Object.entries(d.consts ?? {}).map(([name, value]) => `const ${name} = ${value}u;`),
      `const THREADS = ${d.threads}u;`,
      d.declarations ?? "",
      `@compute @workgroup_size(${d.threads})`,
      "fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) t: u32,",
      "        @builtin(num_workgroups) counts: vec3u) {",
      "  let gid = (id.y * counts.x + id.x) * THREADS + t;",
      d.body,
      "}",
    ].join("\n");
    this.compilations++;
    const module = this.device.createShaderModule({ code, label: kernel });
    pipeline = this.device.createComputePipeline({
      label: kernel,
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  /** The buffer of a dispatch's sizes: written once and kept, unless they pass. */
  #sizesBuffer({ sizes = {}, floats = {}, passing }: Dispatch): GPUBuffer | null {
    const whole = Object.values(sizes), real = Object.values(floats);
    const words = whole.length + real.length;
    if (words === 0) return null;
    const data = new ArrayBuffer(Math.ceil(words / 4) * 16);
    new Uint32Array(data).set(whole);
    new Float32Array(data).set(real, whole.length);
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.UNIFORM;
    if (passing) {
      const buffer: GPUBuffer = this.backend.bufferManager.acquireBuffer(data.byteLength, usage);
      this.device.queue.writeBuffer(buffer, 0, data);
      this.backend.uniformPendingDisposal.push(buffer);
      return buffer;
    }
    const key = new Uint32Array(data).join();
    let buffer = this.#sizes.get(key);
    if (!buffer) {
      if (this.#sizes.size >= KEPT_SIZES) this.#sizes.clear(); // in use or not: the device frees them in time
      buffer = this.device.createBuffer({ size: data.byteLength, usage });
      this.device.queue.writeBuffer(buffer, 0, data);
      this.#sizes.set(key, buffer);
    }
    return buffer;
  }

  /** Registers a kernel under a name, in place of tfjs's own where there is one. */
  register(
    kernelName: string,
    // deno-lint-ignore no-explicit-any
    kernel: (inputs: Inputs, attrs: any, original: () => TensorInfo) => TensorInfo | TensorInfo[],
  ): void {
    const backendName = "webgpu", { backend } = this;
    const old = tf.getKernel(kernelName, backendName);
    if (old) tf.unregisterKernel(kernelName, backendName);
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, attrs }) =>
        kernel(
          inputs as Inputs,
          attrs as Attrs,
          () => old!.kernelFunc({ inputs, attrs, backend } as Any) as TensorInfo,
        ),
    });
  }
}

/** The number of elements of a shape. */
export const size = (shape: number[]): number => shape.reduce((a, b) => a * b, 1);

/** Workgroups for n threads in a grid of one dimension, which spills over into the second: see `gid`. */
export function grid(n: number, threads: number): [number, number] {
  const groups = Math.ceil(n / threads);
  const x = Math.min(groups, 32768);
  return [x, Math.ceil(groups / x) || 0];
}

/**
 * WGSL of a sum over a workgroup's threads: `total(value, t)` gives each of them Σ value. `type` may be a vector.
 */
export const workgroupSum = (type: string): string => `
var<workgroup> sums: array<${type}, THREADS>;
fn total(value: ${type}, t: u32) -> ${type} {
  workgroupBarrier();
  sums[t] = value;
  for (var width = THREADS / 2u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (t < width) { sums[t] += sums[t + width]; }
  }
  workgroupBarrier();
  return sums[0];
}`;
