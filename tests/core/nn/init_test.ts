/** Initial numbers of weights. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Conv2d, Generator, init, type Tensor, tf } from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";

Deno.test("initialisers: bounds, spread, orthogonality", async () => {
  const g = () => new Generator(8);
  const spread = async (x: Tensor) => Math.sqrt((await numbers(x)).reduce((s, v) => s + v * v, 0) / x.size);
  const conv = new Conv2d(16, 32, 3, { generator: g() });
  const bound = 1 / Math.sqrt(9 * 16);
  const weights = await numbers(conv.weight);
  assert(weights.every((v) => Math.abs(v) <= bound) && Math.max(...weights) > 0.98 * bound);
  assert((await numbers(conv.bias!)).every((v) => Math.abs(v) <= bound));
  const close = (a: number, b: number) => assert(Math.abs(a / b - 1) < 0.03, `${a} is not ${b}`);
  close(await spread(init.kaimingNormal([3, 3, 16, 64], 0, g())), Math.sqrt(2 / 144));
  close(await spread(init.kaimingNormal([64, 300], 0.1, g())), Math.sqrt(2 / 1.01 / 300));
  close(await spread(init.kaimingUniform([3, 3, 16, 64], 0, g())), Math.sqrt(2 / 144));
  for (const [rows, columns] of [[5, 12], [12, 5]]) {
    const q = init.orthogonal([rows, columns], 1, g());
    const gram = rows < columns ? tf.matMul(q, q, false, true) : tf.matMul(q, q, true);
    await assertClose(gram, tf.eye(Math.min(rows, columns)), 1e-5);
  }
  const filter = tf.reshape(init.orthogonal([3, 3, 8, 8], 2, g()), [72, 8]);
  await assertClose(tf.matMul(filter, filter, true), tf.mul(tf.eye(8), 4), 1e-5);
});

Deno.test("numbers that give no weights are refused by name", () => {
  for (const wrong of [NaN, Infinity]) {
    for (
      const name of [
        "constant",
        "uniform",
        "normal",
        "kaimingNormal",
        "kaimingUniform",
        "orthogonal",
      ] as const
    ) {
      assertThrows(() => init[name]([2, 2], wrong), RangeError, `not ${wrong}`);
    }
  }
  for (const name of ["uniform", "normal"] as const) {
    assertThrows(() => init[name]([2, 2], -1), RangeError, "at least 0, not -1");
  }
  for (const shape of [[3], [2, 3, 4], [], [0, 3], [2, 1.5]]) {
    for (const name of ["kaimingNormal", "kaimingUniform", "orthogonal"] as const) {
      assertThrows(
        () => init[name](shape),
        RangeError,
        `init.${name}: a weight is [out,in] or [kh,kw,in,out]`,
      );
    }
  }
  for (const fanIn of [0, -1, NaN]) {
    assertThrows(() => init.torchDefault([2], fanIn), RangeError, `not ${fanIn}`);
  }
});

Deno.test("initialisers: means, spreads and bounds of many draws, of each with another generator", async () => {
  const shape = [200, 300], seeds = [0, 1, 2];
  const moments = async (x: Tensor) => {
    const { mean, variance } = tf.moments(x);
    const [least, most] = [tf.min(x), tf.max(x)];
    return (await Promise.all([mean, variance, least, most].map(numbers))).flat();
  };
  const cases: [name: string, draw: (g: Generator) => Tensor, std: number, bound: number][] = [
    ["uniform", (g) => init.uniform(shape, 0.3, g), 0.3 / Math.sqrt(3), 0.3],
    ["normal", (g) => init.normal(shape, 0.7, g), 0.7, Infinity],
    ["torchDefault", (g) => init.torchDefault(shape, 300, g), 1 / Math.sqrt(900), 1 / Math.sqrt(300)],
    ["kaimingNormal", (g) => init.kaimingNormal(shape, 0.5, g), Math.sqrt(2 / 1.25 / 300), Infinity],
    [
      "kaimingUniform",
      (g) => init.kaimingUniform(shape, 0.5, g),
      Math.sqrt(2 / 1.25 / 300),
      Math.sqrt(6 / 375),
    ],
    ["orthogonal", (g) => init.orthogonal([30, 40], 1, g), Math.sqrt(1 / 40), 1],
  ];
  for (const [name, draw, std, bound] of cases) {
    const means = seeds.map((seed) => moments(draw(new Generator(seed))));
    for (const [mean, variance, least, most] of await Promise.all(means)) {
      assert(Math.abs(mean) < 0.05 * std, `${name}: mean ${mean}`);
      assert(
        Math.abs(Math.sqrt(variance) / std - 1) < 0.02,
        `${name}: deviation ${Math.sqrt(variance)}, not ${std}`,
      );
      assert(least >= -bound - 1e-6 && most <= bound + 1e-6, `${name}: ${least}…${most}`);
    }
  }
  assertEquals(await numbers(init.constant([2, 2], 3)), [3, 3, 3, 3]);
});
