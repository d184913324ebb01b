/** Group normalisation against its definition. */
import { F, tf } from "../../../mod.ts";
import { assertTensor, numbers, random } from "../../support.ts";

/** Group norm by its definition, in float64. */
function slowGroupNorm(
  x: number[],
  [n, p, c]: number[],
  groups: number,
  g: number[],
  b: number[],
  silu: boolean,
) {
  const out = new Array(x.length), per = c / groups;
  for (let i = 0; i < n; i++) {
    for (let q = 0; q < groups; q++) {
      const at: number[] = [];
      for (let y = 0; y < p; y++) for (let k = 0; k < per; k++) at.push((i * p + y) * c + q * per + k);
      const mean = at.reduce((s, j) => s + x[j], 0) / at.length;
      const variance = at.reduce((s, j) => s + (x[j] - mean) ** 2, 0) / at.length;
      for (const j of at) {
        const z = (x[j] - mean) / Math.sqrt(variance + 1e-5) * g[j % c] + b[j % c];
        out[j] = silu ? z / (1 + Math.exp(-z)) : z;
      }
    }
  }
  return out;
}

for (const silu of [false, true]) {
  for (
    const [shape, groups] of [[[2, 5, 7, 6], 3], [[3, 4, 4, 16], 8], [[1, 3, 3, 5], 1], [
      [2, 2, 3, 7],
      7,
    ]] as const
  ) {
    Deno.test(`groupNorm${silu ? " + SiLU" : ""} [${shape}] in ${groups}: definition`, async () => {
      const c = shape[3];
      const x = random([...shape], 1), g = random([c], 2), b = random([c], 3);
      const [xs, gs, bs] = [await numbers(x), await numbers(g), await numbers(b)];
      const out = slowGroupNorm(xs, [shape[0], shape[1] * shape[2], c], groups, gs, bs, silu);
      await assertTensor(F.groupNorm(x, groups, g, b, { silu }), [...shape], out);
    });
  }
}

Deno.test("groupNorm keeps its precision when the mean is far from 0", async () => {
  const x = tf.add(random([2, 6, 6, 4], 1), 1000), g = tf.ones([4]), b = tf.zeros([4]);
  const out = slowGroupNorm(await numbers(x), [2, 36, 4], 2, [1, 1, 1, 1], [0, 0, 0, 0], false);
  await assertTensor(F.groupNorm(x, 2, g, b), [2, 6, 6, 4], out, 2e-3);
});
