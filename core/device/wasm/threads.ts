/** The threads of a kernel pool, the caller's apart: how they start, wait and end. */
import { CLOSED, Control } from "./assembly/abi.ts";

/** Spins of an idle thread before it sleeps: a few milliseconds. */
const SPINS = 4_000_000;

/**
 * What a thread runs; it must stand alone, since it is started from its text. It sleeps in its event loop and never inside
 * of a wait that blocks: a worker that is blocked is left behind when the worker that started it is ended from outside.
 */
const THREAD = `
  const start = async ({ module, memory, ctrl, thread, spins, places, closed }) => {
    const words = new Int32Array(memory.buffer), at = (place) => (ctrl + place) >> 2;
    const dispatch = at(places.dispatch), sleeping = at(places.sleeping);
    const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
    try {
      const env = { memory, now: () => performance.now() };
      const { serve } = new WebAssembly.Instance(module, { env }).exports;
      let seen = Atomics.load(words, dispatch);
      while ((seen = serve(ctrl, thread, seen, spins)) !== closed) {
        Atomics.add(words, sleeping, 1);
        const woken = Atomics.waitAsync?.(words, dispatch, seen) ??
          { value: Atomics.wait(words, dispatch, seen, 1000) };
        await (woken.async ? woken.value : turn());
        Atomics.sub(words, sleeping, 1);
      }
    } catch {
      Atomics.store(words, at(places.dead), 1);
    }
  };`;

/** As far as we use a worker. */
interface Thread {
  terminate(): unknown;
}

/** The threads that help the caller's. */
export class Threads {
  readonly #data: Record<string, unknown>;
  readonly #words: Int32Array;
  readonly #threads: Thread[] = [];
  readonly #ctrl: number;
  #closed = false;

  /** None yet. `ctrl` is the address of the control block in the memory. */
  constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, ctrl: number) {
    this.#ctrl = ctrl;
    const { dispatch, sleeping, dead } = Control, places = { dispatch, sleeping, dead };
    this.#data = { module, memory, ctrl, spins: SPINS, places, closed: CLOSED };
    this.#words = new Int32Array(memory.buffer);
  }

  /**
   * Starts so many. They never keep the process alive, and end with the worker that starts them.
   * @throws Error where one does not start; then none is left
   */
  async start(count: number): Promise<void> {
    try {
      for (let thread = 1; thread <= count; thread++) {
        this.#threads.push(await startThread({ ...this.#data, thread }, () => this.#bury()));
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Ends all, each after the task that it is at. */
  async close(): Promise<void> {
    this.#closed = true;
    const threads = this.#threads.splice(0), dispatch = this.#place(Control.dispatch);
    if (threads.length === 0) return;
    Atomics.store(this.#words, dispatch, CLOSED);
    Atomics.notify(this.#words, dispatch);
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  /** Tells the caller's thread, where it waits for tasks, that they will not be done. */
  #bury(): void {
    if (!this.#closed) Atomics.store(this.#words, this.#place(Control.dead), 1);
  }

  #place(word: Control): number {
    return (this.#ctrl + word) / 4;
  }
}

/** Starts a thread. `onEnd` is called when it ends, for whatever reason. */
async function startThread(data: Record<string, unknown>, onEnd: () => void): Promise<Thread> {
  if ("Deno" in globalThis) {
    const { Worker } = await import("node:worker_threads");
    // It listens to its parent so that its event loop does not end while it sleeps.
    const source = `${THREAD}
      const { parentPort, workerData } = require("node:worker_threads");
      parentPort.on("message", () => {});
      start(workerData);`;
    const worker = new Worker(source, { eval: true, workerData: data });
    worker.unref();
    worker.on("error", onEnd).on("exit", onEnd);
    return worker;
  }
  const source = `${THREAD} self.onmessage = (event) => start(event.data);`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url);
  worker.onerror = onEnd;
  worker.postMessage(data);
  return worker;
}
