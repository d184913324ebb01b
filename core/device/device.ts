/** Chooses and starts the device that tensors live on. */
import { noDeviceError, setKernelErrorHandler, setNoDevice, tf } from "../tf.ts";
import { countConstants, freeConstants } from "./constants.ts";
import { DeviceError } from "./device_error.ts";
import { MAX_THREADS } from "./wasm/assembly/abi.ts";
import { registerOps } from "../ops/table.ts";
import { claimProgram, leaveProgram } from "./copies.ts";
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

/** The device in use, and what ends it. */
interface Running {
  readonly device: Device;
  /** tfjs's. */
  readonly backend: { numDataIds(): number };
  /** Whether its memory is shared; undefined on WebGPU. */
  readonly shared?: boolean;
  readonly gpu?: Gpu;
  /** Whether an error is one that it cannot go on after. */
  isFatal?(error: unknown): boolean;
  close(): void | Promise<void>;
}

let running: Running | undefined;
/** The calls of {@link useDevice} and {@link closeDevice} before the next one, which waits for them. */
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
  return inTurn(() => choose(choice, options));
}

/**
 * Ends the device in use: its threads, its memory (at the next garbage collection) or the GPU device. The tensors on it are
 * lost, and reading or using one is an error. {@link useDevice} starts a device anew. Without a device it does nothing. A
 * worker's or program's end closes it too.
 * @returns when all of its threads have ended
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { tf } from "../mod.ts";
 * import { closeDevice, useDevice } from "./device.ts";
 * await useDevice("wasm", { log: null });
 * await closeDevice();
 * assertThrows(() => tf.scalar(1), Error, "The device was closed");
 * ```
 */
export function closeDevice(): Promise<void> {
  return inTurn(() => end());
}

/**
 * The device in use.
 * @throws Error before {@link useDevice}, and after {@link closeDevice}.
 */
export function currentDevice(): Device {
  if (!running) throw noDeviceError();
  return running.device;
}

/** The WebGPU device in use; undefined on WASM. */
export function currentGpu(): Gpu | undefined {
  return running?.gpu;
}

function inTurn<T>(body: () => T | Promise<T>): Promise<T> {
  const turn = before.then(body);
  before = turn.catch(() => {});
  return turn;
}

/** Ends the device in use; at once, but for its threads. */
async function end(why = "The device was closed"): Promise<void> {
  const ended = running;
  if (!ended) return;
  running = undefined;
  freeConstants();
  setNoDevice(`${why}: \`await useDevice()\` starts one`);
  leaveProgram();
  await ended.close();
}

setKernelErrorHandler((kernel, error) => {
  if (!running?.isFatal?.(error)) return error;
  const { name } = running.device, why = `${kernel} failed on ${name}: ${(error as Error).message}`;
  end(`The device was closed, since ${why}`);
  return new DeviceError(
    `${why}. The device is closed, and its tensors are lost; \`await useDevice()\` starts one anew, on which a ` +
      "checkpoint can be resumed",
    { cause: error },
  );
});

// A worker or program that ends.
if ("Deno" in globalThis) globalThis.addEventListener("unload", () => void end());

async function choose(choice: DeviceChoice | undefined, options: DeviceOptions): Promise<Device> {
  const variable = choice === undefined ? environment("DENOISE_DEVICE") : undefined;
  const asked = (choice ?? variable ?? "auto") as DeviceChoice;
  if (!CHOICES.includes(asked)) {
    const where = variable ? " in DENOISE_DEVICE" : "";
    throw new RangeError(`Unknown device "${asked}"${where}: one of ${CHOICES.join(", ")}`);
  }
  const { threads, shared, log = console.error } = options;
  checkOptions(asked, threads, shared);
  if (running?.gpu?.failure) await end();
  const conflict = running && conflictWith(running, asked, threads, shared);
  if (running && !conflict) {
    await tf.setBackend(running.device.name); // a program may have set another backend of tfjs's
    return running.device;
  }
  if (running && conflict) requireNoTensors(running, conflict);
  // Two devices of one name cannot be; one of another goes once the new one is there.
  if (asked === "auto" || asked === running?.device.name) await end();
  claimProgram();
  registerOps();
  try {
    const next = await start(asked, threads, shared);
    await end();
    running = next;
  } finally {
    if (running) claimProgram();
    else leaveProgram();
  }
  const { device } = running;
  log?.(`Device: ${device.name} (${device.detail}): ${device.reason}`);
  return device;
}

/** How what is asked for differs from the device in use; undefined where it does not. */
function conflictWith(
  { device, shared }: Running,
  asked: DeviceChoice,
  threads?: number,
  wanted?: boolean,
): string | undefined {
  if (asked !== "auto" && asked !== device.name) return `"${asked}" was asked for`;
  if (device.name !== "wasm") return undefined;
  if (threads !== undefined && threads !== device.threads) return `threads: ${threads} was asked for`;
  if (wanted !== undefined && wanted !== shared) return `shared: ${wanted} was asked for`;
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

/** @throws Error if tensors live on the device in use, which another is to follow. */
function requireNoTensors({ device, backend }: Running, conflict: string): void {
  const { name, threads } = device, alive = backend.numDataIds() - countConstants();
  if (alive <= 0) return;
  const on = name === "wasm" ? `wasm with ${threads} thread${threads === 1 ? "" : "s"}` : name;
  throw new Error(
    `useDevice: ${conflict}, while ${alive} tensor${
      alive === 1 ? " lives" : "s live"
    } on ${on}. Dispose of them before, ` +
      "call `await closeDevice()`, which loses them, or use another process",
  );
}

async function start(choice: DeviceChoice, threads?: number, shared?: boolean): Promise<Running> {
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
  const { gpu, close } = await startWebGPU(found, environment("DENOISE_DEBUG") !== undefined);
  const reason = choice === "auto" ? "hardware adapter found" : "asked for";
  return { device: { name: "webgpu", detail, reason, threads: 1 }, backend: gpu.backend, gpu, close };
}

/** Mesa's drivers complain on stderr where this variable is unset; any directory contents them. */
function quietDrivers(): void {
  const deno = (globalThis as { Deno?: typeof Deno }).Deno;
  const variable = "XDG_RUNTIME_DIR";
  if (!deno || deno.build.os !== "linux") return;
  if (deno.permissions.querySync({ name: "env", variable }).state !== "granted") return;
  if (!deno.env.get(variable)) deno.env.set(variable, "/tmp");
}

async function startOnWasm(reason: string, asked?: number, wanted?: boolean): Promise<Running> {
  const [{ startWasm }, { isFatal }] = await Promise.all([
    import("./wasm/start.ts"),
    import("./wasm/pool.ts"),
  ]);
  const shared = wanted ?? canShareMemory();
  const context = await startWasm(asked ?? defaultThreads(), shared), { threads, relaxed } = context.pool;
  const simd = relaxed ? "relaxed SIMD" : "SIMD";
  const alone = shared ? "" : ", no memory shared with threads (a page needs cross-origin isolation)";
  const detail = `${threads} thread${threads === 1 ? "" : "s"}, ${simd}${alone}`;
  return {
    device: { name: "wasm", detail, reason, threads },
    backend: context.backend,
    shared,
    isFatal,
    close: () => context.close(),
  };
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
