/** The thread pool: the same bits for any number of threads, and a life of its own that ends with the program. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { F, Generator, grad, type Tensor, tf } from "../../mod.ts";
import { startWasm } from "../../core/device/wasm/start.ts";
import { assertRefused, device, numbers, random, script, wasmOnly } from "../support.ts";

/** Results of f and the gradients of its inputs, as numbers. */
async function everything(f: (...xs: Tensor[]) => Tensor, xs: Tensor[]): Promise<number[][]> {
  const y = f(...xs);
  const grads = grad(f, xs, random(y.shape, 9));
  return await Promise.all([y, ...grads].map(numbers));
}

const CASES: Record<string, [f: (...xs: Tensor[]) => Tensor, ...shapes: number[][]]> = {
  "3×3 convolution": [(x, w, b) => F.conv2d(x, w, b, { padding: 1 }), [5, 9, 11, 7], [3, 3, 7, 13], [13]],
  "3×3 convolution in tiles": [(x, w, b) => F.conv2d(x, w, b, { padding: 1 }), [9, 16, 15, 24], [
    3,
    3,
    24,
    16,
  ], [
    16,
  ]],
  "strided convolution": [(x, w, b) => F.conv2d(x, w, b, { padding: 1, stride: 2 }), [9, 12, 12, 16], [
    3,
    3,
    16,
    24,
  ], [24]],
  "convolution from one channel": [(x, w) => F.conv2d(x, w, null, { padding: 2 }), [9, 12, 11, 1], [
    5,
    5,
    1,
    16,
  ]],
  "convolution to one channel": [(x, w) => F.conv2d(x, w, null, { padding: 1 }), [9, 12, 11, 16], [
    3,
    3,
    16,
    1,
  ]],
  "convolution of few pixels": [(x, w, b) => F.conv2d(x, w, b, { padding: 1 }), [33, 2, 2, 24], [
    3,
    3,
    24,
    40,
  ], [40]],
  "1×1 convolution": [(x, w) => F.conv2d(x, w), [5, 16, 16, 9], [1, 1, 9, 17]],
  "matrix product": [(a, b) => tf.matMul(a, b), [150, 33], [33, 70]],
  "batched product": [(a, b) => tf.matMul(a, b, true), [5, 20, 33], [5, 20, 9]],
  "linear": [(x, w, b) => F.linear(x, w, b), [6, 50, 20], [31, 20], [31]],
  "group norm": [(x, g, b) => F.groupNorm(x, 4, g, b, { silu: true }), [7, 6, 6, 12], [12], [12]],
  "attention": [(q, k, v) => F.attention(q, k, v, 3), [4, 50, 24], [4, 50, 24], [4, 50, 24]],
  "silu": [(x) => F.silu(x), [40_001]],
  "add": [(a, b) => tf.add(a, b), [40_001], [40_001]],
  "concat": [(a, b) => tf.concat([a, b], -1), [700, 3], [700, 9]],
  "upsampling": [(x) => F.upsampleNearest(x), [3, 5, 7, 9]],
  "channel sums": [(x) => tf.sum(x, [0, 1, 2]), [5, 30, 30, 7]],
  "softmax": [(x) => tf.softmax(x as never), [900, 13]],
  "mean squared error": [(a, b) => F.mseLoss(a, b), [50_001], [50_001]],
  "cross-entropy": [(x) => F.crossEntropy(x, tf.zeros([900], "int32")), [900, 13]],
  "batch norm": [(x, g, b) => F.batchNorm(x, g, b).y, [9, 20, 20, 7], [7], [7]],
  "long product": [(a, b) => tf.matMul(a, b, true), [2048, 33], [2048, 17]],
  "addChannels": [(x, b) => F.addChannels(x, b), [5, 6, 6, 7], [5, 7]],
};

for (const [name, [f, ...shapes]] of Object.entries(CASES)) {
  Deno.test({
    name: `one thread and ${device.threads}: the same bits from ${name}`,
    ...wasmOnly,
    async fn() {
      const { pool } = await startWasm(device.threads);
      const xs = shapes.map((shape, i) => random(shape, i + 1));
      const many = await everything(f, xs);
      pool.limitThreads(1);
      try {
        assertEquals(await everything(f, xs), many);
      } finally {
        pool.limitThreads(device.threads);
      }
    },
  });
}

Deno.test({
  name: "one thread and more: the same random numbers",
  ...wasmOnly,
  async fn() {
    const { pool } = await startWasm(device.threads);
    const many = await numbers(new Generator(3).normal([100_000]));
    pool.limitThreads(1);
    assertEquals(await numbers(new Generator(3).normal([100_000])), many);
    pool.limitThreads(device.threads);
  },
});

