/** Mean and Accuracy. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Accuracy, Mean, tf } from "../../mod.ts";
import "../support.ts";

Deno.test("Mean: weighted, NaN before the first, goes on from its state, holds two tensors at most", async () => {
  const mean = new Mean(), again = new Mean();
  assert(Number.isNaN(await mean.compute()));
  const [a, b] = [tf.scalar(1), tf.scalar(4)], tensors = tf.memory().numTensors;
  mean.add(a, 1);
  mean.add(b, 3);
  assertEquals([await mean.compute(), tf.memory().numTensors], [3.25, tensors + 2]);
  again.loadState(await mean.state());
  assertEquals(await again.compute(), 3.25);
  mean.reset();
  again.reset();
  assertEquals([await mean.state(), tf.memory().numTensors], [[0, 0, 0], tensors]);
});

Deno.test("Accuracy: hits over rows, through batches of other sizes, and from its state", async () => {
  const accuracy = new Accuracy(), again = new Accuracy();
  accuracy.update(tf.tensor2d([[1, 0], [0, 1], [0, 1]]), tf.tensor1d([0, 1, 0], "int32"));
  accuracy.update(tf.tensor2d([[2, 1]]), tf.tensor1d([0], "int32"));
  assertEquals(await accuracy.compute(), 0.75);
  again.loadState(await accuracy.state());
  again.update(tf.tensor2d([[2, 1]]), tf.tensor1d([1], "int32"));
  assert(Math.abs(await again.compute() - 0.6) < 1e-6);
  accuracy.reset();
  assert(Number.isNaN(await accuracy.compute()));
});

Deno.test("Accuracy takes a column of labels as labels, and refuses one-hot ones and other rows; Mean a vector", async () => {
  const accuracy = new Accuracy(), preds = tf.tensor2d([[1, 0], [0, 1], [0, 1]]);
  accuracy.update(preds, tf.tensor2d([[0], [1], [0]], [3, 1], "int32"));
  assert(Math.abs(await accuracy.compute() - 2 / 3) < 1e-6);
  for (const target of [tf.tensor2d([[1, 0], [0, 1], [1, 0]]), tf.tensor1d([0]), tf.tensor2d([[0, 1, 0]])]) {
    assertThrows(() => accuracy.update(preds, target), Error, `not [3,2] with [${target.shape}]`);
  }
  assertThrows(
    () => new Mean().add(tf.tensor1d([1, 2]), 2),
    Error,
    "Mean.add takes a scalar, not a tensor of shape [2]",
  );
});

Deno.test("Mean loses nothing over many batches, also where it goes on from its state", async () => {
  const count = 2000, values = Array.from({ length: count }, (_, i) => Math.fround(0.1 + (i % 7) / 1000));
  const unbroken = new Mean(), before = new Mean(), after = new Mean();
  for (const [i, v] of values.entries()) {
    const value = tf.scalar(v);
    unbroken.add(value, 3);
    (i < 1200 ? before : after).add(value, 3);
    value.dispose();
    if (i === 1199) after.loadState(await before.state());
  }
  const mean = values.reduce((a, b) => a + b) / count;
  const got = await unbroken.compute();
  assert(Math.abs(got / mean - 1) < 1e-7, `${got}, not ${mean}`);
  assertEquals(await after.compute(), got);
});
