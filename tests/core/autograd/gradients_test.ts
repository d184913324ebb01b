/** The gradients of tfjs's kernels against differences. */
import { assert, assertEquals, AssertionError, assertThrows } from "@std/assert";
import { grad, tf } from "../../../mod.ts";
import type { Tensor } from "../../../mod.ts";
import { checkGradients, numbers, random } from "../../support.ts";

/** Ops of tfjs whose gradients are ours, at smooth points. */
const positive = (x: Tensor) => tf.add(tf.abs(x), 0.5);

const TFJS: Record<string, [f: (...xs: Tensor[]) => Tensor, ...shapes: number[][]]> = {
  "add, broadcast": [(a, b) => tf.add(a, b), [3, 4], [4]],
  "sub, broadcast": [(a, b) => tf.sub(a, b), [2, 1, 4], [3, 1]],
  "mul, broadcast": [(a, b) => tf.mul(a, b), [2, 3, 4], [3, 1]],
  "div": [(a, b) => tf.div(a, positive(b)), [3, 5], [3, 5]],
  "maximum": [(a, b) => tf.maximum(a, b), [4, 5], [4, 5]],
  "minimum": [(a, b) => tf.minimum(a, b), [4, 5], [4, 5]],
  "squaredDifference": [(a, b) => tf.squaredDifference(a, b), [3, 2], [3, 2]],
  "pow": [(a) => tf.pow(positive(a), 1.5), [7]],
  "neg": [(a) => tf.neg(a), [5]],
  "square": [(a) => tf.square(a), [5]],
  "sqrt": [(a) => tf.sqrt(positive(a)), [5]],
  "rsqrt": [(a) => tf.rsqrt(positive(a)), [5]],
  "reciprocal": [(a) => tf.reciprocal(positive(a)), [5]],
  "exp": [(a) => tf.exp(a), [5]],
  "log": [(a) => tf.log(positive(a)), [5]],
  "sin": [(a) => tf.sin(a), [5]],
  "cos": [(a) => tf.cos(a), [5]],
  "tanh": [(a) => tf.tanh(a), [5]],
  "sigmoid": [(a) => tf.sigmoid(a), [5]],
  "leakyRelu": [(a) => tf.leakyRelu(tf.add(a, tf.mul(0.2, tf.sign(a))), 0.1), [9]],
  "clipByValue": [(a) => tf.clipByValue(a, -0.5, 0.5), [40]],
  "softmax": [(a) => tf.softmax(a as never), [3, 5]],
  "logSoftmax": [(a) => tf.logSoftmax(a as never), [3, 5]],
  "where": [(a, b) => tf.where(tf.greater(random([3, 4], 8), 0), a, b), [3, 4], [3, 4]],
  "sum, leading axes": [(a) => tf.sum(a, [0, 1]), [3, 4, 5]],
  "sum, last axis": [(a) => tf.sum(a, -1), [3, 4]],
  "sum, middle axis kept": [(a) => tf.sum(a, 1, true), [3, 4, 2]],
  "sum, all": [(a) => tf.sum(a), [3, 4]],
  "mean": [(a) => tf.mean(a, [1, 2]), [3, 4, 2]],
  "max": [(a) => tf.max(a, 1), [3, 6]],
  "min": [(a) => tf.min(a, 0), [3, 6]],
  "reshape": [(a) => tf.reshape(a, [6, 2]), [3, 4]],
  "expandDims": [(a) => tf.expandDims(a, 1), [3, 4]],
  "transpose": [(a) => tf.transpose(a, [2, 0, 1]), [2, 3, 4]],
  "pad": [(a) => tf.pad(a, [[1, 0], [2, 3]]), [2, 3]],
  "slice": [(a) => tf.slice(a, [1, 0], [2, -1]), [4, 3]],
  "tile": [(a) => tf.tile(a, [2, 3]), [2, 3]],
  "concat, last axis": [(a, b) => tf.concat([a, b], -1), [2, 3, 4], [2, 3, 5]],
  "concat, first axis": [(a, b) => tf.concat([a, b], 0), [2, 3], [1, 3]],
  "split": [(a) => tf.mul(...tf.split(a, 2, 1) as [Tensor, Tensor]), [3, 8]],
  "split, one part unused": [(a) => tf.split(a, [2, 3], 1)[1], [3, 5]],
  "gather": [(a) => tf.gather(a, tf.tensor1d([2, 0, 2], "int32")), [4, 3]],
  "cast": [(a) => tf.cast(tf.mul(a, 2), "float32"), [4]],
};

for (const [name, [f, ...shapes]] of Object.entries(TFJS)) {
  Deno.test(`gradient of ${name}`, async () => {
    await checkGradients(f, shapes.map((shape, i) => random(shape, 5 + i)), { step: 3e-3 });
  });
}

