/** tfjs's ops of tensors of no elements: the same on every device, and the device goes on. */
import { assertEquals, assertThrows } from "@std/assert";
import { Generator, type Tensor, tf } from "../../../mod.ts";
import { numbers } from "../../support.ts";

const none = (...shape: number[]): Tensor => tf.tensor([], shape);
const whole = (...shape: number[]): Tensor => tf.tensor([], shape, "int32");
const truth = (...shape: number[]): Tensor => tf.tensor([], shape, "bool");
const images = none(0, 4, 4, 1) as tf.Tensor4D, filter = tf.ones([3, 3, 1, 1]) as tf.Tensor4D;

/** Ops, the shapes that they give, and what is in those. */
const CASES: Record<string, [f: () => Tensor, shape: number[], values?: number[]]> = {
  "add": [() => tf.add(none(0, 3), tf.ones([3])), [0, 3]],
  "mul by a number": [() => tf.mul(none(0), 2), [0]],
  "maximum": [() => tf.maximum(none(0, 2), tf.ones([2])), [0, 2]],
  "relu": [() => tf.relu(none(2, 0)), [2, 0]],
  "exp": [() => tf.exp(none(0)), [0]],
  "where": [() => tf.where(truth(0), none(0), none(0)), [0]],
  "greater": [() => tf.greater(none(0, 2), tf.ones([2])), [0, 2]],
  "clipByValue": [() => tf.clipByValue(none(0), 0, 1), [0]],
  "addN": [() => tf.addN([none(0), none(0)]), [0]],
  "softmax": [() => tf.softmax(none(0, 3)), [0, 3]],
  "softmax along nothing": [() => tf.softmax(none(3, 0)), [3, 0]],
  "logSoftmax": [() => tf.logSoftmax(none(0, 3)), [0, 3]],
  "sum": [() => tf.sum(none(0, 3)), [], [0]],
  "sum of whole numbers": [() => tf.sum(whole(0, 3)), [], [0]],
  "sum of columns": [() => tf.sum(none(0, 3), 0), [3], [0, 0, 0]],
  "sum of columns, kept": [() => tf.sum(none(0, 3), 0, true), [1, 3], [0, 0, 0]],
  "sum of no rows": [() => tf.sum(none(0, 3), 1), [0]],
  "mean": [() => tf.mean(none(0, 3)), [], [NaN]],
  "mean of columns": [() => tf.mean(none(0, 3), 0), [3], [NaN, NaN, NaN]],
  "mean of no rows": [() => tf.mean(none(0, 3), 1), [0]],
  "moments": [() => tf.moments(none(0, 3), 0).variance, [3], [NaN, NaN, NaN]],
  "norm": [() => tf.norm(none(0)), [], [0]],
  "prod": [() => tf.prod(none(0, 3), 0), [3], [1, 1, 1]],
  "all": [() => tf.all(truth(0, 3)), [], [1]],
  "any": [() => tf.any(truth(0, 3), 0), [3], [0, 0, 0]],
  "max of no columns": [() => tf.max(none(3, 0), 0), [0]],
  "argMax of no rows": [() => tf.argMax(none(0, 3), 1), [0]],
  "cumsum": [() => tf.cumsum(none(0, 3), 0), [0, 3]],
  "concat": [() => tf.concat([none(0, 2), tf.ones([1, 2])]), [1, 2], [1, 1]],
  "stack": [() => tf.stack([none(0), none(0)]), [2, 0]],
  "split": [() => tf.split(none(0, 4), 2, 1)[1], [0, 2]],
  "slice": [() => tf.slice(tf.ones([3]), 1, 0), [0]],
  "stridedSlice": [() => tf.stridedSlice(tf.ones([3]), [1], [1], [1]), [0]],
  "gather": [() => tf.gather(tf.ones([3, 2]), whole(0)), [0, 2]],
  "gather of nothing": [() => tf.gather(none(0, 2), whole(0)), [0, 2]],
  "gather of nothing along the second axis": [() => tf.gather(none(0, 2), whole(0, 3), 1), [0, 0, 3]],
  "segment sums": [() => tf.unsortedSegmentSum(none(0, 2), whole(0) as tf.Tensor1D, 2), [2, 2], [0, 0, 0, 0]],
  "a product without steps": [() => tf.matMul(none(2, 0), none(0, 1)), [2, 1], [0, 0]],
  "a product without rows": [() => tf.matMul(none(0, 2), tf.ones([2, 3])), [0, 3]],
  "a product of no matrices": [() => tf.matMul(none(0, 2, 3), none(0, 3, 4)), [0, 2, 4]],
  "conv2d": [() => tf.conv2d(images, filter, 1, "valid"), [0, 2, 2, 1]],
  "maxPool": [() => tf.maxPool(images, 2, 2, "valid"), [0, 2, 2, 1]],
  "avgPool": [() => tf.avgPool(images, 2, 2, "valid"), [0, 2, 2, 1]],
  "resizeNearestNeighbor": [() => tf.image.resizeNearestNeighbor(images, [8, 8]), [0, 8, 8, 1]],
  "transpose": [() => tf.transpose(none(0, 3)), [3, 0]],
  "reverse": [() => tf.reverse(none(0, 3)), [0, 3]],
  "tile": [() => tf.tile(tf.ones([2]), [0]), [0]],
  "broadcastTo": [() => tf.broadcastTo(none(0, 1), [0, 3]), [0, 3]],
  "cast": [() => tf.cast(whole(0), "float32"), [0]],
  "oneHot": [() => tf.oneHot(whole(0), 3), [0, 3]],
  "pad": [() => tf.pad(none(0, 2), [[1, 0], [0, 0]]), [1, 2], [0, 0]],
  "random numbers": [() => new Generator(1).normal([0, 3]), [0, 3]],
};

for (const [name, [f, shape, values = []]] of Object.entries(CASES)) {
  Deno.test(`no elements: ${name}`, async () => {
    const y = f();
    assertEquals(y.shape, shape);
    assertEquals(await numbers(y), values);
    assertEquals(await numbers(tf.add(tf.scalar(1), 1)), [2]);
  });
}

Deno.test("what has no value without elements is an error that names the op", () => {
  const cases: Record<string, () => Tensor> = {
    Max: () => tf.max(none(0, 3)),
    Min: () => tf.min(none(0, 3), 0),
    ArgMax: () => tf.argMax(none(0, 3)),
    ArgMin: () => tf.argMin(none(0, 3), 0),
  };
  for (const [name, f] of Object.entries(cases)) {
    assertThrows(f, Error, `${name}: x of shape [0,3] has no elements`);
  }
});
