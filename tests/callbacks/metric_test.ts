/** Mean and Accuracy. */
import { assert, assertEquals } from "@std/assert";
import { Accuracy, Mean, tf } from "../../mod.ts";
import "../support.ts";

Deno.test("Mean: weighted, NaN before the first, goes on from its state, holds one tensor at most", async () => {
  const mean = new Mean(), again = new Mean();
  assert(Number.isNaN(await mean.compute()));
  const [a, b] = [tf.scalar(1), tf.scalar(4)], tensors = tf.memory().numTensors;
  mean.add(a, 1);
  mean.add(b, 3);
  assertEquals([await mean.compute(), tf.memory().numTensors], [3.25, tensors + 1]);
  again.loadState(await mean.state());
  assertEquals(await again.compute(), 3.25);
  mean.reset();
  again.reset();
  assertEquals([await mean.state(), tf.memory().numTensors], [[0, 0], tensors]);
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
