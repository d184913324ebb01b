/** What layers compute, of other dtypes. */
import { assertEquals, assertThrows } from "@std/assert";
import { F, type Tensor, tf } from "../../../mod.ts";
import { numbers } from "../../support.ts";

Deno.test("whole numbers and truth values are numbers where that is meant, and refused by name elsewhere", async () => {
  const bytes = tf.tensor4d([0, 255, 3, 7], [1, 2, 2, 1], "int32"), ones = tf.ones([1, 1, 1, 1]);
  assertEquals(await numbers(F.conv2d(bytes, ones)), [0, 255, 3, 7]);
  assertEquals(await numbers(F.averagePool(bytes)), [66.25]);
  assertEquals((await numbers(F.upsampleNearest(bytes))).slice(0, 4), [0, 0, 255, 255]);
  const line = tf.tensor2d([[1, 2]], [1, 2], "int32");
  assertEquals(await numbers(F.linear(line, tf.ones([1, 2]))), [3]);
  assertEquals(await numbers(F.mseLoss(tf.tensor1d([1, 0.5]), tf.tensor1d([true, false], "bool"))), [0.125]);
  assertEquals(await numbers(F.mseLoss(line, tf.ones([1, 2]))), [0.5]);
  for (const f of [F.silu, F.generalRelu, (x: Tensor) => F.groupNorm(x, 1, tf.ones([1]), tf.zeros([1]))]) {
    assertThrows(() => f(bytes), TypeError, "x is of int32, not float32; cast it");
  }
  assertThrows(() => F.conv2d(ones, tf.cast(ones, "int32")), TypeError, "Conv2d: filter is of int32");
  const q = tf.ones([1, 2, 4]);
  assertThrows(() => F.attention(q, q, tf.cast(q, "bool"), 2), TypeError, "Attention: v is of bool");
});

Deno.test("labels that are no whole numbers, or outside of the classes, are refused by value", async () => {
  const logits = tf.tensor2d([[1, 2, 3]]);
  for (const label of [0.5, NaN, Infinity]) {
    assertThrows(() => F.crossEntropy(logits, tf.tensor1d([label])), RangeError, `not ${label}`);
  }
  assertThrows(() => F.crossEntropy(logits, tf.tensor1d([1e10])), RangeError, "not 10000000000 at place 0");
  assertEquals(
    await numbers(F.crossEntropy(logits, tf.tensor1d([2]))),
    await numbers(F.crossEntropy(logits, tf.tensor1d([2], "int32"))),
  );
});
