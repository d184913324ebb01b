/** What tests share: the device under test, comparisons, gradient checks. */
import { assert, assertEquals } from "@std/assert";
import {
  currentGpu,
  type DeviceChoice,
  Generator,
  grad,
  noGrad,
  type Tensor,
  tf,
  useDevice,
} from "../mod.ts";
import { startWasm } from "../core/device/wasm/start.ts";

/** The device that this run of the suite is for: `DENOISE_DEVICE`, else WASM. */
export const device = await useDevice((Deno.env.get("DENOISE_DEVICE") ?? "wasm") as DeviceChoice, {
  log: null,
});

if (device.name === "wasm") await poison();

/**
 * Memory that WASM hands out holds what no kernel should read before one has written it, NaN or 1000, and is followed by
 * bytes that nothing should write.
 */
async function poison(): Promise<void> {
  const { module, pool } = await startWasm(device.threads);
  const { _malloc, _free } = module, sizes = new Map<number, number>();
  const GUARD_BYTES = 64, GUARD = 0x5a;
  const guardOf = (at: number, bytes: number) => new Uint8Array(pool.memory.buffer, at + bytes, GUARD_BYTES);
  let count = 0;
  module._malloc = (bytes) => {
    const at = _malloc(bytes + GUARD_BYTES);
    new Float32Array(pool.memory.buffer, at, bytes >> 2).fill(count++ % 2 ? NaN : 1000);
    guardOf(at, bytes).fill(GUARD);
    sizes.set(at, bytes);
    return at;
  };
  module._free = (at) => {
    const bytes = sizes.get(at);
    if (bytes !== undefined && guardOf(at, bytes).some((byte) => byte !== GUARD)) {
      throw new Error(`Something was written past the end of ${bytes} bytes`);
    }
    sizes.delete(at);
    _free(at);
  };
}

const gpu = currentGpu();
if (gpu) {
  // Each shader that is found by its key is compared with the code of each run.
  gpu.pipelines.debug = true;
  // A tensor holds what no kernel should read before one has written it: NaN or 1000.
  const { bufferManager } = gpu.backend, { acquireBuffer } = bufferManager;
  let count = 0;
  bufferManager.acquireBuffer = (bytes: number, usage: number, mapped?: boolean, reuse?: boolean) => {
    const buffer = acquireBuffer.call(bufferManager, bytes, usage, mapped, reuse);
    if (usage & GPUBufferUsage.STORAGE && buffer.mapState === "unmapped") {
      gpu.device.queue.writeBuffer(
        buffer,
        0,
        new Float32Array(buffer.size / 4).fill(count++ % 2 ? NaN : 1000),
      );
    }
    return buffer;
  };
}

/** A test that needs threads, files of a task, or anything that has nothing to do with WebGPU. */
export const wasmOnly = { ignore: device.name !== "wasm" };

/** The ops that a device has no kernel of, so that none lacks one unnoticed. */
export const BY_REFERENCE: Record<"wasm" | "webgpu", string[]> = {
  wasm: ["UnscaleGrads", "UpdateLossScale"],
  webgpu: [],
};

/**
 * Runs a script that imports Denoise as `d` (and `startWasm`) in a process of its own; what it prints, and its exit code.
 * @param flags beside the permission to read Denoise's variables; or "-A" in place of it
 */
export async function script(
  body: string,
  env: Record<string, string> = {},
  flags: string[] = [],
  mostMs = 60_000,
): Promise<{ code: number; out: string; err: string }> {
  const source = `import * as d from "${new URL("../mod.ts", import.meta.url)}";
    import { startWasm } from "${new URL("../core/device/wasm/start.ts", import.meta.url)}";
    const { tf, F } = d;
    ${body}`;
  const granted = flags.includes("-A") ? flags : ["--allow-env=DENOISE_THREADS,DENOISE_DEVICE", ...flags];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...granted, "--ext=ts", "-"],
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(mostMs),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b).trim());
  return { code, out, err };
}

