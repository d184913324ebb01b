/** The kernel distance beside NumPy's. */
import { assert, assertThrows } from "@std/assert";
import { Generator, HostArray, scores } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { assertNear, golden } from "./golden.ts";

const { kernelDistance, squaredMmd } = scores;

Deno.test("of all, and over parts, it is NumPy's", wasmOnly, () => {
  for (const { name, real, samples, ...expected } of golden) {
    assertNear(squaredMmd(real, samples), expected.squaredMmd, 1e-6, name);
    assertNear(kernelDistance(real, samples), expected.kid, 1e-6, name);
  }
});

Deno.test("of two draws of one distribution it is as often below 0 as above", wasmOnly, async () => {
  const distances: number[] = [];
  for (let seed = 0; seed < 40; seed++) {
    const generator = new Generator(seed), draw = () => HostArray.from(generator.normal([40, 8]));
    distances.push(squaredMmd(await draw(), await draw()));
  }
  const below = distances.filter((d) => d < 0).length;
  const mean = distances.reduce((a, b) => a + b) / 40, size = Math.max(...distances.map(Math.abs));
  assert(below > 10 && below < 32, `${below} of 40`);
  assert(Math.abs(mean) < size / 3, `${mean} of ${size}`);
});

Deno.test("too few features, or of other sizes, are refused", wasmOnly, () => {
  const of = (n: number, d: number) => new HostArray(new Float32Array(n * d), [n, d]);
  assertThrows(() => squaredMmd(of(1, 2), of(2, 2)), RangeError, "at least 2 features of each, not 1 and 2");
  assertThrows(() => squaredMmd(of(2, 2), of(2, 3)), RangeError, "not [2,2] and [2,3]");
  assertThrows(() => kernelDistance(of(7, 2), of(90, 2)), RangeError, "at least 2 features");
});
