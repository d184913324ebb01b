/** Chooses and starts the device that tensors live on. */
import { engine, tf } from "../tf.ts";
import { countConstants } from "./constants.ts";
import { MAX_THREADS } from "./wasm/assembly/abi.ts";
import { canShareMemory } from "./wasm/unshared.ts";
import type { Gpu } from "./webgpu/gpu.ts";

/** What a caller may ask for. */
export type DeviceChoice = "auto" | "webgpu" | "wasm";

/** The device in use. */
export interface Device {
  /** Which one it is. */
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
  /** Kernel threads on WASM, from 1 to 64; default `DENOISE_THREADS`, else the machine's cores. */
  threads?: number;
  /** Whether threads share memory on WASM; without it there is one thread. Default wherever it can be had. */
  shared?: boolean;
  /** Prints the one line that tells the choice; default `console.error`, `null` for silence. */
  log?: ((line: string) => void) | null;
}

const CHOICES: DeviceChoice[] = ["auto", "webgpu", "wasm"];

let current: Device | undefined;
let gpu: Gpu | undefined;
/** The calls of {@link useDevice} before the next one, which waits for them. */
let before: Promise<unknown> = Promise.resolve();

/** An environment variable, where there is an environment and permission to read it. */
function environment(name: string): string | undefined {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  if (!deno) return undefined;
  const { state } = deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? deno.env.get(name) || undefined : undefined;
}

/**
 * Starts a device and makes it the one that tensors are created on. Called again, also while the first call has not
 * ended, it returns the same device.
 * @param choice `auto` takes a hardware WebGPU adapter, otherwise multi-threaded SIMD WASM; a software adapter is taken
 * only for `webgpu`. Default `DENOISE_DEVICE`, else `auto`.
 * @throws RangeError for another name, and for options out of range or without an effect; Error where a device asked for
 * by name is not available, or where tensors live on another one.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { useDevice } from "./device.ts";
 * const device = await useDevice("wasm", { log: null });
 * assert(device.name === "wasm");
 * ```
 */
export function useDevice(choice?: DeviceChoice, options: DeviceOptions = {}): Promise<Device> {
  const turn = before.then(() => choose(choice, options));
  before = turn.catch(() => {});
  return turn;
}

/**
 * The device in use.
 * @throws Error before {@link useDevice}.
 */
export function currentDevice(): Device {
  if (!current) throw new Error("No device yet: call `await useDevice()` first");
  return current;
}

/** The WebGPU device in use; undefined on WASM. */
export function currentGpu(): Gpu | undefined {
  return current?.name === "webgpu" ? gpu : undefined;
}

async function choose(choice: DeviceChoice | undefined, options: DeviceOptions): Promise<Device> {
  const variable = choice === undefined ? environment("DENOISE_DEVICE") : undefined;
  const asked = (choice ?? variable ?? "auto") as DeviceChoice;
  if (!CHOICES.includes(asked)) {
    const where = variable ? " in DENOISE_DEVICE" : "";
    throw new RangeError(`Unknown device "${asked}"${where}: one of ${CHOICES.join(", ")}`);
  }
  const { threads, shared, log = console.error } = options;
  checkOptions(asked, threads, shared);
  if (current && (asked === "auto" || asked === current.name)) {
    if (current.name === "wasm" && threads !== undefined && threads !== current.threads) {
      throw new Error(
        `useDevice: the WASM device runs on ${current.threads} threads, and threads: ${threads} was asked for; ` +
          "it keeps those that it started with",
      );
    }
    return current;
  }
  requireNoTensors(asked);
  const leave = claimDevice();
  try {
    current = await start(asked, threads, shared);
  } catch (error) {
    if (!current) leave();
    throw error;
  }
  log?.(`Device: ${current.name} (${current.detail}): ${current.reason}`);
  return current;
}

/** @throws RangeError for options that are out of range or would do nothing. */
function checkOptions(asked: DeviceChoice, threads?: number, shared?: boolean): void {
  if (threads !== undefined) requireThreads("useDevice: threads", threads);
  if (asked === "webgpu" && threads !== undefined) {
    throw new RangeError(`useDevice: threads: ${threads} is an option of "wasm", not of "webgpu"`);
  }
  if (asked === "webgpu" && shared !== undefined) {
    throw new RangeError(`useDevice: shared: ${shared} is an option of "wasm", not of "webgpu"`);
  }
  if (shared === false && threads !== undefined && threads > 1) {
    throw new RangeError(`useDevice: threads: ${threads} share memory; with shared: false there is one`);
  }
}

