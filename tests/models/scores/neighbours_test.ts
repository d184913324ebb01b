/** Precision and recall beside NumPy's, of every pair at once. */
import { assertEquals, assertRejects } from "@std/assert";
import { Generator, HostArray, scores } from "../../../mod.ts";
import "../../support.ts";
import { golden } from "./golden.ts";

const { precisionRecall } = scores;

Deno.test("precision and recall are NumPy's", async () => {
  for (const { name, real, samples, precision, recall, nearestPrecision } of golden) {
    assertEquals(await precisionRecall(real, samples), { precision, recall }, name);
    const nearest = await precisionRecall(real, samples, { k: 1 });
    assertEquals(nearest.precision, nearestPrecision, name);
  }
});

Deno.test("samples of one of two clusters are good, and lack half", async () => {
  const generator = new Generator(1);
  const around = async (n: number, place: number) =>
    (await HostArray.from(generator.normal([n, 2]))).data.map((v) => v + place);
  const real = new HostArray(Float32Array.of(...await around(300, 0), ...await around(300, 100)), [600, 2]);
  const half = new HostArray(Float32Array.from(await around(600, 100)), [600, 2]);
  const { precision, recall } = await precisionRecall(real, half);
  assertEquals([precision > 0.9, recall > 0.45, recall <= 0.5], [true, true, true]);
});

Deno.test("bad input is refused", async () => {
  const of = (n: number, d: number) => new HostArray(new Float32Array(n * d), [n, d]);
  await assertRejects(() => precisionRecall(of(5, 2), of(5, 3)), RangeError, "not [5,2] and [5,3]");
  await assertRejects(() => precisionRecall(of(3, 2), of(5, 2)), RangeError, "more than k = 3");
  await assertRejects(() => precisionRecall(of(5, 2), of(5, 2), { k: 0 }), RangeError, "from 1 on, not 0");
});
