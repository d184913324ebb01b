/** Files in the IDX format. */
import { assert, assertEquals, assertRejects } from "@std/assert";
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
      [new Uint8Array([...good, 0]), "too long: the shape [2,3] needs 18 bytes, there are more"],
      [good.slice(0, 9), "truncated in its header"],
      [new Uint8Array(2), "2 bytes are too few"],
      [zipped.slice(0, zipped.length / 2), "gzip data is damaged or truncated"],
    ] as const
  ) {
    await assertRejects(() => readIdx(bytes, "some file"), Error, message);
  }
  await assertRejects(() => readIdx(good, "labels", 1), Error, "labels: it has 2 axes, expected 1");
});

Deno.test("IDX: several members of gzip are one file", async () => {
  const bytes = idx([2, 3], range(6));
  for (const at of [1, 4, 12, 17]) {
    const members = [await gzip(bytes.slice(0, at)), await gzip(bytes.slice(at))];
    const { data, shape } = await readIdx(new Uint8Array(members.flatMap((m) => [...m])));
    assertEquals([shape, [...data]], [[2, 3], range(6)]);
  }
});

Deno.test("IDX: a header that claims too much, or gzip that holds more than its header says, takes no memory", async () => {
  const rss = () => Deno.memoryUsage().rss;
  const zeros = new Uint8Array(1e6);
  const parts = ReadableStream.from([idx([2, 3], []), ...new Array<Uint8Array>(300).fill(zeros)]);
  const packed = parts.pipeThrough(
    new CompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>,
  );
  const bomb = new Uint8Array(await new Response(packed as BodyInit).arrayBuffer()), before = rss();
  await assertRejects(
    () => readIdx(bomb),
    Error,
    "IDX file: too long: the shape [2,3] needs 18 bytes, there are more",
  );
  const claims = idx([2 ** 32 - 1, 2 ** 20], [1, 2]), zipped = await gzip(claims);
  await assertRejects(() => readIdx(claims), Error, "truncated: the shape [4294967295,1048576] needs");
  await assertRejects(() => readIdx(zipped), Error, "truncated: the shape [4294967295,1048576] needs");
  for (const shape of [[2 ** 32 - 1, 2 ** 32 - 1], [2 ** 31, 2 ** 31, 0], new Array(255).fill(2 ** 32 - 1)]) {
    await assertRejects(() => readIdx(idx(shape, [])), Error, "is of more than 2^53 bytes");
  }
  assert(rss() - before < 100e6, `${rss() - before} bytes more`);
});

Deno.test("IDX: no items, any rank, and a rank of none", async () => {
  assertEquals((await readIdx(idx([0, 2 ** 31, 2 ** 31], []))).shape, [0, 2 ** 31, 2 ** 31]);
  assertEquals((await readIdx(idx(new Array(255).fill(1), [7]))).shape.length, 255);
  await assertRejects(() => readIdx(idx([], [7])), Error, "IDX file: it has 0 axes, expected at least 1");
});