/** Ops with the attributes that they take: each gradient is right, or refuses by the kernel's name. */
const image = [2, 6, 7, 3], filter = [3, 2, 3, 4];
type Image = tf.Tensor4D;
const conv = (
  strides: number | [number, number],
  pad: Any,
  dilations: number | [number, number] = 1,
  rounding?: Any,
) => ((x, w) => tf.conv2d(x as Image, w as Image, strides, pad, "NHWC", dilations, rounding)) as Case[0];
const fused = (activation: "linear" | "relu" | "sigmoid", extra = {}) =>
  ((x, w, b) =>
    tf.fused.conv2d({
      x: x as Image,
      filter: w as Image,
      strides: 1,
      pad: "same",
      bias: b,
      activation,
      ...extra,
    })) as Case[0];
const dense = (activation: "linear" | "relu" | "sigmoid", extra = {}) =>
  ((a, b, bias) => tf.fused.matMul({ a, b, bias, activation, ...extra })) as Case[0];
// deno-lint-ignore no-explicit-any
type Any = any;
type Case = [f: (...xs: Tensor[]) => Tensor, ...shapes: number[][]];
const ATTRIBUTES: Record<string, Case> = {
  "conv2d, valid": [conv(1, "valid"), image, filter],
  "conv2d, same": [conv(1, "same"), image, filter],
  "conv2d, same, stride 2": [conv(2, "same"), image, filter],
  "conv2d, padding 1, stride 2": [conv(2, 1, 1, "floor"), image, filter],
  "conv2d, padding 1, stride 3, rounded up": [conv(3, 1, 1, "ceil"), image, filter],
  "conv2d, a padding a side": [conv(1, [[0, 0], [1, 0], [0, 1], [0, 0]]), image, filter],
  "conv2d, unequal strides": [conv([1, 2], "same"), image, filter],
  "conv2d, dilated": [conv(1, "same", 2), image, filter],
  "conv2d, dilated along an axis": [conv(1, "same", [2, 1]), image, filter],
  "fused conv2d": [fused("linear"), image, filter, [4]],
  "fused conv2d, relu": [fused("relu"), image, filter, [4]],
  "fused conv2d, dilated": [fused("linear", { dilations: 2 }), image, filter, [4]],
  "fused conv2d, a bias for all": [fused("linear"), image, filter, [1]],
  "conv1d": [(x, w) => tf.conv1d(x as tf.Tensor3D, w as tf.Tensor3D, 2, "same"), [2, 9, 3], [3, 3, 4]],
  "conv2dTranspose": [
    (x, w) => tf.conv2dTranspose(x as Image, w as Image, [2, 8, 8, 3], 1, "valid"),
    [2, 6, 6, 4],
    [3, 3, 3, 4],
  ],
  "depthwiseConv2d": [(x, w) => tf.depthwiseConv2d(x as Image, w as Image, 1, "same"), image, [3, 3, 3, 1]],
  "fused matMul, transposed": [dense("linear", { transposeA: true, transposeB: true }), [5, 3], [4, 5], [4]],
  "fused matMul, sigmoid": [dense("sigmoid"), [3, 5], [5, 4], [4]],
  "fused matMul, a bias of two axes": [dense("linear"), [3, 5], [5, 4], [3, 4]],
  "matMul, one batch of two that broadcasts": [(a, b) => tf.matMul(a, b), [2, 5, 3, 4], [4, 2]],
  "matMul, a batch of one": [(a, b) => tf.matMul(a, b), [1, 3, 4], [5, 4, 2]],
  "matMul, batches that broadcast": [(a, b) => tf.matMul(a, b), [2, 1, 3, 4], [5, 4, 2]],
  "matMul, batches of one size that broadcast": [(a, b) => tf.matMul(a, b), [2, 1, 3, 4], [1, 2, 4, 5]],
  "softmax": [(a) => tf.softmax(a as never), [2, 3, 4]],
  "logSumExp, kept": [(a) => tf.logSumExp(a, 1, true), [2, 3, 4]],
  "sum, kept": [(a) => tf.sum(a, [0, 2], true), [2, 3, 4]],
  "mean, kept": [(a) => tf.mean(a, [1], true), [2, 3, 4]],
  "max, kept": [(a) => tf.max(a, [0, 2], true), [2, 3, 4]],
  "min, of all": [(a) => tf.min(a), [2, 3, 4]],
  "prod": [(a) => tf.prod(a, 1), [2, 3]],
  "cumsum": [(a) => tf.cumsum(a, 1, true, true), [2, 3]],
  "norm": [(a) => tf.norm(a, 2, 1), [2, 3]],
  "moments": [(a) => tf.moments(a, [0, 1]).variance, [4, 3, 2]],
  "gather, axis 1": [(a) => tf.gather(a, tf.tensor1d([2, 0], "int32"), 1), [2, 3]],
  "gather, batches": [(a) => tf.gather(a, tf.tensor2d([[2], [0]], [2, 1], "int32"), 1, 1), [2, 3]],
  "gatherND": [(a) => tf.gatherND(a, tf.tensor2d([[1, 0]], [1, 2], "int32")), [2, 3]],
  "oneHot of no gradient": [(a) => tf.mul(a, tf.oneHot(tf.tensor1d([0, 1], "int32"), 3)), [2, 3]],
  "stack": [(a, b) => tf.stack([a, b], 1), [2, 3], [2, 3]],
  "unstack": [(a) => tf.unstack(a, 1)[1], [2, 3]],
  "squeeze": [(a) => tf.squeeze(a, [1]), [2, 1, 3]],
  "reverse": [(a) => tf.reverse(a, 1), [2, 3]],
  "stridedSlice": [(a) => tf.stridedSlice(a, [0, 1], [2, 6], [1, 2]), [2, 6]],
  "mirrorPad": [(a) => tf.mirrorPad(a, [[0, 0], [1, 1]], "reflect"), [2, 4]],
  "pad with a number": [(a) => tf.pad(a, [[1, 0], [0, 2]], 3), [2, 4]],
  "slice, from the end": [(a) => tf.slice(a, [0, 1], [-1, 2]), [3, 4]],
  "split, parts of a size": [(a) => tf.split(a, [1, 4], 1)[1], [3, 5]],
  "broadcastTo": [(a) => tf.broadcastTo(a, [2, 3, 4]), [3, 1]],
  "where, broadcast": [(a, b) => tf.where(tf.tensor1d([1, 0, 1], "bool"), a, b), [2, 3], [1]],
  "pow of two tensors": [(a, b) => tf.pow(tf.add(tf.abs(a), 0.5), b), [5], [5]],
  "pow of negative numbers": [(a) => tf.pow(tf.sub(tf.neg(tf.abs(a)), 0.5), 3), [5]],
  "relu6": [(a) => tf.relu6(a), [9]],
  "elu": [(a) => tf.elu(a), [9]],
  "selu": [(a) => tf.selu(a), [9]],
  "prelu": [(a, b) => tf.prelu(a, b), [3, 4], [4]],
  "leakyRelu": [(a) => tf.leakyRelu(a, 0.3), [9]],
  "softplus": [(a) => tf.softplus(a), [9]],
  "erf": [(a) => tf.erf(a), [9]],
  "atan": [(a) => tf.atan(a), [9]],
  "maxPool": [(a) => tf.maxPool(a as Image, 2, 2, "valid"), [1, 4, 4, 2]],
  "avgPool": [(a) => tf.avgPool(a as Image, 2, 2, "valid"), [1, 4, 4, 2]],
  "resizeBilinear": [(a) => tf.image.resizeBilinear(a as Image, [6, 6]), [1, 3, 3, 2]],
  "resizeNearestNeighbor": [(a) => tf.image.resizeNearestNeighbor(a as Image, [6, 6]), [1, 3, 3, 2]],
  "squaredDifference, broadcast": [(a, b) => tf.squaredDifference(a, b), [3, 4], [4]],
};
for (const [name, [f, ...shapes]] of Object.entries(ATTRIBUTES)) {
  Deno.test(`${name}: the gradient is right or refuses by name`, async () => {
    const xs = shapes.map((shape, i) => random(shape, 5 + i));
    try {
      await checkGradients(f, xs, { step: 3e-3 });
    } catch (error) {
      if (
        !(error as Error).message.match(
          /gradient (of|for|is)|has no (gradient|kernel)|only supports|does not match|to broadcast/,
        )
      ) throw error;
      assert(!(error instanceof AssertionError), (error as Error).message);
    }
  });
}

