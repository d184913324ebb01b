/** Attention against its definition. */
import { F, tf } from "../../../mod.ts";
import { assertTensor, numbers, random } from "../../support.ts";

for (const [b, t, heads, d] of [[2, 9, 2, 3], [1, 25, 1, 8], [3, 4, 4, 5], [1, 64, 2, 8], [2, 1, 1, 2]]) {
  Deno.test(`attention [${b},${t},${heads}×${d}]: definition`, async () => {
    const c = heads * d;
    const [q, k, v] = [1, 2, 3].map((seed) => random([b, t, c], seed));
    const [qs, ks, vs] = [await numbers(q), await numbers(k), await numbers(v)];
    const out = new Array(b * t * c).fill(0);
    for (let i = 0; i < b; i++) {
      for (let h = 0; h < heads; h++) {
        const at = (row: number, e: number) => (i * t + row) * c + h * d + e;
        for (let r = 0; r < t; r++) {
          const scores = Array.from({ length: t }, (_, s) => {
            let sum = 0;
            for (let e = 0; e < d; e++) sum += qs[at(r, e)] * ks[at(s, e)];
            return sum / Math.sqrt(d);
          });
          const max = Math.max(...scores);
          const weights = scores.map((s) => Math.exp(s - max));
          const sum = weights.reduce((a, w) => a + w, 0);
          for (let e = 0; e < d; e++) {
            out[at(r, e)] = weights.reduce((a, w, s) => a + w * vs[at(s, e)], 0) / sum;
          }
        }
      }
    }
    await assertTensor(F.attention(q, k, v, heads), [b, t, c], out);
  });
}

Deno.test("attention with large scores does not overflow", async () => {
  const q = tf.mul(random([1, 6, 4], 1), 100);
  const out = await numbers(F.attention(q, q, random([1, 6, 4], 2), 1));
  if (!out.every(Number.isFinite)) throw new Error(`not finite: ${out}`);
});
