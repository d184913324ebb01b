/** The thread pool: the same bits for any number of threads, and a life of its own that ends with the program. */
import { assertEquals } from "@std/assert";
import { F, Generator, grad, type Tensor, tf } from "../../mod.ts";
import { startWasm } from "../../core/device/wasm/start.ts";
import { device, numbers, random, wasmOnly } from "../support.ts";

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
    const source = `import { tf, useDevice } from "${new URL("../../mod.ts", import.meta.url)}";
      const device = await useDevice("wasm", { log: null });
      console.log(device.threads, (await tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).data())[7]);`;
    for (const threads of ["1", "3"]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--allow-env=DENOISE_THREADS,DENOISE_DEVICE", "--ext=ts", "-"],
        env: { DENOISE_THREADS: threads },
        stdin: "piped",
        stdout: "piped",
        signal: AbortSignal.timeout(60_000),
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(source));
      await writer.close();
      const { code, stdout } = await child.output();
      assertEquals([code, new TextDecoder().decode(stdout).trim()], [0, `${threads} 64`]);
    }
  },
});
