/** Boots tfjs's WASM backend over a memory of ours, so that our kernels and their threads share it. */
import { unshare } from "./unshared.ts";
import { asKernelError, loadWasmBackend, loadWasmBinary } from "../../tf.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

/** The emscripten module behind tfjs's backend, as far as we use it. */
export interface WasmModule {
  _malloc(bytes: number): number;
  _free(pointer: number): void;
}

/** A booted backend and what it stands on. */
interface Booted {
  backend: Any;
  module: WasmModule;
  memory: WebAssembly.Memory;
}

/**
 * Pages of 64 KiB: 32 MiB to begin with, and at most 128 MiB less than 4 GiB. tfjs's allocator gives out a block at the
 * end of its memory for any size that would reach past 2³²; what tfjs allocates by itself is smaller than that gap.
 */
const INITIAL_PAGES = 512;
const MAXIMUM_PAGES = 65536 - 2048;
const MAXIMUM_BYTES = MAXIMUM_PAGES * 65536;

/**
 * Answers the messages with which emscripten starts its own thread pool, and starts nothing: our pool does the work.
 */
class IdleWorker {
  onmessage: ((event: { data: { cmd: string } }) => void) | null = null;
  postMessage(message: { cmd: string }) {
    if (message.cmd === "load") queueMicrotask(() => this.onmessage?.({ data: { cmd: "loaded" } }));
  }
  on() {}
  ref() {}
  unref() {}
  terminate() {}
}

/** Runs `body` with `Worker` replaced and without the process handlers that emscripten installs. */
async function withoutThreads<T>(body: () => Promise<T>): Promise<T> {
  const worker = Object.getOwnPropertyDescriptor(globalThis, "Worker");
  Object.defineProperty(globalThis, "Worker", {
    configurable: true,
    get: () => IdleWorker,
    set() {},
  });
  // The package looks for its files by this, which a bundle for Deno lacks: they are beside the bundle.
  const bundled = "Deno" in globalThis && !("__dirname" in globalThis);
  if (bundled) {
    (globalThis as Any).__dirname = decodeURIComponent(
      new URL(".", import.meta.url).href.replace(/^file:\/\//, ""),
    ).slice(0, -1);
  }
  const process = (globalThis as Any).process ?? (await nodeProcess());
  const events = ["uncaughtException", "unhandledRejection"];
  const before = events.map((e) => new Set(process?.listeners(e) ?? []));
  try {
    return await body();
  } finally {
    if (worker) Object.defineProperty(globalThis, "Worker", worker);
    else delete (globalThis as Any).Worker;
    if (bundled) delete (globalThis as Any).__dirname;
    events.forEach((event, i) => {
      for (const listener of process?.listeners(event) ?? []) {
        if (!before[i].has(listener)) process.removeListener(event, listener);
      }
    });
  }
}

async function nodeProcess(): Promise<Any> {
  return "Deno" in globalThis ? (await import("node:process")).default : undefined;
}

/** A file's bytes, by URL or by path. */
async function bytesAt(location: string): Promise<Uint8Array> {
  const missing = (why: string, cause?: unknown) =>
    new Error(
      `No binary at ${location} (${why}): it is a file of the npm package @tensorflow/tfjs-backend-wasm, ` +
        "and belongs beside the bundle",
      { cause },
    );
  if ("Deno" in globalThis && !/^https?:/.test(location)) {
    return await Deno.readFile(location).catch((cause) => {
      throw missing(cause.message, cause);
    });
  }
  const response = await fetch(location);
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  throw missing(`${response.status} ${response.statusText}`);
}

/**
 * tfjs's threaded binary for that memory. An unshared one needs its bytes: a file of the package (under Deno: read
 * permission), in a page one beside the bundle.
 */
async function compileBinary(shared: boolean, location: string): Promise<WebAssembly.Module> {
  const compiled = shared ? await loadWasmBinary() : undefined;
  if (compiled) return compiled;
  const bytes = await bytesAt(location);
  return await WebAssembly.compile(shared ? Uint8Array.from(bytes) : unshare(bytes));
}

/**
 * The module's allocator with faults made good: it returns 0 where memory is out, and a block that is too small where the
 * one that was asked for would end past 2³². Where a call traps, its lock stays closed and a later call would wait for ever:
 * from then on nothing is freed, and asking for memory is an error.
 */
function safeAllocator({ asm }: Any, memory: WebAssembly.Memory): WasmModule {
  let trapped = false;
  /** Calls the allocator's own function. */
  const call = (f: (n: number) => number, n: number): number => {
    if (trapped) throw new Error("The WASM device's memory is damaged");
    try {
      return f(n);
    } catch (error) {
      trapped = true;
      throw asKernelError("Allocating memory", error);
    }
  };
  const allocate = (bytes: number): number => {
    const tooSmall: number[] = [];
    try {
      for (;;) {
        const at = bytes <= MAXIMUM_BYTES ? call(asm.malloc, bytes) >>> 0 : 0;
        if (at !== 0 && at + bytes <= memory.buffer.byteLength) return at;
        if (at === 0 && bytes > 0) {
          throw new Error(
            `Out of memory: ${bytes} bytes asked for with ${memory.buffer.byteLength} in use; ` +
              `a smaller batch needs less`,
          );
        }
        if (at === 0) return 0;
        tooSmall.push(at); // and held, so that the next try finds another
      }
    } finally {
      tooSmall.forEach(free);
    }
  };
  const free = (at: number): void => {
    if (!trapped) call(asm.free, at);
  };
  return { _malloc: allocate, _free: free };
}

/** Makes tfjs's backend, on one thread of its own, over a memory that may be shared. */
export async function bootWasm(shared: boolean): Promise<Booted> {
  const memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES, shared });
  const { Backend, factory } = await loadWasmBackend();
  const failures: string[] = [];
  let location = "";
  const failure = Promise.withResolvers<never>();
  const module: Any = await withoutThreads(() =>
    Promise.race([
      failure.promise,
      factory({
        wasmMemory: memory,
        print: () => {},
        printErr: (line: string) => failures.push(line),
        locateFile(name: string, directory: string) {
          // In a page the binary lies beside the bundle, whatever the page's own address or a worker's.
          const at = "Deno" in globalThis ? directory + name : new URL(name, import.meta.url).href;
          if (name.endsWith(".wasm")) location = at; // it asks for its worker's script too
          return at;
        },
        instantiateWasm(
          imports: WebAssembly.Imports,
          done: (i: WebAssembly.Instance, m: WebAssembly.Module) => void,
        ) {
          // Its own thread pool is not used, and asking for the number of cores would need a permission.
          imports.env.emscripten_num_logical_cores = () => 1;
          (async () => {
            const binary = await compileBinary(shared, location);
            done(await WebAssembly.instantiate(binary, imports), binary);
          })().catch(failure.reject);
          return {};
        },
      }),
    ])
  ).catch((cause: unknown) => {
    throw new Error(`The WASM backend did not start: ${failures.join("; ") || cause}`, { cause });
  });
  module.tfjs = {
    init: module.cwrap("init", null, []),
    initWithThreadsCount: module.cwrap("init_with_threads_count", null, ["number"]),
    getThreadsCount: module.cwrap("get_threads_count", "number", []),
    registerTensor: module.cwrap("register_tensor", null, ["number", "number", "number"]),
    disposeData: module.cwrap("dispose_data", null, ["number"]),
    dispose: module.cwrap("dispose", null, []),
  };
  Object.assign(module, safeAllocator(module, memory));
  return { backend: new Backend(module), module, memory };
}
