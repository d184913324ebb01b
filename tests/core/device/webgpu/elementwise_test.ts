/** NaN and infinities go through every activation; sines of large angles. */
import { assertEquals } from "@std/assert";
import { F, nn, type Tensor, tf } from "../../../../mod.ts";
import { assertClose, device, numbers } from "../../../support.ts";

const onGpu = { ignore: device.name !== "webgpu" };
const SPECIAL = [NaN, Infinity, -Infinity, 2, -2, 0];

/** What each gives for NaN, both infinities, 2, −2 and 0. */
const SWEEP: Record<string, [f: (x: Tensor) => Tensor, expected: number[]]> = {
  "relu": [tf.relu, [NaN, Infinity, 0, 2, 0, 0]],
  "relu6": [tf.relu6, [NaN, 6, 0, 2, 0, 0]],
  "leakyRelu": [(x) => tf.leakyRelu(x, 0.5), [NaN, Infinity, -Infinity, 2, -1, 0]],
  "prelu": [(x) => tf.prelu(x, tf.scalar(0.5)), [NaN, Infinity, -Infinity, 2, -1, 0]],
  "elu": [tf.elu, [NaN, Infinity, -1, 2, Math.expm1(-2), 0]],
  "sigmoid": [tf.sigmoid, [NaN, 1, 0, 1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(2)), 0.5]],
  "tanh": [tf.tanh, [NaN, 1, -1, Math.tanh(2), Math.tanh(-2), 0]],
  "softplus": [tf.softplus, [
    NaN,
    Infinity,
    0,
    Math.log1p(Math.exp(2)),
    Math.log1p(Math.exp(-2)),
    Math.log(2),
  ]],
  "clipByValue": [(x) => tf.clipByValue(x, -1, 1), [NaN, 1, -1, 1, -1, 0]],
  "maximum with a number": [(x) => tf.maximum(x, 1), [NaN, Infinity, 1, 2, 1, 1]],
  "maximum of a number": [(x) => tf.maximum(1, x), [NaN, Infinity, 1, 2, 1, 1]],
  "minimum with a number": [(x) => tf.minimum(x, 1), [NaN, 1, -Infinity, 1, -2, 0]],
  "minimum of a number": [(x) => tf.minimum(1, x), [NaN, 1, -Infinity, 1, -2, 0]],
  "maximum with NaN": [(x) => tf.maximum(x, NaN), [NaN, NaN, NaN, NaN, NaN, NaN]],
  "minimum with NaN": [(x) => tf.minimum(NaN, x), [NaN, NaN, NaN, NaN, NaN, NaN]],
  "maximum of tensors": [(x) => tf.maximum(x, tf.ones([6])), [NaN, Infinity, 1, 2, 1, 1]],
  "minimum of tensors": [(x) => tf.minimum(tf.ones([6]), x), [NaN, 1, -Infinity, 1, -2, 0]],
  "silu": [F.silu, [NaN, Infinity, NaN, 2 / (1 + Math.exp(-2)), -2 / (1 + Math.exp(2)), 0]],
  "generalRelu": [(x) => F.generalRelu(x, 0.5, 1), [NaN, Infinity, -Infinity, 1, -2, -1]],
  "GeneralRelu with a largest output": [
    (x) => new nn.GeneralRelu({ leak: 0.5, maxV: 1 }).call(x),
    [NaN, 1, -Infinity, 1, -1, 0],
  ],
};

for (const [name, [f, expected]] of Object.entries(SWEEP)) {
  Deno.test(`${name}: NaN stays NaN, infinities are as in tfjs's CPU backend`, onGpu, async () => {
    // As a device sees numbers that it has computed, and as it sees those of the host.
    for (const x of [tf.add(tf.tensor1d(SPECIAL), 0), tf.tensor1d(SPECIAL)]) {
      const y = await numbers(f(x));
      assertEquals(y.map(Number.isFinite), expected.map(Number.isFinite), `${y}`);
      y.forEach((v, i) => {
        if (Number.isFinite(v)) assertEquals(v.toFixed(5), expected[i].toFixed(5));
        else assertEquals(v, expected[i]);
      });
    }
  });
}

Deno.test("sines and cosines of large angles", onGpu, async () => {
  const angles = Float32Array.from({ length: 2001 }, (_, i) => (i - 1000) * 1.7);
  const x = tf.add(tf.tensor1d(angles), 0);
  await assertClose(tf.sin(x), Array.from(angles, Math.sin), 2e-6);
  await assertClose(tf.cos(x), Array.from(angles, Math.cos), 2e-6);
});

for (const scale of [1e-3, 1, 1e10, 1e18]) {
  Deno.test(`norms of values of ${scale} are those of values of 1`, onGpu, async () => {
    const values = Float32Array.from({ length: 8192 * 4 }, (_, i) => (i * 7919) % 101 / 101 - 0.5);
    const of = (shape: number[], scale: number) => tf.mul(tf.tensor(values, shape), scale);
    const [ones, zeros] = [tf.ones([4]), tf.zeros([4])];
    const group = (scale: number) => F.groupNorm(of([2, 4096, 4], scale), 2, ones, zeros, { eps: 1e-30 });
    const batch = (scale: number) => F.batchNorm(of([8192, 4], scale), ones, zeros, 1e-30).y;
    await assertClose(group(scale), group(1), 1e-5);
    await assertClose(batch(scale), batch(1), 1e-5);
  });
}
