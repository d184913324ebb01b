/** The device and threads of a task: a flag counts before the environment, which counts before the default. */
import { assertMatch } from "@std/assert";
import { wasmOnly } from "../support.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The line that tells the device, of `deno task sample`. */
async function deviceLine(args: string[], env: Record<string, string>): Promise<string> {
  const dir = await Deno.makeTempDir();
  try {
    const { stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "task",
        "--quiet",
        "--config",
        `${ROOT}deno.json`,
        "sample",
        "--pretrained",
        "--n",
        "1",
        "--steps",
        "1",
      ]
        .concat(["--out", "a.png"], args),
      cwd: dir,
      env: { NO_COLOR: "1", INIT_CWD: await Deno.realPath(dir), ...env },
      signal: AbortSignal.timeout(60_000),
    }).output();
    return new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test({
  name: "--device auto beats DENOISE_DEVICE, --threads DENOISE_THREADS; without flags the environment counts",
  ...wasmOnly,
  async fn() {
    const env = { DENOISE_DEVICE: "wasm", DENOISE_THREADS: "3" };
    assertMatch(await deviceLine([], env), /^Device: wasm \(3 threads, .*\): asked for$/m);
    const auto = await deviceLine(["--device", "auto", "--threads", "1"], env);
    assertMatch(auto, /^Device: (webgpu .*: hardware|wasm \(1 thread, .*\): (no WebGPU|the only))/m);
    const empty = await deviceLine(["--device", "wasm"], { DENOISE_DEVICE: "", DENOISE_THREADS: "" });
    assertMatch(empty, /^Device: wasm \(\d+ threads?, .*\): asked for$/m);
  },
});
