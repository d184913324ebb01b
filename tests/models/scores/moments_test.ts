/** Mean and covariance of a stream. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Generator, HostArray, scores } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { assertNear, golden } from "./golden.ts";

const { Moments } = scores;

/** Rows of an array. */
const part = ({ data, shape: [, d] }: HostArray, from: number, to: number) =>
  new HostArray(data.slice(from * d, to * d), [to - from, d]);

/** Moments of features that come in parts which begin at these rows. */
function streamed(features: HostArray, starts: number[]): scores.Moments {
  const moments = new Moments(features.shape[1]), ends = [...starts.slice(1), features.shape[0]];
  starts.forEach((from, i) => moments.add(part(features, from, ends[i])));
  return moments;
}

Deno.test("mean and covariance are NumPy's, whatever the batches", wasmOnly, () => {
  for (const { name, real, mean, covariance } of golden) {
    for (const starts of [[0], [0, 1, 2, 17], [0, 0, 39]]) {
      const moments = streamed(real, starts), found = moments.covariance();
      assertEquals(moments.count, real.shape[0]);
      mean.forEach((v, i) => assertNear(moments.mean[i], v, 1e-12, `${name}: mean ${i}`));
      covariance.forEach((v, i) => assertNear(found[i], v, 1e-9, `${name}: covariance ${i}`));
    }
  }
});

Deno.test("a mean of a million beside a spread of one loses nothing", wasmOnly, async () => {
  const noise = await HostArray.from(new Generator(1).normal([2000, 3]));
  const large = Float32Array.from(noise.data, (v) => 2 ** 20 + Math.round(v * 8) / 8); // held exactly by 32 bits
  const small = large.map((v) => v - 2 ** 20);
  const [far, near] = [large, small].map((data) => streamed(new HostArray(data, [2000, 3]), [0, 500, 510]));
  near.covariance().forEach((v, i) => assert(Math.abs(far.covariance()[i] - v) < 1e-9, `${i}`));
});

Deno.test("merged moments are those of all; as numbers and back they are the same", wasmOnly, () => {
  const [{ real, covariance }] = golden, [n] = real.shape;
  const first = streamed(part(real, 0, 50), [0]), rest = streamed(part(real, 50, n), [0, 9]);
  first.merge(rest);
  first.merge(new Moments(real.shape[1]));
  const empty = new Moments(real.shape[1]);
  empty.merge(first);
  const read = Moments.from(empty.toNumbers());
  assertEquals(read.count, n);
  assertEquals(read.mean, first.mean);
  const found = read.covariance();
  covariance.forEach((v, i) => assertNear(found[i], v, 1e-9, `${i}`));
});

Deno.test("what cannot be added is refused, and nothing of it is added", wasmOnly, () => {
  assertThrows(() => new Moments(0), RangeError, "size is a positive whole number, not 0");
  const moments = new Moments(2);
  const bad = new HostArray(Float32Array.of(1, 2, NaN, 4), [2, 2]);
  assertThrows(() => moments.add(bad), Error, "feature 0 of item 1 is NaN");
  assertThrows(() => moments.add(new HostArray(new Float32Array(3), [1, 3])), RangeError, "[N,2], not [1,3]");
  assertThrows(() => moments.merge(new Moments(3)), RangeError, "3 numbers");
  assertEquals([moments.count, ...moments.mean], [0, 0, 0]);
  moments.add(new HostArray(Float32Array.of(1, 2), [1, 2]));
  assertThrows(() => moments.covariance(), RangeError, "at least 2 features, not of 1");
  assertThrows(() => Moments.from(Float64Array.of(1, 2)), RangeError, "2 numbers are no moments");
});
