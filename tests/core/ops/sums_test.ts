/** Sums of many numbers in products, gradients and running sums, which rounding one by one would take apart. */
import { assert } from "@std/assert";
import { F, Generator, grad, type Tensor, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const TENTH = Math.fround(0.1), ROWS = 300_000;
const tenths = (...shape: number[]): Tensor => tf.fill(shape, 0.1);

/** Each with the sum of how many tenths it gives. */
const SUMS: Record<string, [f: () => Tensor, count: number]> = {
  "a product of one row": [() => tf.matMul(tenths(1, ROWS), tf.ones([ROWS, 1])), ROWS],
  "a product of rows": [() => tf.matMul(tf.ones([5, ROWS]), tenths(ROWS, 3)), ROWS],
  "a product of a transposed": [() => tf.matMul(tenths(ROWS, 4), tf.ones([ROWS, 3]), true), ROWS],
  "a product of b transposed": [() => tf.matMul(tenths(2, ROWS), tf.ones([3, ROWS]), false, true), ROWS],
  // llvmpipe ends a shader's loops after 65,536 turns, and such a product is one loop.
  "products of batches": [() => tf.matMul(tenths(2, 3, 30_000), tf.ones([2, 30_000, 2])), 30_000],
  "linear's weight": [
    () => grad((w) => F.linear(tenths(ROWS, 2), w), [tf.zeros([3, 2])], tf.ones([ROWS, 3]))[0],
    ROWS,
  ],
  "linear's bias": [
    () => grad((b) => F.linear(tf.ones([ROWS, 2]), tf.zeros([3, 2]), b), [tf.zeros([3])], tenths(ROWS, 3))[0],
    ROWS,
  ],
  "group norm's beta": [
    () =>
      grad(
        (b) => F.groupNorm(random([1, 500, 600, 2]), 1, tf.ones([2]), b),
        [tf.zeros([2])],
        tenths(1, 500, 600, 2),
      )[0],
    ROWS,
  ],
  "batch norm's beta": [
    () => grad((b) => F.batchNorm(random([ROWS, 2]), tf.ones([2]), b).y, [tf.zeros([2])], tenths(ROWS, 2))[0],
    ROWS,
  ],
  "a running sum": [() => tf.slice(tf.cumsum(tenths(ROWS)), ROWS - 1, 1), ROWS],
};

for (const [name, [f, count]] of Object.entries(SUMS)) {
  Deno.test(`${name} adds up ${count} numbers to 2e-4`, async () => {
    for (const v of (await numbers(tf.tidy(f))).slice(0, 3)) {
      assert(Math.abs(v / (count * TENTH) - 1) < 2e-4, `${v}, not ${count * TENTH}`);
    }
  });
}

Deno.test("products with long sums are those of their pieces, with bias and residual", async () => {
  const g = new Generator(3), k = 9001; // in three pieces on WASM
  const x = g.normal([7, k]), w = g.normal([5, k]), b = g.normal([5]), r = g.normal([7, 5]);
  const pieces = [0, 3000, 6000].map((from) => {
    const part = (t: Tensor) => tf.slice(t, [0, from], [-1, Math.min(3000, k - from)]);
    return tf.matMul(part(x), part(w), false, true);
  });
  pieces.push(tf.matMul(tf.slice(x, [0, 9000], [-1, 1]), tf.slice(w, [0, 9000], [-1, 1]), false, true));
  await assertClose(F.linear(x, w, b, r), tf.addN([...pieces, tf.broadcastTo(b, [7, 5]), r]), 1e-5);
});

Deno.test("running sums along every axis, in reverse and without the item itself", async () => {
  for (const shape of [[3, 4, 5], [2, 6, 3]]) await checkRunningSums(shape);
});

/** Compares them with sums in double precision. */
async function checkRunningSums(shape: number[]): Promise<void> {
  const x = random(shape), host = await numbers(x);
  for (const axis of [0, 1, 2]) {
    for (const exclusive of [false, true]) {
      for (const reverse of [false, true]) {
        const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1), items = shape[axis];
        const wanted = host.map((_, i) => {
          const place = Math.floor(i / inner) % items;
          let sum = 0;
          for (let j = 0; j < items; j++) {
            const before = reverse ? j > place : j < place;
            if (before || (j === place && !exclusive)) sum += host[i + (j - place) * inner];
          }
          return sum;
        });
        await assertClose(tf.cumsum(x, axis, exclusive, reverse), wanted, 1e-6);
      }
    }
  }
}

Deno.test("a variance past float32 is NaN, not zeros; one of 1e36 is right", async () => {
  const signs = Array.from({ length: 64 }, (_, i) => i % 2 ? 1 : -1);
  for (
    const [size, wanted] of [[1e18, signs], [1e30, signs.map(() => NaN)], [
      3e38,
      signs.map(() => NaN),
    ]] as const
  ) {
    const x = tf.tensor(signs.map((v) => v * size), [2, 4, 8, 1]), one = tf.ones([1]), zero = tf.zeros([1]);
    for (const y of [F.groupNorm(x, 1, one, zero), F.batchNorm(x, one, zero).y]) {
      (await numbers(y)).forEach((v, i) =>
        assert(Object.is(v, wanted[i]) || Math.abs(v - wanted[i]) < 1e-5, `${size}: ${v}, not ${wanted[i]}`)
      );
    }
  }
});
