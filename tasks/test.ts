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

/** Runs deno with these arguments, its output passed through; adds what it reports to the totals. */
async function step(title: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  console.log(`\n── ${title}`);
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let running = true;
  child.status.finally(() => running = false);
  await endOnStop(() => {
    if (running) child.kill();
    return "Stopped";
  });
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    await Deno.stdout.write(new TextEncoder().encode(part));
  }
  const { success, signal } = await child.status;
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
  await step("format", ["fmt", "--check", "--quiet"]);
  await step("lint", ["lint", "--quiet"]);
  await step("docs", ["run", "--no-prompt", "--allow-read", "--allow-run", "tasks/lint_docs.ts"]);
  await step("types", ["check", "--quiet", ...CHECKED]);
  await step("examples in the docs", ["test", "-A", "--quiet", "--doc", ...DOCUMENTED], {
    DENOISE_DEVICE: "wasm",
  });
  if (device !== "webgpu") {
    await step("suite on WASM", ["test", "-A", "--no-check", "tests"], { DENOISE_DEVICE: "wasm" });
  }
  if (device !== "wasm") {
    if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp"); // Mesa complains without
    if (await navigator.gpu?.requestAdapter()) {
      await step("suite on WebGPU", ["test", "-A", "--no-check", "tests"], { DENOISE_DEVICE: "webgpu" });
    } else {
      console.log(
        "\nNo WebGPU adapter here: the suite ran on WASM only. Software Vulkan will do (mesa-vulkan-drivers).",
      );
    }
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return total.failed ? EXIT.failure : EXIT.ok;
}

if (import.meta.main) await main(test);
