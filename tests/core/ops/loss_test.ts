/** Losses against their definitions. */
import { assertThrows } from "@std/assert";
import { F, tf } from "../../../mod.ts";
import { assertTensor, numbers, random } from "../../support.ts";

Deno.test("mseLoss: definition", async () => {
  const a = random([3, 7], 1), b = random([3, 7], 2);
  const [x, y] = [await numbers(a), await numbers(b)];
  const mean = x.reduce((s, v, i) => s + (v - y[i]) ** 2, 0) / x.length;
  await assertTensor(F.mseLoss(a, b), [], [mean]);
});

Deno.test("crossEntropy: definition", async () => {
  const x = random([4, 5], 1), labels = tf.tensor1d([0, 4, 2, 2], "int32");
  const xs = await numbers(x);
  const losses = [0, 4, 2, 2].map((label, r) => {
    const row = xs.slice(r * 5, r * 5 + 5);
    return Math.log(row.reduce((s, v) => s + Math.exp(v), 0)) - row[label];
  });
  await assertTensor(F.crossEntropy(x, labels), [], [losses.reduce((a, b) => a + b) / 4]);
});

Deno.test("losses over more than one part: definition", async () => {
  const a = random([90, 401], 1), b = random([90, 401], 2);
  const [x, y] = [await numbers(a), await numbers(b)];
  await assertTensor(F.mseLoss(a, b), [], [x.reduce((s, v, i) => s + (v - y[i]) ** 2, 0) / x.length]);
  const labels = Array.from({ length: 90 }, (_, r) => r * 7 % 401);
  const losses = labels.map((label, r) => {
    const row = x.slice(r * 401, (r + 1) * 401);
    return Math.log(row.reduce((s, v) => s + Math.exp(v), 0)) - row[label];
  });
  const loss = F.crossEntropy(a, tf.tensor1d(labels, "int32"));
  await assertTensor(loss, [], [losses.reduce((s, v) => s + v) / 90]);
});

Deno.test("crossEntropy does not overflow, and says which shapes it takes", async () => {
  const x = tf.tensor2d([[1000, 0, -1000], [-500, -500, -501]]);
  const loss = F.crossEntropy(x, tf.tensor1d([0, 2], "int32"));
  await assertTensor(loss, [], [(Math.log(2 + Math.exp(-1)) + 1) / 2], 1e-4);
  assertThrows(
    () => F.crossEntropy(x, tf.tensor1d([0], "int32")),
    Error,
    "labels has shape [1], logits of [2,3] need one a row, [2]",
  );
});

Deno.test("crossEntropy names a label outside of the classes", async () => {
  const x = tf.zeros([3, 4]);
  for (const label of [-1, 4, 1e6]) {
    const labels = tf.tensor1d([0, label, 3], "int32");
    assertThrows(
      () => F.crossEntropy(x, labels),
      RangeError,
      `labels lie in [0, 4), not ${label} at place 1`,
    );
  }
  const floats = tf.tensor1d([0, 3, 1]);
  await assertTensor(F.crossEntropy(x, floats), [], [Math.log(4)]);
  await assertTensor(F.crossEntropy(x, tf.tensor1d([0, 3, 1], "int32")), [], [Math.log(4)]);
});
