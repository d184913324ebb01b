/**
 * The only file that names a tfjs package. Everything else takes the array library from here.
 */
import * as tf from "npm:@tensorflow/tfjs-core@4.22.0";

export { tf };
/** An n-dimensional array on the current device. Free it with `dispose()` unless a scope does. */
export const Tensor: typeof tf.Tensor = tf.Tensor;
/** An n-dimensional array on the current device. */
export type Tensor = tf.Tensor;
/** What a kernel takes and returns: a tensor's shape, dtype and data id, without its bookkeeping. */
export type TensorInfo = tf.TensorInfo;
/** Named inputs of a kernel. */
export type NamedTensors = Record<string, Tensor>;
/** A kernel's attributes. */
export type Attrs = Record<string, unknown>;
/** `"float32"`, `"int32"`, `"bool"`, … */
export type DataType = tf.DataType;
/** The typed arrays that tensors are read into. */
export type TypedArray = Float32Array | Int32Array | Uint8Array;

// deno-lint-ignore no-explicit-any
type Any = any;

/** tfjs's engine, with the parts of its state that our tape and scopes drive. */
export const engine: Any = tf.engine();

let noDevice = "No device yet: call `await useDevice()` first";

/** Why there is no device, and what to do: what is thrown where one is needed. */
export function noDeviceError(): Error {
  return new Error(noDevice);
}

/** Sets what {@link noDeviceError} says. */
export function setNoDevice(message: string): void {
  noDevice = message;
}

/** As the engine's own, with an error that says what to do where no device runs. */
const getSortedBackends = engine.getSortedBackends.bind(engine);
engine.getSortedBackends = (): string[] => {
  if (Object.keys(engine.registryFactory).length > 0) return getSortedBackends();
  throw noDeviceError();
};

/** Gives what is to be thrown in place of an error of a kernel, which it names. */
export type KernelErrorHandler = (kernel: string, error: unknown) => unknown;
let onKernelError: KernelErrorHandler = (_kernel, error) => error;

/** Sets what is told of each error of a kernel, tfjs's own among them. */
export function setKernelErrorHandler(handler: KernelErrorHandler): void {
  onKernelError = handler;
}

const runKernelFunc = engine.runKernelFunc.bind(engine);
engine.runKernelFunc = (params: { kernelName?: string }): unknown => {
  try {
    return runKernelFunc(params);
  } catch (error) {
    throw asKernelError(params.kernelName ?? "A custom gradient", error);
  }
};

/** What is thrown in place of an error of a kernel, or of what else a device does. */
export function asKernelError(kernel: string, error: unknown): unknown {
  return onKernelError(kernel, error);
}

/** Runs a registered kernel on the current device, recording it where a tape is on. */
export function runKernel<T extends Tensor | Tensor[] = Tensor>(
  name: string,
  inputs: Record<string, Tensor | undefined>,
  attrs: Attrs = {},
): T {
  const present: Record<string, Tensor> = {};
  for (const [key, value] of Object.entries(inputs)) if (value) present[key] = value;
  return engine.runKernel(name, present, attrs);
}

/** A tensor's numbers where they are at hand, without waiting for a GPU; otherwise undefined. */
export function hostValues(x: Tensor): TypedArray | undefined {
  if (engine.backendName === "wasm") return x.dataSync() as TypedArray;
  return engine.backend.tensorMap?.get(x.dataId)?.values ?? undefined;
}

/** tfjs's WASM backend class and the factory of its threaded binary. */
export async function loadWasmBackend(): Promise<{ Backend: Any; factory: Any }> {
  const [wasm, threaded] = await Promise.all([
    import("npm:@tensorflow/tfjs-backend-wasm@4.22.0"),
    import(
      "npm:@tensorflow/tfjs-backend-wasm@4.22.0/wasm-out/tfjs-backend-wasm-threaded-simd.js"
    ),
  ]);
  return { Backend: wasm.BackendWasm, factory: threaded.default };
}

/**
 * The compiled threaded binary, taken from the package without read permission where the runtime can do so; a bundle for
 * Deno leaves that module out.
 */
export async function loadWasmBinary(): Promise<WebAssembly.Module | undefined> {
  if (!("Deno" in globalThis)) return undefined;
  try {
    return (await import("./device/wasm/tfjs_binary.js")).default;
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** tfjs's WebGPU backend class. */
export async function loadWebGPUBackend(): Promise<{ Backend: Any }> {
  const gpu = await import("npm:@tensorflow/tfjs-backend-webgpu@4.22.0");
  return { Backend: gpu.WebGPUBackend };
}
