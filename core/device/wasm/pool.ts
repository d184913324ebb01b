/** Runs kernels of our module: one dispatch at a time, its tasks spread over a pool of threads. */
import type { TensorInfo } from "../../tf.ts";
import { Control, type Kernel, MAX_THREADS, TICKET_BYTES } from "./assembly/abi.ts";
import { ARGS } from "./kernel_args.ts";
import { KERNELS_RELAXED, KERNELS_SIMD } from "./kernels.gen.ts";
import type { WasmModule } from "./boot.ts";
import { Threads } from "./threads.ts";
import { unshare } from "./unshared.ts";

/** A number that the module reads as a float; plain numbers are 32-bit integers or addresses. */
export class Float {
  constructor(readonly value: number) {}
}

/** What stands in one 32-bit word: a tensor is its address, what is undefined 0; a list takes as many words as it has. */
export type Word = number | boolean | Float | TensorInfo | readonly number[] | undefined;

/** A word for each name of an enum of `assembly/abi.ts`. */
export type Words<E> = { readonly [Name in keyof E as Name extends string ? Name : never]: Word };

interface Exports {
  dispatch(ctrl: number, kernel: number, tasks: number, threads: number): number;
  scratch(kernel: number, ctrl: number): number;
}

const CONTROL_BYTES = Control.tickets + MAX_THREADS * TICKET_BYTES;
const MAX_ARGS = (Control.tickets - Control.args) / 4;
const MAX_TASKS = 2 ** 31 - 1;
/** Scratch memory is made larger than what is asked for by this, so that it need not grow often. */
const SPARE = 1.25, SPARE_BYTES = 4096;
const ALIGN_BYTES = 64;

const alignUp = (bytes: number): number => Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES;

/** A module of one relaxed-SIMD instruction; it validates where the engine has the feature. */
// deno-fmt-ignore
const RELAXED_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
  10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
]);

/** Whether the engine has relaxed SIMD (fused multiply-add). */
function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_PROBE);
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** A thread of the pool has ended by itself: the tasks that it had are not done. */
export class ThreadDied extends Error {
  /** The kind of error. */
  override name = "ThreadDied";
  constructor() {
    super("a kernel thread died");
  }
}

/**
 * Whether an error is one after which the memory cannot be trusted: a kernel has trapped (a reach past the memory, an
 * unreachable instruction, an abort of tfjs's), or a thread has died. The allocator may be locked, so nothing is freed.
 */
export function isFatal(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError || error instanceof ThreadDied;
}

/** What a pool is started over. */
interface PoolOptions {
  /** The memory that it shares with tfjs's backend. */
  memory: WebAssembly.Memory;
  /** Whose allocator it takes its own memory from. */
  malloc: WasmModule;
  /** A tensor's address in that memory. */
  addressOf: (t: TensorInfo) => number;
  /** With the caller's; over a memory that is not shared there is only the caller's. */
  threads: number;
}

/** The kernel module and its threads. One for each device. */
export class KernelPool {
  /** Whether fused multiply-add is in use. */
  readonly relaxed: boolean = hasRelaxedSimd();
  readonly memory: WebAssembly.Memory;
  readonly malloc: WasmModule;
  readonly #addressOf: (t: TensorInfo) => number;
  readonly #exports: Exports;
  readonly #ctrl: number;
  readonly #others: Threads;
  #ints: Int32Array = new Int32Array();
  #floats: Float32Array = new Float32Array();
  #scratchBytes = 0;
  #threads = 1;
  #started = 1;

  private constructor({ memory, malloc, addressOf }: PoolOptions, module: WebAssembly.Module) {
    this.memory = memory;
    this.malloc = malloc;
    this.#addressOf = addressOf;
    const env = { memory, now: () => performance.now() };
    this.#exports = new WebAssembly.Instance(module, { env }).exports as unknown as Exports;
    this.#ctrl = alignUp(malloc._malloc(CONTROL_BYTES + ALIGN_BYTES));
    new Uint8Array(memory.buffer, this.#ctrl, CONTROL_BYTES).fill(0);
    this.#others = new Threads(module, memory, this.#ctrl);
  }

  /** Instantiates the module and starts one thread fewer than asked for: the caller's is the first. */
  static async start(options: PoolOptions): Promise<KernelPool> {
    const { memory } = options;
    const binary = decode(hasRelaxedSimd() ? KERNELS_RELAXED : KERNELS_SIMD);
    const shared = !(memory.buffer instanceof ArrayBuffer);
    const module = await WebAssembly.compile(shared ? binary : unshare(binary));
    const pool = new KernelPool(options, module);
    const threads = shared ? options.threads : 1;
    await pool.#others.start(threads - 1);
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
   * Ends the other threads, after the task that each is at.
   * @returns when they have ended
   */
  close(): Promise<void> {
    return this.#others.close();
  }

  /**
   * Runs a kernel's tasks and waits for them.
   * @param tasks how many; with 0 nothing happens
   * @param args a word for each name of the kernel's enum in {@link ARGS}
   * @throws RangeError for more tasks or arguments than a dispatch takes; ThreadDied if a thread has
   *
   * @example
   * ```ts ignore
   * pool.run(Kernel.upsample, n * h, { x, width: w, channels: c, factor, y });
   * ```
   */
  run<K extends Kernel>(kernel: K, tasks: number, args: Words<typeof ARGS[K]>): void {
    if (tasks === 0) return;
    if (tasks > MAX_TASKS) throw new RangeError(`A dispatch takes at most ${MAX_TASKS} tasks, not ${tasks}`);
    this.write(this.#ctrl + Control.args, ARGS[kernel], args);
    const scratch = this.#exports.scratch(kernel, this.#ctrl) >>> 0;
    if (scratch > this.#scratchBytes) this.#growScratch(scratch);
    if (this.#exports.dispatch(this.#ctrl, kernel, tasks, this.#threads)) throw new ThreadDied();
  }

  /**
   * Writes words by name.
   * @param address where the first of them stands
   * @throws RangeError for a list of more words than a dispatch takes
   */
  write<E extends object>(address: number, positions: E, words: Words<E>): void {
    if (this.#ints.buffer !== this.memory.buffer) {
      this.#ints = new Int32Array(this.memory.buffer);
      this.#floats = new Float32Array(this.memory.buffer);
    }
    const first = address / 4, places = positions as Record<string, number>;
    const values = words as Record<string, Word>;
    for (const name in values) {
      const value = values[name], at = first + places[name];
      if (typeof value === "number") this.#ints[at] = value;
      else if (typeof value !== "object") this.#ints[at] = value ? 1 : 0;
      else if (value instanceof Float) this.#floats[at] = value.value;
      else if ("dataId" in value) this.#ints[at] = this.#addressOf(value);
      else {
        if (places[name] + value.length > MAX_ARGS) {
          throw new RangeError(
            `A dispatch takes at most ${MAX_ARGS - places[name]} ${name}, not ${value.length}`,
          );
        }
        this.#ints.set(value, at);
      }
    }
  }

  #growScratch(bytes: number): void {
    const ints = () => new Int32Array(this.memory.buffer), at = (this.#ctrl + Control.scratch) / 4;
    const old = ints()[at] >>> 0;
    if (old) this.malloc._free(old);
    ints()[at] = this.#scratchBytes = 0;
    const size = alignUp(bytes * SPARE + SPARE_BYTES);
    const address = this.malloc._malloc(size * this.#started);
    ints()[at] = address;
    ints()[(this.#ctrl + Control.scratchBytes) / 4] = this.#scratchBytes = size;
  }
}