Deno.test({
  name: "a program with threads ends by itself, and DENOISE_THREADS sets their number",
  ...wasmOnly,
  async fn() {
    for (const threads of ["1", "3"]) {
      const { code, out } = await script(
        `const device = await d.useDevice("wasm", { log: null });
         console.log(device.threads, (await tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).data())[7]);`,
        { DENOISE_THREADS: threads },
      );
      assertEquals([code, out], [0, `${threads} 64`]);
    }
  },
});

Deno.test({
  name: "room made while one thread is in use is enough for all",
  ...wasmOnly,
  async fn() {
    const { code, out, err } = await script(
      `await d.useDevice("wasm", { log: null });
       const { pool } = await startWasm(4);
       const [q, k, v] = [0, 1, 2].map(() => d.defaultGenerator.normal([16, 400, 64]));
       const run = async (threads: number) => {
         pool.limitThreads(threads);
         return (await F.attention(q, k, v, 1).data()).join();
       };
       const alone = await run(1);
       let same = true;
       for (let i = 0; i < 20; i++) same &&= await run(4) === alone;
       console.log(same);`,
      { DENOISE_THREADS: "4" },
    );
    assertEquals([code, out], [0, "true"], err);
  },
});

Deno.test({
  name: "idle threads use no processor time",
  ...wasmOnly,
  async fn() {
    const { out, err } = await script(
      `import process from "node:process";
       await d.useDevice("wasm", { log: null });
       tf.matMul(tf.ones([256, 256]), tf.ones([256, 256]));
       const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
       await wait(400); // they spin for some milliseconds first
       const before = process.cpuUsage();
       await wait(1000);
       const { user, system } = process.cpuUsage(before);
       console.log((user + system) / 1000);`,
      { DENOISE_THREADS: "4" },
    );
    assert(Number(out) < 300, `${out} ms of 4 threads in an idle second ${err}`);
  },
});

Deno.test({
  name: "a thread that dies is an error, not a hang",
  ...wasmOnly,
  async fn() {
    const { out } = await script(
      `await d.useDevice("wasm", { log: null });
       const { pool } = await startWasm(2);
       const UNKNOWN = 999;
       for (let tries = 0; tries < 400; tries++) {
         try { pool.run(UNKNOWN, 64, {}); } catch { /* this thread's own trap */ }
         await new Promise((resolve) => setTimeout(resolve, 100)); // the other thread may have yet to start
         try { tf.add(tf.ones([64, 1024]), tf.ones([64, 1024])); } catch (error) {
           console.log(error.message);
           Deno.exit();
         }
       }`,
      { DENOISE_THREADS: "2" },
    );
    assertMatch(out, /^Add failed on wasm: a kernel thread died\. The device is closed/);
  },
});

Deno.test({
  name: "without shared memory: one thread, said once, the same numbers, and the memory grows",
  ...wasmOnly,
  async fn() {
    const body = (shared: boolean) =>
      `const device = await d.useDevice("wasm", { shared: ${shared}, threads: ${shared ? 2 : 1} });
       await d.useDevice("wasm", { shared: ${shared} });
       d.setSeed(3);
       const x = d.defaultGenerator.normal([4, 16, 16, 8]), w = d.defaultGenerator.normal([3, 3, 8, 16]);
       const y = await F.conv2d(x, w, null, { padding: 1 }).data();
       const big = tf.ones([40, 1024, 1024]);
       const last = await tf.slice(big, [39, 1023, 1023], [1, 1, 1]).data();
       console.log(device.threads, Array.from(y.slice(0, 99)).join(), last[0]);`;
    const alone = await script(body(false), {}, ["--allow-read"]);
    assertMatch(alone.err, /^Device: wasm \(1 thread, .*no memory shared with threads[^\n]*$/);
    const shared = await script(body(true));
    assertEquals(alone.out.replace(/^1/, "2"), shared.out);
    assertMatch(alone.out, / 1$/);
  },
});

Deno.test({
  name: "arguments of another kernel do not compile",
  ...wasmOnly,
  fn: () => {
    const wasm = new URL("../../core/device/wasm/", import.meta.url);
    return assertRefused([
      [`import { Kernel } from "${wasm}assembly/abi.ts";`],
      [`import type { KernelPool } from "${wasm}pool.ts";`],
      ["declare const pool: KernelPool;"],
      ["pool.run(Kernel.upsample, 1, { x: 0, width: 1, channels: 1, factor: 1, y: 0 });"],
      ["pool.run(Kernel.upsample, 1, { x: 0, width: 1, channels: 1, factor: 1, z: 0 });", "TS2353"],
      ["pool.run(Kernel.upsample, 1, { x: 0, width: 1, channels: 1, factor: 1 });", "TS2345"],
      ["pool.run(Kernel.upsampleGrad, 1, { x: 0, width: 1, channels: 1, factor: 1, y: 0 });", "TS2353"],
    ]);
  },
});
