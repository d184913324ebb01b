/** Embedding. */
import { assertEquals, assertThrows } from "@std/assert";
import { Embedding, Generator, Tape, tf } from "../../../mod.ts";
import { assertClose, device, numbers } from "../../support.ts";

Deno.test("rows by whole numbers; a row's gradient is the sum of those of its uses", async () => {
  const embedding = new Embedding(4, 2, { generator: new Generator(1) });
  const table = await numbers(embedding.weight);
  for (const dtype of ["int32", "float32"] as const) {
    const rows = embedding.call(tf.tensor1d([3, 0, 3], dtype));
    assertEquals(await numbers(rows), [...table.slice(6), ...table.slice(0, 2), ...table.slice(6)]);
  }
  const tape = new Tape();
  tape.start();
  const sum = tf.sum(
    tf.mul(embedding.call(tf.tensor1d([3, 0, 3], "int32")), tf.tensor2d([[1], [10], [100]])),
  );
  tape.stop();
  tape.backward(sum);
  await assertClose(embedding.weight.grad!, [10, 10, 0, 0, 0, 0, 101, 101], 1e-6);
});

Deno.test("it begins standard normal", async () => {
  const values = await numbers(new Embedding(100, 100, { generator: new Generator(2) }).weight);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  await assertClose([mean, variance], [0, 1], 0.05);
});

Deno.test("what has no row is refused", () => {
  const embedding = new Embedding(4, 2);
  assertThrows(() => embedding.call(tf.zeros([1, 1], "int32")), Error, "takes whole numbers [N], not [1,1]");
  assertThrows(() => new Embedding(0, 2), RangeError, "count must be a positive whole number, not 0");
  assertThrows(() => new Embedding(1, 1.5), RangeError, "dim must be");
  if (device.name !== "wasm") return; // WebGPU is not waited for
  assertThrows(() => embedding.call(tf.tensor1d([4], "int32")), RangeError, "numbers lie in [0, 4), not 4");
  assertThrows(() => embedding.call(tf.tensor1d([0.5])), RangeError, "whole numbers, not 0.5");
});
