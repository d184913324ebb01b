/** Batch normalisation against its definition. */
import { assertThrows } from "@std/assert";
import { F, tf } from "../../../mod.ts";
import { assertTensor, numbers, random } from "../../support.ts";

const total = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

for (const shape of [[9, 5], [3, 4, 5, 6], [2, 1, 1, 3], [5, 7, 3, 16]]) {
  Deno.test(`batchNorm [${shape}]: definition`, async () => {
    const c = shape.at(-1)!, rows = total(shape) / c;
    const x = random(shape, 1), g = random([c], 2), b = random([c], 3);
    const [xs, gs, bs] = [await numbers(x), await numbers(g), await numbers(b)];
    const each = (f: (column: number[]) => number) =>
      Array.from({ length: c }, (_, k) => f(xs.filter((_, i) => i % c === k)));
    const means = each((v) => v.reduce((s, x) => s + x, 0) / rows);
    const variances = each((v) => {
      const mean = v.reduce((s, x) => s + x, 0) / rows;
      return v.reduce((s, x) => s + (x - mean) ** 2, 0) / rows;
    });
    const { y, mean, variance } = F.batchNorm(x, g, b);
    await assertTensor(mean, [c], means);
    await assertTensor(variance, [c], variances);
    const out = xs.map((v, i) =>
      (v - means[i % c]) / Math.sqrt(variances[i % c] + 1e-5) * gs[i % c] + bs[i % c]
    );
    await assertTensor(y, shape, out);
  });
}

Deno.test("batchNorm keeps its precision when the mean is far from 0, and needs two values", async () => {
  const x = random([64, 3], 1), ones = tf.ones([3]), zeros = tf.zeros([3]);
  const near = await numbers(F.batchNorm(x, ones, zeros).y);
  await assertTensor(F.batchNorm(tf.add(x, 1000), ones, zeros).y, [64, 3], near, 2e-3);
  assertThrows(() => F.batchNorm(tf.ones([1, 3]), ones, zeros), Error, "more than one value");
});

Deno.test("channelAffine: definition", async () => {
  const x = random([3, 5, 7], 1), a = random([7], 2), b = random([7], 3);
  const [xs, as, bs] = [await numbers(x), await numbers(a), await numbers(b)];
  await assertTensor(F.channelAffine(x, a, b), [3, 5, 7], xs.map((v, i) => v * as[i % 7] + bs[i % 7]));
});
