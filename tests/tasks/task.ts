/** Tasks of deno.json as a user runs them, with their permissions. */
import { assertEquals, assertMatch } from "@std/assert";
import { device, wasmOnly } from "../support.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Starts `deno task NAME …`. */
export function startTask(task: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", task, ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(180_000),
  }).spawn();
}

/** Starts `deno task NAME …`, runs kept in dir. Runs must lie in the project: a task may write nowhere else. */
export function start(task: string, dir: string, ...args: string[]): Deno.ChildProcess {
  return startTask(task, ["--runs", dir, "--device", "wasm", ...args]);
}

/** What a task said, and its exit code. */
export async function finish(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
  return { code, out, err };
}
/** Runs it to its end. */
export const run = (task: string, dir: string, ...args: string[]) => finish(start(task, dir, ...args));

/** A test with a directory in the project, where a task may write. */
export function testInDirectory(
  name: string,
  fn: (dir: string) => Promise<void>,
  ignore = wasmOnly.ignore,
): void {
  Deno.test({
    name,
    ignore,
    async fn() {
      await Deno.mkdir(`${ROOT}runs`, { recursive: true });
      const dir = await Deno.makeTempDir({ dir: `${ROOT}runs`, prefix: "test-" });
      try {
        await fn(dir);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

/** A test with a directory for runs, in the suite's run on one device. */
export function cliTest(
  name: string,
  fn: (dir: string) => Promise<void>,
  on: "wasm" | "webgpu" = "wasm",
): void {
  testInDirectory(name, fn, device.name !== on);
}

/** The rows of a file of JSON, a line each. */
export const rows = async (path: string) =>
  (await Deno.readTextFile(path)).trim().split("\n").map((line) => JSON.parse(line));
/** Trains until the first epoch is over, then presses Ctrl-C. */
export async function trainAndStop(dir: string, ...args: string[]): Promise<void> {
  const child = start("train", dir, ...args);
  const [seen, rest] = child.stdout.tee();
  for await (const part of seen.pipeThrough(new TextDecoderStream())) if (/1\s+eval/.test(part)) break;
  // `deno task` hands the signal on to the task.
  child.kill("SIGINT");
  const stdout = await new Response(rest).text();
  const stderr = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 130, stdout + stderr);
  assertMatch(stdout, /Stopped. Go on with: deno task train --resume/);
}
