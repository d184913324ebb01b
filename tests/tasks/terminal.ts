/** Commands in a terminal of their own, as somebody types them: a pseudo-terminal that is their controlling one. */

/** util-linux's `script` makes the terminal; other systems' takes other options. */
export const hasTerminal: boolean = await new Deno.Command("script", { args: ["--version"] }).output()
  .then(({ stdout }) => new TextDecoder().decode(stdout).includes("util-linux"), () => false);
if (!hasTerminal) console.error("There is no `script` of util-linux here: nothing is typed into a terminal");

/** Ctrl-C as a keyboard sends it. */
const CTRL_C = "\x03";

/** A command that runs in a terminal. */
export class Terminal {
  /** What has been shown, without colours and movements of the cursor. */
  shown = "";
  /** Resolves to the exit code. */
  readonly ended: Promise<number>;
  readonly #child: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array>;
  #seen: () => void = () => {};

  /**
   * Starts a command.
   * @param command as a shell takes it
   * @param options directory, and how long it may take, in ms
   */
  constructor(command: string, { cwd, limitMs }: { cwd: string; limitMs: number }) {
    this.#child = new Deno.Command("script", {
      args: ["--quiet", "--return", "--flush", "--command", command, "/dev/null"],
      cwd,
      env: { SHELL: "/bin/sh", NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      signal: AbortSignal.timeout(limitMs),
    }).spawn();
    this.#keyboard = this.#child.stdin.getWriter();
    const read = this.#read();
    this.ended = this.#child.status.then(async ({ code }) => {
      await read;
      await this.#keyboard.close().catch(() => {});
      return code;
    });
  }

  async #read(): Promise<void> {
    for await (const part of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      // deno-lint-ignore no-control-regex
      this.shown += part.replace(/\x1b(\[[0-9;?]*[A-Za-z]|[78])/g, "");
      this.#seen();
    }
    this.#seen();
  }

  /** Waits until something is shown, or the command has ended. */
  async until(pattern: RegExp): Promise<void> {
    let over = false;
    this.ended.then(() => {
      over = true;
      this.#seen();
    });
    while (!over && !pattern.test(this.shown)) {
      await new Promise<void>((resolve) => this.#seen = resolve);
    }
  }

  /** Presses Ctrl-C. */
  async press(): Promise<void> {
    await this.#keyboard.write(new TextEncoder().encode(CTRL_C)).catch(() => {});
  }
}
