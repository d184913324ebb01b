/**
 * What a decoding thread runs, see `threads.ts`. It is bundled into `worker.gen.ts` by `deno task build:worker`, so that
 * a thread starts without a file to read: from a program that is imported by URL or bundled, and with no permission.
 */
import { prepare, type Prepared, type Recipe } from "./prepare.ts";
import type { Pixels } from "./source.ts";

/** What a thread is sent. */
export interface Job {
  input: Uint8Array | Pixels;
  recipe: Recipe;
}

/** What it sends back. */
export type Answer = { done: Prepared } | { error: string };

/** A thread's end of the line. */
interface Port {
  postMessage(answer: Answer, transfer: Transferable[]): void;
}

async function answer({ input, recipe }: Job, port: Port): Promise<void> {
  try {
    const done = await prepare(input, recipe);
    port.postMessage({ done }, [done.image.data.buffer as ArrayBuffer]);
  } catch (error) {
    port.postMessage({ error: (error as Error).message }, []);
  }
}

Object.assign(globalThis, { answer });
