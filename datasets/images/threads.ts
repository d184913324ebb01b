/** Threads that make images from files, ahead of whoever waits for them. */
import { prepare, type Prepared, type Recipe } from "./prepare.ts";
import type { Pixels } from "./source.ts";
import type { Answer, Job } from "./worker.ts";

/** One thread. It never keeps the process alive but while it has a job. */
interface Thread {
  /** Gives it a job; the thread has no other. */
  run(job: Job): Promise<Answer>;
  end(): void;
}

/** Where a thread's input can be moved to it: not a part of a larger buffer, which others may use. */
function buffersOf(input: Uint8Array | Pixels): ArrayBuffer[] {
  const { buffer, byteLength } = input instanceof Uint8Array ? input : input.data;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}

/** A thread by Node's interface, which Deno has too; a web worker of Deno's would keep the process alive. */
async function startNodeThread(source: string): Promise<Thread> {
  const { Worker } = await import("node:worker_threads");
  const worker = new Worker(
    `${source}
    const { parentPort } = require("node:worker_threads");
    parentPort.on("message", (job) => answer(job, parentPort));`,
    { eval: true },
  );
  worker.unref();
  let settle: PromiseWithResolvers<Answer> | undefined;
  worker.on("message", (answer: Answer) => settle?.resolve(answer));
  worker.on("error", (error: Error) => settle?.reject(error));
  worker.on("exit", () => settle?.reject(new Error("a thread that decodes has ended")));
  return {
    async run(job) {
      settle = Promise.withResolvers<Answer>();
      worker.ref();
      worker.postMessage(job, buffersOf(job.input));
      try {
        return await settle.promise;
      } finally {
        settle = undefined;
        worker.unref();
      }
    },
    end: () => void worker.terminate(),
  };
}

/** A thread of a browser. */
function startWebThread(source: string): Thread {
  const text = `${source} self.onmessage = ({ data }) => answer(data, self);`;
  const worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  let settle: PromiseWithResolvers<Answer> | undefined;
  worker.onmessage = ({ data }) => settle?.resolve(data);
  worker.onerror = ({ message }) => settle?.reject(new Error(message));
  return {
    run(job) {
      settle = Promise.withResolvers<Answer>();
      worker.postMessage(job, buffersOf(job.input));
      return settle.promise;
    },
    end() {
      worker.terminate();
      settle?.reject(new Error("a thread that decodes has ended"));
    },
  };
}

/** A picture cannot be made into an image: what is wrong is the picture's own. */
export class ImageError extends Error {
  /** The kind of error. */
  override name = "ImageError";
}

const CLOSED = "the threads that decode pictures are closed";

/** Threads that share what there is to do. */
export class DecodeThreads {
  /** How many there are; 0 where the caller's own does the work. */
  readonly count: number;
  readonly #all: Thread[];
  readonly #idle: Thread[];
  readonly #waiting: PromiseWithResolvers<Thread>[] = [];
  #closed = false;

  private constructor(threads: Thread[]) {
    this.count = threads.length;
    this.#all = threads;
    this.#idle = [...threads];
  }

  /** Starts so many. */
  static async start(count: number): Promise<DecodeThreads> {
    if (count === 0) return new DecodeThreads([]);
    const { WORKER } = await import("./worker.gen.ts"), threads: Thread[] = [];
    for (let i = 0; i < count; i++) {
      threads.push("Deno" in globalThis ? await startNodeThread(WORKER) : startWebThread(WORKER));
    }
    return new DecodeThreads(threads);
  }

  /**
   * An image from a file's bytes or from pixels, whose buffer is moved to the thread.
   * @throws ImageError for what is wrong with the picture; Error if the thread dies or they are closed.
   */
  async prepare(input: Uint8Array | Pixels, recipe: Recipe): Promise<Prepared> {
    if (this.#closed) throw new Error(CLOSED);
    if (this.count === 0) {
      return await prepare(input, recipe).catch((cause) => {
        throw new ImageError(cause.message, { cause });
      });
    }
    const thread = this.#idle.pop() ?? await this.#nextIdle();
    let answer: Answer;
    try {
      answer = await thread.run({ input, recipe });
    } catch (error) {
      this.close(error as Error);
      throw error;
    }
    const next = this.#waiting.shift();
    if (next) next.resolve(thread);
    else this.#idle.push(thread);
    if ("error" in answer) throw new ImageError(answer.error);
    return answer.done;
  }

  #nextIdle(): Promise<Thread> {
    const waiting = Promise.withResolvers<Thread>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /**
   * Ends them, whatever they are at.
   * @param why what those who wait get; default that they are closed
   */
  close(why: Error = new Error(CLOSED)): void {
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(why);
    for (const thread of this.#all) thread.end();
  }
}
