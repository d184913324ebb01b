/** Pooling and upsampling against their definitions. */
import { F } from "../../../mod.ts";
import { assertTensor, numbers, random } from "../../support.ts";

Deno.test("averagePool: definition, ragged ends", async () => {
  for (
    const [shape, factor] of [[[2, 6, 4, 3], 2], [[2, 7, 5, 9], 2], [[1, 7, 8, 2], 3], [
      [1, 1, 3, 5],
      2,
    ]] as const
  ) {
    const [n, h, w, c] = shape;
    const x = random([...shape], 1), xs = await numbers(x);
    const [ho, wo] = [Math.ceil(h / factor), Math.ceil(w / factor)];
    const out: number[] = [];
    for (let i = 0; i < n * ho * wo * c; i++) {
      const k = i % c,
        z = Math.floor(i / c) % wo,
        y = Math.floor(i / c / wo) % ho,
        b = Math.floor(i / c / wo / ho);
      let sum = 0, count = 0;
      for (let p = y * factor; p < Math.min(h, (y + 1) * factor); p++) {
        for (let q = z * factor; q < Math.min(w, (z + 1) * factor); q++, count++) {
          sum += xs[((b * h + p) * w + q) * c + k];
        }
      }
      out.push(sum / count);
    }
    await assertTensor(F.averagePool(x, factor), [n, ho, wo, c], out);
  }
});

Deno.test("upsampleNearest: definition", async () => {
  for (const factor of [2, 3]) {
    const x = random([2, 3, 5, 7], 1), xs = await numbers(x);
    const out: number[] = [];
    for (let n = 0; n < 2; n++) {
      for (let y = 0; y < 3 * factor; y++) {
        for (let z = 0; z < 5 * factor; z++) {
          const at = ((n * 3 + Math.floor(y / factor)) * 5 + Math.floor(z / factor)) * 7;
          out.push(...xs.slice(at, at + 7));
        }
      }
    }
    await assertTensor(F.upsampleNearest(x, factor), [2, 3 * factor, 5 * factor, 7], out);
  }
});
