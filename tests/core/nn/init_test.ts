/** Initial numbers of weights. */
import { assert, assertThrows } from "@std/assert";
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
