/**
 * Prints what a training step costs a GPU, as the JSON of {@link StepCost}: its arguments are "ours" or "stock", and a
 * whole-model case. A process of its own for each side, since the kernels of both have the same names.
 */
import { currentDevice, currentGpu, setSeed, tf, useDevice } from "../mod.ts";
import { loadWebGPUBackend } from "../core/tf.ts";
import { makeNetwork, prepareModel } from "./cases.ts";
import { median } from "./measure.ts";
import { useStockKernels } from "./stock.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** Dispatches of a step, the bytes of the buffers that they read and write, and their time by the device's clock. */
export interface KernelCost {
  dispatches: number;
  bytes: number;
  /** Milliseconds; undefined without `timestamp-query`. */
  ms?: number;
}

/** A whole step. */
export interface StepCost {
  adapter: string;
  /** By the name of the kernel that autograd and layers asked for. */
  kernels: Record<string, KernelCost>;
  /** Tensors that the step uploads, and their bytes. */
  uploads: number;
  uploaded: number;
  /** Bytes of the tensors that the step makes. */
  allocated: number;
  /** Bytes of the buffers that the device holds at the end. */
  held: number;
  /** Microseconds of the program's own time a dispatch, without what the device does. */
  program: number;
  /** Shader modules made by the first step, and by one after it. */
  compilations: [first: number, later: number];
}

/** Steps that are timed on the device, and by the program's own time. */
const ROUNDS = 3, PROGRAM_ROUNDS = 15;
/** Passes that a set of queries has room for: two queries each, 4096 at most. */
const PASSES = 2048;

const [side, json] = Deno.args;
const { Backend: _ } = await loadWebGPUBackend();
const packageKernels = tf.getKernelsForBackend("webgpu");
await useDevice("webgpu", { log: null });
if (side === "stock") useStockKernels(packageKernels);
const gpu = currentGpu()!, { backend, device } = gpu;

let kernels: Record<string, KernelCost> = {};
let uploads = 0, uploaded = 0, allocated = 0, compilations = 0;

/** Calls a function before a method of an object does its work. */
function before<T>(object: Any, method: string, f: (...args: Any[]) => T): void {
  const original = object[method];
  object[method] = function (...args: Any[]) {
    f(...args);
    return original.apply(object, args);
  };
}

// The kernel that was asked for, whatever it is composed of.
let asked = "";
for (const kernel of tf.getKernelsForBackend("webgpu")) {
  tf.unregisterKernel(kernel.kernelName, "webgpu");
  tf.registerKernel({
    ...kernel,
    kernelFunc: (args) => {
      if (asked) return kernel.kernelFunc(args);
      asked = kernel.kernelName;
      try {
        return kernel.kernelFunc(args);
      } finally {
        asked = "";
      }
    },
  });
}

before(device, "createShaderModule", () => compilations++);
before(backend.bufferManager, "acquireBuffer", (bytes: number, usage: number) => {
  if (usage & GPUBufferUsage.STORAGE) allocated += bytes;
});
before(backend, "uploadToGPU", (id: object) => {
  const { values, resource } = backend.tensorMap.get(id);
  if (!values || resource) return;
  uploads++;
  uploaded += values.byteLength ?? values.length * 4;
});

/** The kernel of each timed pass; null while nothing is timed. */
let passes: string[] | null = null;
const querySets: GPUQuerySet[] = [];
const { createCommandEncoder } = device;
device.createCommandEncoder = (descriptor) => {
  const encoder = createCommandEncoder.call(device, descriptor), { beginComputePass } = encoder;
  encoder.beginComputePass = (options) => {
    if (!passes) return beginComputePass.call(encoder, options);
    const [set, place] = [Math.floor(passes.length / PASSES), passes.length % PASSES];
    querySets[set] ??= device.createQuerySet({ type: "timestamp", count: 2 * PASSES });
    const [beginningOfPassWriteIndex, endOfPassWriteIndex] = [2 * place, 2 * place + 1];
    const timestampWrites = { querySet: querySets[set], beginningOfPassWriteIndex, endOfPassWriteIndex };
    return beginComputePass.call(encoder, { ...options, timestampWrites });
  };
  return encoder;
};

/** Takes note of a dispatch, and ends its pass where passes are timed. */
function dispatched(bytes: number): void {
  const name = asked || "other";
  const cost = kernels[name] ??= { dispatches: 0, bytes: 0 };
  cost.dispatches++;
  cost.bytes += bytes;
  if (!passes) return;
  passes.push(name);
  backend.endComputePassEncoder();
}

gpu.onDispatch = (_, bytes) => dispatched(bytes);
const { recordAndSubmit } = backend;
backend.recordAndSubmit = (program: Any, output: Any, inputs: Any[], uniforms: Any) => {
  recordAndSubmit.call(backend, program, output, inputs, uniforms);
  const size = ({ dataId }: Any) => backend.tensorMap.get(dataId).resource.size;
  dispatched([output, ...inputs].reduce((sum, t) => sum + size(t), 0));
};

/** Milliseconds of each kernel in the passes that were timed. */
async function times(names: string[]): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const [i, set] of querySets.entries()) {
    const bytes = PASSES * 16;
    const resolved = device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const readable = device.createBuffer({
      size: bytes,
      usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    });
    const encoder = createCommandEncoder.call(device);
    encoder.resolveQuerySet(set, 0, 2 * PASSES, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readable, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await readable.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(readable.getMappedRange());
    for (const [j, name] of names.slice(i * PASSES, (i + 1) * PASSES).entries()) {
      out[name] = (out[name] ?? 0) + Number(stamps[2 * j + 1] - stamps[2 * j]) / 1e6;
    }
    [resolved, readable].forEach((buffer) => buffer.destroy());
  }
  return out;
}

setSeed(1);
const c = JSON.parse(json);
const { run } = prepareModel(c, makeNetwork(c));
await run();
const first = compilations;
await run(); // memory is recycled from here on
[kernels, uploads, uploaded, allocated, compilations] = [{}, 0, 0, 0, 0];
await run();
const cost: StepCost = {
  adapter: currentDevice().detail,
  kernels,
  uploads,
  uploaded,
  allocated,
  held: backend.bufferManager.numBytesAllocated,
  program: 0,
  compilations: [first, compilations],
};
if (device.features.has("timestamp-query")) {
  const rounds: Record<string, number>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    passes = [];
    kernels = {};
    await run();
    rounds.push(await times(passes));
  }
  for (const [name, kernel] of Object.entries(cost.kernels)) {
    kernel.ms = median(rounds.map((times) => times[name] ?? 0));
  }
}
passes = null;
kernels = {};
GPUQueue.prototype.submit = () => {}; // the device does nothing from here on
const programTimes: number[] = [];
for (let round = 0; round < PROGRAM_ROUNDS; round++) {
  const from = performance.now(), done = run(); // runs to where it waits for the loss
  programTimes.push(performance.now() - from);
  await done;
}
const dispatches = Object.values(kernels).reduce((sum, kernel) => sum + kernel.dispatches, 0) /
  PROGRAM_ROUNDS;
cost.program = median(programTimes) * 1000 / dispatches;
console.log(JSON.stringify(cost));
Deno.exit();