/** @throws RangeError unless a number of threads, told of by a name, is one. */
function requireThreads(what: string, threads: unknown): void {
  if (Number.isInteger(threads) && (threads as number) >= 1 && (threads as number) <= MAX_THREADS) return;
  throw new RangeError(
    `${what} is a whole number from 1 to ${MAX_THREADS}, not ${JSON.stringify(threads)}`,
  );
}

/**
 * Makes this copy of the library the one that uses devices in this program; two would replace each other's kernels.
 * @returns what takes that back
 * @throws Error if another copy does
 */
function claimDevice(): () => void {
  const key = Symbol.for("@denoise/denoise device"),
    places = globalThis as unknown as Record<symbol, unknown>;
  const here = import.meta.url, there = places[key] ??= here;
  if (there === here) return () => delete places[key];
  throw new Error(
    `useDevice: another copy of Denoise uses a device in this program, ${there}; this one is ${here}. Import one of them`,
  );
}

/** @throws Error if tensors live on the device in use, which another is to follow. */
function requireNoTensors(asked: DeviceChoice): void {
  const alive = engine.state.numTensors - countConstants();
  if (!current || alive <= 0) return;
  throw new Error(
    `useDevice("${asked}"): ${alive} tensors live on ${current.name}; dispose of them before another device is used, ` +
      "or use it in another process",
  );
}

async function start(choice: DeviceChoice, threads?: number, shared?: boolean): Promise<Device> {
  if (choice === "wasm") return await startOnWasm("asked for", threads, shared);
  quietDrivers();
  const { findAdapter, startWebGPU } = await import("./webgpu/start.ts");
  const found = await findAdapter();
  if (choice === "webgpu" && !found) {
    throw new Error(
      "Device webgpu was asked for, but there is no WebGPU adapter here. " +
        'Install a Vulkan, Metal or D3D12 driver, or use "wasm"',
    );
  }
  if (!found) return await startOnWasm("no WebGPU adapter", threads, shared);
  const { detail, software } = found;
  if (software && choice === "auto") {
    return await startOnWasm(`the only WebGPU adapter is software (${detail})`, threads, shared);
  }
  gpu ??= await startWebGPU(found, environment("DENOISE_DEBUG") !== undefined);
  await tf.setBackend("webgpu");
  const reason = choice === "auto" ? "hardware adapter found" : "asked for";
  return { name: "webgpu", detail, reason, threads: 1 };
}

/** Mesa's drivers complain on stderr where this variable is unset; any directory contents them. */
function quietDrivers(): void {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  const variable = "XDG_RUNTIME_DIR";
  if (!deno || deno.build.os !== "linux") return;
  if (deno.permissions.querySync({ name: "env", variable }).state !== "granted") return;
  if (!deno.env.get(variable)) deno.env.set(variable, "/tmp");
}

async function startOnWasm(reason: string, asked?: number, wanted?: boolean): Promise<Device> {
  const { startWasm } = await import("./wasm/start.ts");
  const shared = wanted ?? canShareMemory();
  const { pool } = await startWasm(asked ?? defaultThreads(), shared);
  await tf.setBackend("wasm");
  const simd = pool.relaxed ? "relaxed SIMD" : "SIMD";
  const alone = shared ? "" : ", no memory shared with threads (a page needs cross-origin isolation)";
  const detail = `${pool.threads} thread${pool.threads === 1 ? "" : "s"}, ${simd}${alone}`;
  return { name: "wasm", detail, reason, threads: pool.threads };
}

/**
 * Threads where the caller names no number.
 * @throws RangeError if `DENOISE_THREADS` is none.
 */
function defaultThreads(): number {
  const text = environment("DENOISE_THREADS");
  if (text === undefined) return Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1);
  const threads = Number(text);
  requireThreads("DENOISE_THREADS", Number.isInteger(threads) ? threads : text);
  return threads;
}