Deno.test("what the gradients do not cover is named", () => {
  const named = (f: Case[0], shapes: number[][], message: string) =>
    assertThrows(() => grad(f, shapes.map((s, i) => random(s, i)), undefined), Error, message);
  const sum = (f: Case[0]): Case[0] => (...xs) => tf.sum(f(...xs));
  named(sum(conv(1, "same", 2)), [image, filter], "The gradient of Conv2D is for dilation 1 alone, not 2");
  named(sum(conv([1, 2], "same")), [image, filter], "The gradient of Conv2D is for equal strides, not 1,2");
  const gather: Case[0] = (a) => tf.sum(tf.gather(a, tf.tensor1d([2, 0], "int32"), 1));
  named(gather, [[2, 3]], "The gradient of GatherV2 is for axis 0 alone, not 1");
  named((a) => tf.sum(tf.erf(a)), [[3]], "Erf has no gradient");
});

Deno.test("pow: no slope of NaN where base or exponent is 0; a cast to whole numbers has none", async () => {
  const [da, db] = grad((a, b) => tf.sum(tf.pow(a, b)), [tf.tensor1d([0, 2, 0]), tf.tensor1d([2, 0, 0])]);
  assertEquals(await numbers(da), [0, 0, 0]);
  assertEquals((await numbers(db)).map((v) => Math.round(v * 1000)), [0, 693, 0]);
  const steps = (x: Tensor) => tf.add(tf.sum(x), tf.sum(tf.cast(tf.cast(x, "int32"), "float32")));
  assertEquals(await numbers(grad(steps, [tf.tensor1d([1.5, 2.5])])[0]), [1, 1]);
});
