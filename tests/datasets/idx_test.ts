/** Files in the IDX format. */
import { assertEquals, assertRejects } from "@std/assert";
import { readIdx } from "../../mod.ts";
import { gzip, idx, range } from "./files.ts";

Deno.test("IDX: plain and gzipped", async () => {
  const bytes = idx([2, 2, 3], range(12));
  for (const file of [bytes, await gzip(bytes)]) {
    const { data, shape } = await readIdx(file, "x", 3);
    assertEquals([shape, [...data]], [[2, 2, 3], range(12)]);
  }
});

Deno.test("IDX: every damage is named", async () => {
  const good = idx([2, 3], range(6));
  const zipped = await gzip(idx([100, 10], range(1000).map((i) => i % 251)));
  for (
    const [bytes, message] of [
      [idx([2, 3], range(6), [1, 0, 8, 2]), "magic number 0x01000802"],
      [idx([2, 3], range(6), [0, 0, 13, 2]), "element type 0xd is not 0x08"],
      [good.slice(0, -1), "truncated: the shape [2,3] needs 18 bytes, there are 17"],
      [new Uint8Array([...good, 0]), "too long"],
      [good.slice(0, 9), "truncated in its header"],
      [new Uint8Array(2), "2 bytes are too few"],
      [zipped.slice(0, zipped.length / 2), "gzip data is damaged or truncated"],
    ] as const
  ) {
    await assertRejects(() => readIdx(bytes, "some file"), Error, message);
  }
  await assertRejects(() => readIdx(good, "labels", 1), Error, "labels: it has 2 axes, expected 1");
});
