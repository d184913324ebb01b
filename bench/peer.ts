/** A peer: a process that is asked for times, one JSON line a question. */
import type { Case } from "./cases.ts";

/** Answers of a peer. */
interface Answer {
  name?: string;
  error?: number;
  ms?: number;
  missing?: string;
  mib?: number;
}

/** A running peer. Ask one thing at a time. */
export class Peer {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  /** What it is, with its version. */
  name = "";

  private constructor(command: string, args: string[], env: Record<string, string>) {
    this.#child = new Deno.Command(command, {
      args,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      detached: true, // Ctrl-C in a terminal is for the task alone
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts a peer, or gives null where it does not run here. */
  static async start(
    command: string,
    args: string[],
    env: Record<string, string> = {},
  ): Promise<Peer | null> {
    try {
      const peer = new Peer(command, args, env);
      peer.name = (await peer.ask({ info: true })).name!;
      return peer;
    } catch {
      return null;
    }
  }

  /** @throws Error if the peer has died. */
  async ask(question: unknown): Promise<Answer> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify(question) + "\n"));
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error(`The peer ${this.name} ended`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line);
  }

  /** Median ms of a case, or why there is none. */
  async time(c: Case, threads: number, ms: number): Promise<number | string> {
    const { ms: time, missing } = await this.ask({ case: c, threads, ms });
    return time ?? missing!;
  }

  /** Ends it. */
  stop(): void {
    try {
      this.#child.kill();
    } catch {
      // It has ended.
    }
  }
}
