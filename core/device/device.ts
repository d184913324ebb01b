/** Chooses and starts the device that tensors live on. */
import { loadWebGPUBackend, tf } from "../tf.ts";
import { canShareMemory } from "./wasm/unshared.ts";
import { Gpu, registerWgsl } from "./webgpu/mod.ts";

/** What a caller may ask for. */
export type DeviceChoice = "auto" | "webgpu" | "wasm";

/** The device in use. */
export interface Device {
  readonly name: "webgpu" | "wasm";
  /** What it is: threads and SIMD level, or the adapter. */
  readonly detail: string;
  /** Why it was chosen. */
  readonly reason: string;
  /** Kernel threads; 1 on WebGPU. */
  readonly threads: number;
}

/** Options of {@link useDevice}. */
export interface DeviceOptions {
  /** Kernel threads on WASM; default `DENOISE_THREADS`, else the machine's cores. */
  threads?: number;
  /** Whether threads share memory on WASM; without it there is one thread. Default wherever it can be had. */
  shared?: boolean;
  /** Prints the one line that tells the choice; default `console.error`, `null` for silence. */
  log?: ((line: string) => void) | null;
}

const CHOICES: DeviceChoice[] = ["auto", "webgpu", "wasm"];
/** Software adapters by the names that drivers give them, for runtimes without `isFallbackAdapter`. */
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|software|basic render/i;

let current: Promise<Device> | undefined;
let settled: Device | undefined;
let gpu: Gpu | undefined;

/** An environment variable, where there is an environment and leave to read it. */
function environment(name: string): string | undefined {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  if (!deno) return undefined;
  const { state } = deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? deno.env.get(name) || undefined : undefined;
}

/**
 * Starts a device and makes it the one that tensors are created on. Called again with the same choice it only
 * returns the device; the choice cannot be changed while tensors of the other device are in use.
 *
 * `auto` (the default; `DENOISE_DEVICE` overrides it) takes a hardware WebGPU adapter, otherwise multi-threaded SIMD
 * WASM. A software adapter is taken only where `webgpu` is asked for by name.
 *
 * @throws RangeError for another name; Error where a device asked for by name is not available.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { useDevice } from "./device.ts";
 * const device = await useDevice("wasm", { log: null });
 * assert(device.name === "wasm");
 * ```
 */
export async function useDevice(
  choice: DeviceChoice = "auto",
  options: DeviceOptions = {},
): Promise<Device> {
  let asked: string = choice;
  if (choice === "auto") asked = environment("DENOISE_DEVICE") ?? "auto";
  if (!CHOICES.includes(asked as DeviceChoice)) {
    throw new RangeError(`Unknown device "${asked}": one of ${CHOICES.join(", ")}`);
  }
  const running = await current;
  if (running && (asked === "auto" || asked === running.name)) return running;
  current = start(asked as DeviceChoice, options).catch((error) => {
    current = running && Promise.resolve(running);
    throw error;
  });
  settled = await current;
  const log = options.log === undefined ? console.error : options.log;
  log?.(`Device: ${settled.name} (${settled.detail}): ${settled.reason}`);
  return settled;
}

/** The device in use. @throws Error before {@link useDevice}. */
export function currentDevice(): Device {
  if (!settled) throw new Error("No device yet: call `await useDevice()` first");
  return settled;
}

/** The WebGPU device in use; undefined on WASM. */
export function currentGpu(): Gpu | undefined {
  return settled?.name === "webgpu" ? gpu : undefined;
}

async function start(choice: DeviceChoice, options: DeviceOptions): Promise<Device> {
  if (choice === "wasm") return await startOnWasm("asked for", options);
  const adapter = await findAdapter();
  if (choice === "webgpu") {
    if (!adapter) {
      throw new Error(
        "Device webgpu was asked for, but there is no WebGPU adapter here. " +
          "Install a Vulkan, Metal or D3D12 driver, or use --device wasm",
      );
    }
    return await startOnWebGPU(adapter, "asked for");
  }
  if (adapter && !adapter.software) return await startOnWebGPU(adapter, "hardware adapter found");
  const reason = adapter ? `the only WebGPU adapter is software (${adapter.detail})` : "no WebGPU adapter";
  return await startOnWasm(reason, options);
}

interface Found {
  adapter: GPUAdapter;
  software: boolean;
  detail: string;
}

async function findAdapter(): Promise<Found | undefined> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu) return undefined;
  quietDrivers();
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  const info = adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean };
  const detail = info.description || [info.vendor, info.architecture].filter(Boolean).join(" ") ||
    "unnamed adapter";
  return { adapter, software: !!info.isFallbackAdapter || SOFTWARE.test(detail), detail };
}

/** Mesa's drivers complain on stderr where this variable is unset; any directory contents them. */
function quietDrivers(): void {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  const variable = "XDG_RUNTIME_DIR";
  if (!deno || deno.build.os !== "linux") return;
  if (deno.permissions.querySync({ name: "env", variable }).state !== "granted") return;
  if (!deno.env.get(variable)) deno.env.set(variable, "/tmp");
}

async function startOnWebGPU({ adapter, detail }: Found, reason: string): Promise<Device> {
  const { Backend } = await loadWebGPUBackend();
  const { limits, features } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: (["timestamp-query", "shader-f16"] as const).filter((f) => features.has(f)),
    requiredLimits: {
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    },
  });
  const backend = new Backend(device, adapter.info);
  tf.removeBackend("webgpu"); // the package's own, which asks for an adapter of its own
  tf.registerBackend("webgpu", () => backend, 3);
  gpu = new Gpu(backend);
  registerWgsl(gpu);
  await tf.setBackend("webgpu");
  return { name: "webgpu", detail, reason, threads: 1 };
}

async function startOnWasm(reason: string, options: DeviceOptions): Promise<Device> {
  const { startWasm } = await import("./wasm/start.ts");
  const threads = threadCount(options.threads);
  const shared = options.shared ?? canShareMemory();
  const { pool } = await startWasm(threads, shared);
  await tf.setBackend("wasm");
  const simd = pool.relaxed ? "relaxed SIMD" : "SIMD";
  const alone = shared ? "" : ", no memory shared with threads (a page needs cross-origin isolation)";
  const detail = `${pool.threads} thread${pool.threads === 1 ? "" : "s"}, ${simd}${alone}`;
  return { name: "wasm", detail, reason, threads: pool.threads };
}

function threadCount(asked: number | undefined): number {
  const text = environment("DENOISE_THREADS");
  const n = asked ?? (text === undefined ? navigator.hardwareConcurrency || 1 : Number(text));
  if (!Number.isInteger(n) || n < 1 || n > 64) {
    throw new RangeError(
      `DENOISE_THREADS must be a whole number from 1 to 64, not "${asked ?? text}"`,
    );
  }
  return n;
}
