/** Datasets: arrays in memory, parts of others. */
import { assertEquals, assertThrows } from "@std/assert";
import { ArrayDataset, HostArray, subset, take } from "../../../mod.ts";

const x = new HostArray(Float32Array.of(0, 1, 10, 11, 20, 21), [3, 2]);
const y = new HostArray(Uint8Array.of(7, 8, 9), [3]);
const at = (...indices: number[]) => Int32Array.from(indices);

Deno.test("ArrayDataset gives rows of every array in the order asked for, whatever their types", () => {
  const z = new HostArray(Int32Array.of(-1, -2, -3), [3, 1, 1]);
  assertEquals(new ArrayDataset(x, y, z).items(at(2, 0, 2)), [
    new HostArray(Float32Array.of(20, 21, 0, 1, 20, 21), [3, 2]),
    new HostArray(Uint8Array.of(9, 7, 9), [3]),
    new HostArray(Int32Array.of(-3, -1, -3), [3, 1, 1]),
  ]);
});

Deno.test("ArrayDataset refuses arrays that do not fit, and indices outside", () => {
  const four = new HostArray(new Float32Array(4), [4]), scalar = new HostArray(new Float32Array(1), []);
  assertThrows(() => new ArrayDataset(x, four), RangeError, "one first axis, not [3,2], [4]");
  assertThrows(() => new ArrayDataset(scalar), RangeError, "not []");
  assertThrows(() => new ArrayDataset(), RangeError, "not none");
  for (const i of [3, -1]) {
    assertThrows(
      () => new ArrayDataset(x, y).items(at(i)),
      RangeError,
      `a dataset of 3 items has none at ${i}`,
    );
  }
});

Deno.test("subset and take: other items of any dataset, without a copy of it", async () => {
  const set = new ArrayDataset(x, y);
  const part = subset(set, at(2, 1)), first = take(part, 1);
  assertEquals([part.length, first.length, take(set, 9).length, take(set, 0).length], [2, 1, 3, 0]);
  assertEquals([...(await part.items(at(0, 1)))[1].data], [9, 8]);
  assertEquals([...(await first.items(at(0)))[1].data], [9]);
  for (const i of [2, -1]) {
    assertThrows(() => part.items(at(0, i)), RangeError, `items: a dataset of 2 items has none at ${i}`);
  }
  assertThrows(() => subset(set, at(0, 3)), RangeError, "subset: a dataset of 3 items has none at 3");
  for (const n of [-1, 1.5]) assertThrows(() => take(set, n), RangeError, `not ${n}`);
});
