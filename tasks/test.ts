/**
 * `deno task test`: format, lint, types, the examples in the docs, and the suite on each device that is there. Its last
 * line tells how many passed and failed; a check counts as one.
 */
import type { DeviceChoice } from "../mod.ts";
import { ROOT } from "./caller.ts";
import { command as makeCommand, EXIT, main, parse } from "./cli.ts";
import { deviceOption } from "./device.ts";
import { endOnStop } from "./stop.ts";

const total = { passed: 0, failed: 0 };

/** Writes all of a text. */
function write(text: string): void {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

/** What runs, which ends with the task. */
const children = new Set<Deno.ChildProcess>();

/** A part of the checks. */
interface Step {
  title: string;
  /** Of deno. */
  args: string[];
  env?: Record<string, string>;
  /** Its output is shown when this is over; by default at once. */
  after?: Promise<void>;
}

/** Runs a step, its output passed through; adds what it reports to the totals. */
async function step({ title, args, env, after }: Step): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  children.add(child);
  await endOnStop(() => {
    for (const child of children) child.kill();
    return "Stopped";
  });
  let text = "", waiting = `\n── ${title}\n`, isShown = false;
  const show = (part: string) => {
    if (isShown) write(part);
    else waiting += part;
  };
  const shown = (async () => {
    await after;
    write(waiting);
    isShown = true;
  })();
  const pass = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>, isReport: boolean) => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      if (isReport) text += part;
      show(part);
    }
  };
  await Promise.all([pass(child.stdout, true), pass(child.stderr, false)]);
  const { success, signal } = await child.status;
  children.delete(child);
  await shown;
  // deno-lint-ignore no-control-regex
  const plain = text.replace(/\x1b\[[0-9;]*m/g, "");
  const [, passed, failed] = plain.match(/^(?:ok|FAILED) \| (\d+) passed.*?\| (\d+) failed/m) ?? [];
  total.passed += passed === undefined ? Number(success) : Number(passed);
  // Software Vulkan now and then aborts while the process ends, when every test has been reported.
  const atExit = signal !== null && Number(passed) > 0 && failed === "0";
  if (atExit) console.log(`(${signal} from a driver, after the last test)`);
  // A failure that no test reports (a type error, a crash) is one all the same.
  total.failed += Math.max(Number(failed ?? 0), success || atExit ? 0 : 1);
}

const command = makeCommand(
  "test",
  "Checks everything: format, lint, types, docs, and the suite on each device that is there",
)
  .addOption(deviceOption("the suite on this device only: webgpu or wasm; auto is each that is there"));

/** Where examples in docs are. */
const DOCUMENTED = ["mod.ts", "core", "datasets", "callbacks", "models", "docs"];
/** What is type-checked: core, which has AssemblyScript in it, by its modules' users. */
const CHECKED = ["mod.ts", "datasets", "callbacks", "models", "tasks", "tests", "bench", "examples"];

/** `deno task test`. */
export async function test(args: string[]): Promise<number> {
  const { device } = parse<{ device?: DeviceChoice }>(command, args);
  await step({ title: "format", args: ["fmt", "--check", "--quiet"] });
  await step({ title: "lint", args: ["lint", "--quiet"] });
  await step({
    title: "docs",
    args: ["run", "--no-prompt", "--allow-read", "--allow-run", "tasks/lint_docs.ts"],
  });
  await step({ title: "types", args: ["check", "--quiet", ...CHECKED] });
  await step({
    title: "examples in the docs",
    args: ["test", "-A", "--quiet", "--doc", ...DOCUMENTED],
    env: { DENOISE_DEVICE: "wasm" },
  });
  const suite = (name: string, on: string, after?: Promise<void>) =>
    step({
      title: `suite on ${name}`,
      args: ["test", "-A", "--no-check", "tests"],
      env: { DENOISE_DEVICE: on },
      after,
    });
  // Beside each other: neither keeps two cores busy by itself.
  const onWasm = device === "webgpu" ? undefined : suite("WASM", "wasm");
  if (device !== "wasm") {
    if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp"); // Mesa complains without
    if (await navigator.gpu?.requestAdapter()) {
      await suite("WebGPU", "webgpu", onWasm);
    } else {
      await onWasm;
      console.log(
        "\nNo WebGPU adapter here: the suite ran on WASM only. Software Vulkan will do (mesa-vulkan-drivers).",
      );
    }
  }
  await onWasm;
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return total.failed ? EXIT.failure : EXIT.ok;
}

if (import.meta.main) await main(test);
