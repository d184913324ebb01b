/** Sums of many items, of every axis. */
import { assert, assertEquals } from "@std/assert";
import { type Tensor, tf } from "../../../../mod.ts";
import { assertClose, device, numbers } from "../../../support.ts";

const onGpu = { ignore: device.name !== "webgpu" };

Deno.test("sums and means of a million and more are within 1e-6 of float64's", onGpu, async () => {
  for (const n of [1_000_003, 1 << 22]) {
    const tenth = tf.fill([n], 0.1), exact = n * Math.fround(0.1);
    const near = async (x: Tensor, expected: number, what: string) => {
      const [got] = await numbers(x);
      assert(Math.abs(got / expected - 1) < 1e-6, `${what} of ${n}: ${got}, not ${expected}`);
    };
    await near(tf.sum(tenth), exact, "sum");
    await near(tf.mean(tenth), Math.fround(0.1), "mean");
    await near(tf.sqrt(tf.sum(tf.square(tenth))), Math.sqrt(n * Math.fround(0.1) ** 2), "norm");
    const ramp = Float32Array.from({ length: n }, (_, i) => (i % 1000) / 1000);
    const mean = ramp.reduce((a, b) => a + b) / n;
    const variance = ramp.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    await near(tf.moments(tf.tensor1d(ramp)).mean, mean, "mean");
    await near(tf.moments(tf.tensor1d(ramp)).variance, variance, "variance");
    tf.dispose(tenth);
  }
});

const SHAPE = [3, 70, 5, 41];
for (
  const axes of [[0], [1], [2], [3], [0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3], [0, 1, 3], [0, 1, 2, 3]]
) {
  Deno.test(`sum and mean of axes ${axes} of [${SHAPE}]: definition`, onGpu, async () => {
    const x = tf.randomNormal(SHAPE, 1, 1, "float32", 7), xs = await numbers(x);
    const kept = SHAPE.map((n, axis) => axes.includes(axis) ? 1 : n);
    const sums = Array(kept.reduce((a, b) => a * b)).fill(0);
    xs.forEach((v, i) => {
      let at = 0, rest = i, step = 1;
      for (let axis = SHAPE.length - 1; axis >= 0; axis--) {
        const index = rest % SHAPE[axis];
        rest = Math.floor(rest / SHAPE[axis]);
        if (axes.includes(axis)) continue;
        at += index * step;
        step *= SHAPE[axis];
      }
      sums[at] += v;
    });
    const items = xs.length / sums.length;
    const shape = kept.filter((_, axis) => !axes.includes(axis));
    assertEquals(tf.sum(x, axes).shape, shape);
    assertEquals(tf.mean(x, axes, true).shape, kept);
    await assertClose(await numbers(tf.sum(x, axes)), sums, 1e-6);
    await assertClose(await numbers(tf.mean(x, axes, true)), sums.map((v) => v / items), 1e-6);
  });
}

Deno.test(
  "a sum over the first axis of many columns, and over a short last axis of many rows",
  onGpu,
  async () => {
    const columns = tf.fill([2, 1_100_000], 1.5), rows = tf.fill([70_000, 3, 1], 1.5);
    assertEquals([...new Set(await numbers(tf.sum(columns, 0)))], [3]);
    assertEquals([...new Set(await numbers(tf.sum(rows, 1)))], [4.5]);
  },
);
