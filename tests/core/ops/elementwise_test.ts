/** Activations and arithmetic against their definitions. */
import { assert, assertEquals } from "@std/assert";
import { F, tf } from "../../../mod.ts";
import type { Tensor } from "../../../mod.ts";
import { Gelu, GeluGrad, GroupNorm, run, Silu, SiluGrad } from "../../../core/ops/mod.ts";
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

Deno.test("mish: PyTorch's values, far ends, and its gradient", async () => {
  const x = tf.tensor1d([-100, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 19, 21, 100]);
  const torch = [0, -0.033576237, -0.25250148, -0.30340146, -0.22074387, 0, 0.37524521, 0.86509839];
  await assertTensor(F.mish(x), [13], [...torch, 1.9439589, 4.999552, 19, 21, 100], 1e-8);
  await checkGradients(F.mish, [tf.mul(random([40], 6), 3)]);
});

/** Numbers at which an exponential, a square or a product of two leaves the range of float32, and their neighbours. */
const FAR = [1, 1e-30, 6.5, 88.5, 103, 200, 1e18, 1e20, 1e38, 3.4e38, Infinity].flatMap((v) => [v, -v])
  .concat(0, NaN).map(Math.fround);

/** Fails unless numbers are within 1e-6 of one another, or the same infinity, or both NaN. */
async function assertFar(what: string, actual: Tensor, expected: Tensor | number[]): Promise<void> {
  const want = expected instanceof tf.Tensor ? await numbers(expected) : expected.map(Math.fround);
  (await numbers(actual)).forEach((v, i) => {
    const near = Object.is(v, want[i]) || Math.abs(v - want[i]) <= 1e-6 * Math.max(1, Math.abs(want[i]));
    assert(near || v === want[i], `${what}(${FAR[i]}) is ${v}, not ${want[i]}`);
  });
}

const logistic = (v: number) => 1 / (1 + Math.exp(-v));
const softplus = (v: number) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
const leaky = (v: number) => v < 0 ? Math.fround(0.2) * v : v;
const ALPHA = 1.6732632423543772, SCALE = 1.0507009873554805;

/** Activations, and what tfjs's CPU backend computes. */
const FORMULAS: Record<string, [activation: (x: Tensor) => Tensor, formula: (v: number) => number]> = {
  "F.silu": [F.silu, (v) => v * logistic(v)],
  "F.mish": [F.mish, (v) => v * Math.tanh(softplus(v))],
  "F.relu": [F.relu, (v) => Math.max(v, 0)],
  "F.generalRelu": [(x) => F.generalRelu(x, 0.2, 0.5), (v) => (v > 0 ? v : Math.fround(0.2) * v) - 0.5],
  relu: [tf.relu, (v) => Math.max(v, 0)],
  relu6: [tf.relu6, (v) => Math.min(Math.max(v, 0), 6)],
  leakyRelu: [tf.leakyRelu, leaky],
  prelu: [(x) => tf.prelu(x, tf.scalar(0.2)), leaky],
  preluOfEach: [(x) => tf.prelu(x, tf.fill(x.shape, 0.2)), leaky],
  elu: [tf.elu, (v) => v >= 0 ? v : Math.expm1(v)],
  selu: [tf.selu, (v) => v >= 0 ? SCALE * v : SCALE * ALPHA * Math.expm1(v)],
  sigmoid: [tf.sigmoid, logistic],
  logSigmoid: [tf.logSigmoid, (v) => -softplus(-v)],
  softplus: [tf.softplus, softplus],
  tanh: [tf.tanh, Math.tanh],
  clipByValue: [(x) => tf.clipByValue(x, -2, 3), (v) => Math.min(Math.max(v, -2), 3)],
  minimum: [(x) => tf.minimum(x, 0.5), (v) => Math.min(v, 0.5)],
  minimumOfEach: [(x) => tf.minimum(tf.fill(x.shape, 0.5), x), (v) => Math.min(v, 0.5)],
  maximum: [(x) => tf.maximum(x, 0.5), (v) => Math.max(v, 0.5)],
  maximumOfEach: [(x) => tf.maximum(tf.fill(x.shape, 0.5), x), (v) => Math.max(v, 0.5)],
  step: [(x) => tf.step(x, 0.25), (v) => Number.isNaN(v) ? NaN : v > 0 ? 1 : 0.25],
};

Deno.test("every activation at the far ends and of NaN is what its formula gives", async () => {
  const x = tf.tensor1d(FAR);
  for (const [name, [activation, formula]] of Object.entries(FORMULAS)) {
    await assertFar(name, activation(x), FAR.map(formula));
  }
});

Deno.test("SiLU, GELU, their gradients and a normalisation with SiLU are their references at the far ends", async () => {
  const x = tf.tensor1d(FAR), dy = tf.onesLike(x);
  for (const op of [Silu, Gelu]) await assertFar(op.name, run(op, { x }, {}).y, op.reference({ x }, {}).y);
  for (const op of [SiluGrad, GeluGrad]) {
    await assertFar(op.name, run(op, { x, dy }, {}).dx, op.reference({ x, dy }, {}).dx);
  }
  const attrs = { groups: FAR.length, eps: 1e-5, silu: true };
  const still = { x: tf.zeros([1, 1, 1, FAR.length]), gamma: dy, beta: x };
  await assertFar("GroupNorm of beta", run(GroupNorm, still, attrs).y, GroupNorm.reference(still, attrs).y);
});
