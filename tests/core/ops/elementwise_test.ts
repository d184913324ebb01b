/** Activations and arithmetic against their definitions. */
import { assertEquals } from "@std/assert";
import { F, tf } from "../../../mod.ts";
import type { Tensor } from "../../../mod.ts";
import { assertTensor, checkGradients, numbers, random } from "../../support.ts";

Deno.test("silu: definition, far ends", async () => {
  const x = tf.concat([random([37], 1), tf.tensor1d([-100, 100, 0, -30, 30])]);
  const out = (await numbers(x)).map((v) => v / (1 + Math.exp(-v)));
  await assertTensor(F.silu(x), [42], out);
});

Deno.test("relu: definition and gradient", async () => {
  const x = random([5, 11], 4);
  await assertTensor(F.relu(x), [5, 11], (await numbers(x)).map((v) => Math.max(0, v)));
  await checkGradients(F.relu, [tf.add(x, tf.mul(0.2, tf.sign(x)))]);
});

Deno.test("generalRelu: definition", async () => {
  const x = random([5, 11], 4);
  const out = (await numbers(x)).map((v) => (v > 0 ? v : 0.1 * v) - 0.4);
  await assertTensor(F.generalRelu(x, 0.1, 0.4), [5, 11], out);
});

Deno.test("addChannels: definition", async () => {
  const x = random([3, 4, 5, 6], 1), b = random([3, 6], 2);
  await assertTensor(
    F.addChannels(x, b),
    [3, 4, 5, 6],
    await numbers(tf.add(x, tf.reshape(b, [3, 1, 1, 6]))),
  );
});

Deno.test("arithmetic with a number on either side, and its gradient", async () => {
  const x = tf.tidy(() => tf.add(tf.abs(random([3, 5, 7], 21)), 0.5)), host = await numbers(x);
  const ops: [(a: Tensor | number, b: Tensor | number) => Tensor, (a: number, b: number) => number][] = [
    [tf.add, (a, b) => a + b],
    [tf.sub, (a, b) => a - b],
    [tf.mul, (a, b) => a * b],
    [tf.div, (a, b) => a / b],
    [tf.maximum, Math.max],
    [tf.minimum, Math.min],
  ];
  for (const [op, plain] of ops) {
    for (const number of [1.25, -3]) {
      await assertTensor(op(x, number), [3, 5, 7], host.map((v) => plain(v, number)), 1e-6);
      await assertTensor(op(number, x), [3, 5, 7], host.map((v) => plain(number, v)), 1e-6);
      await assertTensor(
        op(x, tf.tensor([number], [1, 1])),
        [3, 5, 7],
        host.map((v) => plain(v, number)),
        1e-6,
      );
    }
    if (op === tf.maximum || op === tf.minimum) continue;
    await checkGradients((v) => tf.add(op(v, 1.25), op(1.25, v)), [x]);
  }
  // Whole numbers stay whole, and a number of more dimensions makes the result have them.
  const whole = tf.mul(tf.tensor1d([1, 2, 3], "int32"), tf.scalar(2, "int32"));
  assertEquals([whole.dtype, await numbers(whole)], ["int32", [2, 4, 6]]);
  assertEquals(tf.add(tf.sum(x, [0, 2]), tf.tensor([1], [1, 1, 1])).shape, [1, 1, 5]);
});

Deno.test("what was whole or true is a float after a cast, for every kernel", async () => {
  const x = random([9], 4), whole = tf.cast(tf.tensor1d([3, -2, 0, 70000], "int32"), "float32");
  await assertTensor(tf.mul(whole, 0.5), [4], [1.5, -1, 0, 35000], 1e-6);
  await assertTensor(F.silu(whole), [4], [3, -2, 0, 70000].map((v) => v / (1 + Math.exp(-v))), 1e-6);
  const positive = (await numbers(x)).map((v) => Number(v > 0));
  await assertTensor(tf.mul(tf.cast(tf.greater(x, 0), "float32"), 3), [9], positive.map((v) => 3 * v), 0);
  const some = tf.cast(tf.tensor1d([true, false, true], "bool"), "float32");
  await assertTensor(tf.sub(1, some), [3], [0, 1, 0], 0);
  await assertTensor(tf.cast(tf.scalar(2, "int32"), "float32"), [], [2], 0);
});

Deno.test("addN adds as many tensors as there are", async () => {
  for (const count of [1, 3, 40]) {
    const xs = Array.from({ length: count }, (_, i) => random([3, 5], 100 + i));
    const sums = Array(15).fill(0);
    for (const x of xs) (await numbers(x)).forEach((v, i) => sums[i] += v);
    await assertTensor(tf.addN(xs), [3, 5], sums, 1e-5);
  }
});

Deno.test("gelu: PyTorch's values, far ends", async () => {
  const x = tf.tensor1d([-100, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 100]);
  const torch = [0, -1.4333e-6, -0.04550027, -0.15865526, -0.15426877, 0, 0.34573123, 0.84134471, 1.9544997];
  await assertTensor(F.gelu(x), [11], [...torch, 4.9999986, 100], 1e-8);
});
