/** What devices refuse, by name: numbers of threads, names, kernels' arguments, the limits of a GPU. */
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { currentGpu, F, Generator, grad, tf } from "../../../mod.ts";
import { Kernel } from "../../../core/device/wasm/assembly/abi.ts";
import { startWasm } from "../../../core/device/wasm/start.ts";
import { unshare } from "../../../core/device/wasm/unshared.ts";
import { device, script, wasmOnly } from "../../support.ts";

const onGpu = { ignore: device.name !== "webgpu" };

Deno.test("an environment variable that names no device, or no number of threads, is named with its value", async () => {
  const ask =
    `try { await d.useDevice(undefined, { log: null }); } catch (error) { console.log(error.name, error.message); }`;
  const said = (env: Record<string, string>) => script(ask, env).then(({ out }) => out);
  assertEquals(
    await said({ DENOISE_DEVICE: "gpu" }),
    'RangeError Unknown device "gpu" in DENOISE_DEVICE: one of auto, webgpu, wasm',
  );
  for (const [value, shown] of [["two", '"two"'], ["0", "0"], ["1.5", '"1.5"'], ["65", "65"]]) {
    assertEquals(
      await said({ DENOISE_DEVICE: "wasm", DENOISE_THREADS: value }),
      `RangeError DENOISE_THREADS is a whole number from 1 to 64, not ${shown}`,
    );
  }
});

Deno.test(
  "a thread that cannot be started: no thread is left, and the device can be tried again",
  wasmOnly,
  async () => {
    const { out, err } = await script(
      `import { Worker } from "node:worker_threads";
     const { unref } = Worker.prototype, started = [];
     let left = 2;
     Worker.prototype.unref = function () {
       this.on("exit", () => started.pop());
       if (left-- === 0) throw new Error("no more threads");
       started.push(this);
       return unref.call(this);
     };
     await d.useDevice("wasm", { threads: 4, log: null }).catch((error) => console.log(error.message));
     console.log(started.length);
     left = Infinity;
     await d.useDevice("wasm", { threads: 4, log: null });
     console.log((await tf.matMul(tf.ones([90, 90]), tf.ones([90, 90])).data())[5]);
     Deno.exit(0);`,
    );
    assertEquals(out, "no more threads\n0\n90", err);
  },
);

Deno.test(
  "a dispatch of too many tasks or arguments, and a module that imports no memory",
  wasmOnly,
  async () => {
    const { pool } = await startWasm(device.threads);
    const args = { parts: 0, rows: 1, length: 1, out: 0, lengthPerTask: 1 };
    assertThrows(
      () => pool.run(Kernel.sumRows, 2 ** 31, args),
      RangeError,
      "A dispatch takes at most 2147483647 tasks",
    );
    const taps = Array(5000).fill(0);
    const filter = {
      filter: 0,
      channels: 1,
      outChannels: 1,
      packed: 0,
      flip: 0,
      taps: 5000,
      tapNumbers: taps,
    };
    assertThrows(() => pool.run(Kernel.packFilter, 1, filter), RangeError, "tapNumbers, not 5000");
    const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
    assertThrows(() => unshare(empty), Error, "This WASM module imports no memory");
  },
);

Deno.test("a product of which both operands' batches broadcast; a gradient through a second output", () => {
  const a = tf.ones([2, 1, 3, 4]), b = tf.ones([1, 5, 4, 2]);
  assertThrows(
    () => tf.matMul(a, b),
    Error,
    "matMul: shapes [2,1,3,4] and [1,5,4,2] both have a batch to broadcast",
  );
  const x = new Generator(1).normal([6, 2]), ones = tf.ones([2]);
  assertThrows(
    () => grad((x) => tf.sum(F.batchNorm(x, ones, ones).variance), [x]),
    Error,
    'BatchNorm: no gradient flows through its output "variance"',
  );
});

Deno.test("what is beyond a GPU's limits is refused at once, and the device goes on", onGpu, async () => {
  const gpu = currentGpu()!, { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  const most = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  assertThrows(
    () => gpu.backend.bufferManager.acquireBuffer(most + 4, GPUBufferUsage.STORAGE),
    Error,
    `A tensor of ${most + 4} bytes is too large for this WebGPU device, whose largest is ${most}`,
  );
  const y = gpu.output([1]), groups: [number] = [gpu.limits.maxComputeWorkgroupsPerDimension + 1];
  const shader = () => ({ threads: 1, body: "y[0] = 1.0;" });
  assertThrows(
    () => gpu.run("TooWideAGrid", { write: { y }, groups, shader }),
    Error,
    `TooWideAGrid would need ${groups[0]}×1×1 workgroups, and this WebGPU device has ${
      groups[0] - 1
    } at most`,
  );
  gpu.free(y);
  assertEquals(Array.from(await tf.add(1, 1).data()), [2]);
});

Deno.test("reading at once where there is no canvas is an error that says what to do", onGpu, () => {
  const x = F.silu(tf.ones([3]));
  assertMatch(assertThrows(() => x.dataSync(), Error).message, /use `await x.data\(\)`$/);
});

Deno.test("a thread count or device refused leaves what runs", async () => {
  const { useDevice } = await import("../../../mod.ts"), one = tf.scalar(1);
  const other = device.name === "wasm" ? { threads: device.threads === 1 ? 2 : 1 } : undefined;
  await assertRejects(() => useDevice("wasm", { ...other, log: null }), Error, "live");
  assertEquals(Array.from(await tf.add(one, 1).data()), [2]);
  one.dispose();
});
