/** Matrix products and linear layers against their definition. */
import { F, tf } from "../../../mod.ts";
import { assertTensor, checkGradients, numbers, random } from "../../support.ts";

const total = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

for (const ta of [false, true]) {
  for (const tb of [false, true]) {
    const named = `${ta ? "aᵀ" : "a"}·${tb ? "bᵀ" : "b"}`;
    const operands = (batch: number[], m: number, k: number, n: number) => [
      random([...batch, ...(ta ? [k, m] : [m, k])], 1),
      random([...batch, ...(tb ? [n, k] : [k, n])], 2),
    ];
    Deno.test(`matmul ${named}: definition`, async () => {
      for (
        const [batch, m, k, n] of [[[], 7, 5, 9], [[3], 13, 4, 17], [[2], 1, 1, 1], [
          [],
          101,
          33,
          50,
        ]] as const
      ) {
        const [a, b] = operands([...batch], m, k, n);
        const [x, y] = [await numbers(a), await numbers(b)];
        const out: number[] = [];
        for (let q = 0; q < total([...batch]); q++) {
          for (let i = 0; i < m; i++) {
            for (let j = 0; j < n; j++) {
              let sum = 0;
              for (let l = 0; l < k; l++) {
                sum += x[q * m * k + (ta ? l * m + i : i * k + l)] *
                  y[q * k * n + (tb ? j * k + l : l * n + j)];
              }
              out.push(sum);
            }
          }
        }
        await assertTensor(tf.matMul(a, b, ta, tb), [...batch, m, n], out);
      }
    });
    Deno.test(`matmul ${named}: gradients`, async () => {
      await checkGradients((a, b) => tf.matMul(a, b, ta, tb), operands([3], 5, 7, 9));
    });
  }
}

Deno.test("matmul with one operand shared by the batch: value and gradients", async () => {
  const a = random([4, 5, 6], 1), b = random([6, 3], 2);
  const whole = tf.reshape(tf.matMul(tf.reshape(a, [20, 6]), b), [4, 5, 3]);
  await assertTensor(tf.matMul(a, b), [4, 5, 3], await numbers(whole));
  await checkGradients((a, b) => tf.matMul(a, b), [a, b]);
});

Deno.test("linear: definition and gradients, two and three axes", async () => {
  const w = random([4, 7], 2), b = random([4], 3);
  for (const shape of [[5, 7], [2, 3, 7]]) {
    const x = random(shape, 1);
    const [xs, ws, bs] = [await numbers(x), await numbers(w), await numbers(b)];
    const rows = xs.length / 7;
    const out = Array.from({ length: rows * 4 }, (_, i) => {
      const r = Math.floor(i / 4), o = i % 4;
      return bs[o] + ws.slice(o * 7, o * 7 + 7).reduce((s, v, j) => s + v * xs[r * 7 + j], 0);
    });
    await assertTensor(F.linear(x, w, b), [...shape.slice(0, -1), 4], out);
    await checkGradients((x, w, b) => F.linear(x, w, b), [x, w, b]);
    await checkGradients((x, w) => F.linear(x, w), [x, w]);
  }
});
