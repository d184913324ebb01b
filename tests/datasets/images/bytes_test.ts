/** Bytes that are read piece by piece. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  bytesOf,
  inflate,
  openBytes,
  piecesOf,
  requireInflatedSize,
  requireMemberSize,
  Spool,
} from "../../../datasets/images/bytes.ts";
import { wasmOnly } from "../../support.ts";
import { gzip, range } from "../files.ts";
import { inFiles } from "../sources.ts";

const DATA = Uint8Array.from(range(600_000), (i) => i * 7 % 253);

/** All pieces in a row. */
async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

Deno.test({
  name: "bytes of a file and in memory: any part, several at once, and an end that is named",
  ...wasmOnly,
  async fn() {
    await inFiles({ a: DATA }, async (dir) => {
      const file = await openBytes(`${dir}/a`);
      for (const bytes of [file, bytesOf("memory", DATA)]) {
        const places = [[0, 10], [599_990, 600_000], [5, 5], [1000, 400_000], [7, 9]];
        const parts = await Promise.all(places.map(([start, end]) => bytes.read(start, end)));
        parts.forEach((part, i) => assertEquals(part, DATA.slice(...places[i])));
        assertEquals(await joined(piecesOf(bytes)), DATA);
        await assertRejects(
          () => bytes.read(599_999, 600_001),
          Error,
          `${bytes.name}: it is cut off: it has 600000 bytes, at least 600001 belong to it`,
        );
        (await bytes.read(0, 1))[0] = 9; // a copy
        assertEquals((await bytes.read(0, 1))[0], 0);
      }
      file.close();
    });
  },
});

Deno.test({
  name: "gzip in pieces: one member or several; damaged and cut off data is named",
  ...wasmOnly,
  async fn() {
    const one = await gzip(DATA), two = new Uint8Array([...one, ...await gzip(Uint8Array.of(1, 2))]);
    assertEquals(await joined(inflate(bytesOf("a.gz", one))), DATA);
    assertEquals(await joined(inflate(bytesOf("a.gz", two))), new Uint8Array([...DATA, 1, 2]));
    for (
      const bytes of [
        one.slice(0, -4),
        one.slice(0, 1000),
        one.with(1000, one[1000] ^ 255),
        one.with(-6, one.at(-6)! ^ 1),
      ]
    ) {
      await assertRejects(
        () => joined(inflate(bytesOf("a.gz", bytes))),
        Error,
        "a.gz: the gzip data is damaged or truncated (",
      );
    }
    for await (const _ of inflate(bytesOf("a.gz", one))) break; // nothing stays open
  },
});

Deno.test({
  name: "a spool keeps bytes in memory, then in a file that has no name",
  ...wasmOnly,
  async fn() {
    const home = await Deno.makeTempDir(), before = Deno.env.get("XDG_CACHE_HOME");
    Deno.env.set("XDG_CACHE_HOME", home);
    try {
      for (const memory of [1e9, 250_000, 0]) {
        const spool = new Spool("some.tgz", memory);
        for (let at = 0; at < DATA.length; at += 100_000) await spool.append(DATA.subarray(at, at + 100_000));
        assertEquals(spool.size, DATA.length);
        const places = [[0, 10], [99_990, 100_010], [150_000, 450_000], [0, 600_000], [600_000, 600_000]];
        const parts = await Promise.all(places.map(([start, end]) => spool.read(start, end)));
        parts.forEach((part, i) => assertEquals(part, DATA.slice(...places[i])));
        await assertRejects(() => spool.read(0, 600_001), Error, "some.tgz: it is cut off");
        spool.close();
        spool.close();
      }
      assertEquals([...Deno.readDirSync(`${home}/denoise/pictures`)], []);
    } finally {
      if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
      else Deno.env.set("XDG_CACHE_HOME", before);
      await Deno.remove(home, { recursive: true });
    }
  },
});

Deno.test({
  name: "a spool that may not write says so",
  ...wasmOnly,
  permissions: { read: true, write: false, env: true },
  async fn() {
    const says = "some.tgz: more than 5 bytes are kept in a file, which needs the permission to write";
    await assertRejects(() => new Spool("some.tgz", 5).append(DATA), Error, says);
  },
});

Deno.test({
  name: "sizes that are claimed are checked before memory is taken",
  ...wasmOnly,
  fn() {
    requireMemberSize(2 ** 28);
    assertThrows(
      () => requireMemberSize(2 ** 28 + 1),
      Error,
      "it claims to be of 268435457 bytes; a picture is read up to 268435456",
    );
    requireInflatedSize("a", 2 ** 30, 5);
    requireInflatedSize("a", 2 ** 33, 2 ** 30);
    const says = "a: it holds 1073741825 bytes or more, in 5; no more than 1073741824 are taken for pictures";
    assertThrows(() => requireInflatedSize("a", 2 ** 30 + 1, 5), Error, says);
  },
});