/** What the compiler says of a module, and each error in it as "line code". */
export async function compile(source: string): Promise<{ said: string; errors: string[] }> {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, source);
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", path],
    env: { NO_COLOR: "1" },
  }).output();
  await Deno.remove(path);
  const said = new TextDecoder().decode(stderr);
  const found = said.matchAll(/(TS\d+) (?:.|\n)*?\.ts:(\d+):/g);
  return { said, errors: Array.from(found, ([, code, line]) => `${line} ${code}`) };
}

/**
 * Fails unless the compiler finds an error in each line that has a code, that one, and none in the others.
 * @param lines of one module
 */
export async function assertRefused(lines: [source: string, code?: string][]): Promise<void> {
  const { said, errors } = await compile(lines.map(([source]) => `${source}\n`).join(""));
  assertEquals(errors, lines.flatMap(([, code], i) => code ? `${i + 1} ${code}` : []), said);
}

/** Random normal numbers that depend on the seed alone. */
export function random(shape: number[], seed = 1): Tensor {
  return new Generator(seed).normal(shape);
}

/** A tensor's numbers. */
export async function numbers(x: Tensor): Promise<number[]> {
  return Array.from(await x.data());
}

/** Fails unless |actual − expected| ≤ tolerance · max(|expected|, 1 of the largest) everywhere. */
export async function assertClose(
  actual: Tensor | ArrayLike<number>,
  expected: Tensor | ArrayLike<number>,
  tolerance = 1e-4,
  what = "",
): Promise<void> {
  const read = async (x: Tensor | ArrayLike<number>) =>
    "data" in x ? await numbers(x as Tensor) : Array.from(x);
  if ("shape" in actual && "shape" in expected) {
    assertEquals((actual as Tensor).shape, (expected as Tensor).shape);
  }
  const [a, b] = [await read(actual), await read(expected)];
  assertEquals(a.length, b.length, `${what}: lengths`);
  const scale = b.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-6);
  a.forEach((v, i) => {
    const off = Math.abs(v - b[i]) / scale;
    assert(off <= tolerance, `${what} [${i}]: ${v} is not ${b[i]} (${off.toExponential(2)} of the largest)`);
  });
}

/** A kernel's output against plain TypeScript: compares shape and numbers. */
export async function assertTensor(
  actual: Tensor,
  shape: number[],
  expected: ArrayLike<number>,
  tolerance = 1e-4,
): Promise<void> {
  assertEquals(actual.shape, shape);
  await assertClose(actual, expected, tolerance);
}

/**
 * Compares the gradients of f with central differences along a random direction of each input.
 * f must be smooth there and give a tensor of any shape.
 */
export async function checkGradients(
  f: (...xs: Tensor[]) => Tensor,
  xs: Tensor[],
  { step = 1e-2, tolerance = 1e-2 } = {},
): Promise<void> {
  const seed = tf.tidy(() => random(noGrad(() => f(...xs)).shape, 99));
  const grads = grad(f, xs, seed);
  const value = async (inputs: Tensor[]) =>
    (await numbers(tf.tidy(() => tf.mul(f(...inputs), seed)))).reduce((sum, v) => sum + v, 0);
  for (const [i, x] of xs.entries()) {
    assertEquals(grads[i].shape, x.shape);
    const direction = random(x.shape, 1000 + i);
    const along = (h: number) => value(xs.with(i, tf.add(x, tf.mul(direction, h))));
    const numeric = (await along(step) - await along(-step)) / (2 * step);
    const analytic = (await tf.sum(tf.mul(direction, grads[i])).data())[0];
    const off = Math.abs(numeric - analytic) / Math.max(1, Math.abs(numeric), Math.abs(analytic));
    assert(off < tolerance, `input ${i}: gradient ${analytic}, differences ${numeric}`);
  }
}
