/** Runs kernels of our module: one dispatch at a time, its tasks spread over a pool of threads. */
import { KERNELS_RELAXED, KERNELS_SIMD } from "./kernels.gen.ts";
import type { WasmModule } from "./boot.ts";
import { unshare } from "./unshared.ts";

/** Kernel numbers, as `assembly/index.ts` switches on them. */
export const Kernel = {
  pack: 0,
  matmul: 1,
  packFilter: 2,
  conv: 3,
  convFilterGrad: 4,
  groupNorm: 5,
  groupNormGrad: 6,
  attention: 7,
  attentionGrad: 8,
  map: 9,
  copyColumns: 10,
  upsample: 11,
  upsampleGrad: 12,
  sumRows: 13,
  adam: 14,
  random: 15,
  sumColumns: 16,
  addChannels: 17,
  winogradFilter: 18,
  winogradConv: 19,
  winogradFilterGrad: 20,
  winogradFilterGradSum: 21,
  softmax: 22,
  squaredError: 23,
  crossEntropy: 24,
  crossEntropyGrad: 25,
  channelSums: 26,
  batchNormStats: 27,
  batchNormGradStats: 28,
  channelAffine: 29,
  convFewIn: 30,
  convFewOut: 31,
  convFilterGradFewIn: 32,
  convFilterGradFewOut: 33,
  packRun: 34,
  averagePool: 35,
  averagePoolGrad: 36,
  convSmall: 37,
  convSmallFilterGrad: 38,
} as const;

/** A float argument of a dispatch; plain numbers are 32-bit integers or addresses. */
export class Float {
  constructor(readonly value: number) {}
}

interface Exports {
  dispatch(ctrl: number, kernel: number, tasks: number, threads: number): number;
  serve(ctrl: number, thread: number, spins: number): void;
}

/** Most threads that a pool can have. */
const MAX_THREADS = 64;
/** The control block of `assembly/index.ts`: its head, arguments up to 1024, then a ticket a thread. */
const CTRL_BYTES = 1024 + 64 * MAX_THREADS;
const ARG_WORDS = (1024 - 64) / 4;
/** Idle spins (a few ms) before a thread sleeps. */
const SPINS = 4_000_000;
const MAX_TASKS = 0xfffff;

/** A module of one relaxed-SIMD instruction; it validates where the engine has the feature. */
const RELAXED_PROBE = new Uint8Array([
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
]);

/** Whether the engine has relaxed SIMD (fused multiply-add). */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_PROBE);
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** What a pool thread runs; it must stand alone, since it is started from its text. */
const THREAD = `
  const start = ({ module, memory, ctrl, thread, spins, dead }) => {
    try {
      new WebAssembly.Instance(module, { env: { memory } }).exports.serve(ctrl, thread, spins);
    } catch (error) {
      Atomics.store(new Int32Array(memory.buffer), (ctrl + dead) >> 2, 1);
      throw error;
    }
  };`;

/** The kernel module and its threads. One for each device. */
export class KernelPool {
  readonly #exports: Exports;
  readonly #ctrl: number;
  #scratch = 0;
  #scratchBytes = 0;
  #threads = 1;
  #started = 1;

  private constructor(
    readonly memory: WebAssembly.Memory,
    readonly malloc: WasmModule,
    /** Whether fused multiply-add is in use. */
    readonly relaxed: boolean,
    module: WebAssembly.Module,
  ) {
    this.#exports = new WebAssembly.Instance(module, { env: { memory } })
      .exports as unknown as Exports;
    this.#ctrl = (malloc._malloc(CTRL_BYTES + 64) + 63) & ~63;
    new Uint8Array(memory.buffer, this.#ctrl, CTRL_BYTES).fill(0);
  }

  /**
   * Instantiates the module and starts `threads − 1` more threads (the caller's is the first); over an unshared memory
   * there is only the caller's.
   */
  static async start(
    memory: WebAssembly.Memory,
    malloc: WasmModule,
    threads: number,
  ): Promise<KernelPool> {
    const relaxed = hasRelaxedSimd();
    const binary = decode(relaxed ? KERNELS_RELAXED : KERNELS_SIMD);
    const shared = !(memory.buffer instanceof ArrayBuffer);
    if (!shared) threads = 1;
    const module = await WebAssembly.compile(shared ? binary : unshare(binary));
    const pool = new KernelPool(memory, malloc, relaxed, module);
    for (let thread = 1; thread < threads; thread++) {
      await startThread({ module, memory, ctrl: pool.#ctrl, thread, spins: SPINS, dead: 20 });
    }
    pool.#threads = pool.#started = threads;
    return pool;
  }

  /** Threads in use, the caller's included. */
  get threads(): number {
    return this.#threads;
  }

  /** Uses only the first n threads from now on; for measurements and tests. */
  limitThreads(n: number): void {
    this.#threads = n;
  }

  /**
   * Runs `tasks` tasks of a kernel and waits for them. `scratch` is how many bytes a thread may use.
   * @throws if a thread has died, or for more than 2²⁰ tasks.
   */
  run(kernel: number, tasks: number, args: (number | Float)[], scratch = 0): void {
    if (tasks === 0) return;
    if (tasks > MAX_TASKS || args.length > ARG_WORDS) {
      throw new RangeError(
        `A dispatch takes at most ${MAX_TASKS} tasks and ${ARG_WORDS} arguments, not ${tasks} and ${args.length}`,
      );
    }
    if (scratch > this.#scratchBytes) this.#growScratch(scratch);
    const at = this.#ctrl >> 2;
    const ints = new Int32Array(this.memory.buffer);
    const floats = new Float32Array(this.memory.buffer);
    ints[at + 7] = this.#scratch;
    ints[at + 8] = this.#scratchBytes;
    for (let i = 0; i < args.length; i++) {
      const a = args[i];
      if (a instanceof Float) floats[at + 16 + i] = a.value;
      else ints[at + 16 + i] = a;
    }
    if (this.#exports.dispatch(this.#ctrl, kernel, tasks, this.#threads)) {
      throw new Error(
        "A WASM kernel thread died; the device cannot go on. Restart the program, or set DENOISE_THREADS=1",
      );
    }
  }

  #growScratch(bytes: number): void {
    const size = (bytes * 1.25 + 4096) & ~63;
    if (this.#scratch) this.malloc._free(this.#scratch);
    this.#scratch = this.malloc._malloc(size * this.#started + 64);
    this.#scratchBytes = size;
  }
}

/** Starts a thread that never keeps the process alive. */
async function startThread(data: Record<string, unknown>): Promise<void> {
  if ("Deno" in globalThis) {
    const { Worker } = await import("node:worker_threads");
    const source = `${THREAD} start(require("node:worker_threads").workerData);`;
    new Worker(source, { eval: true, workerData: data }).unref();
    return;
  }
  const source = `${THREAD} self.onmessage = (event) => start(event.data);`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  new Worker(url).postMessage(data);
}
