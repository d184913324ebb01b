/** Pictures in Parquet tables. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openParquet } from "../../datasets/parquet.ts";
import { openImageSource, parquetSource } from "../../mod.ts";
import { wasmOnly } from "../support.ts";
import { range } from "./files.ts";
import { assertRefused, contentsOf, golden } from "./sources.ts";

const SNAPPY = await Deno.readFile(golden("snappy.parquet"));

Deno.test({
  name: "Parquet: Hugging Face's pictures and labels, in each compression; a row without a picture; no label",
  ...wasmOnly,
  async fn() {
    for (const codec of ["snappy", "zstd", "gzip", "brotli", "lz4", "none"]) {
      const path = golden(`${codec}.parquet`), source = await openImageSource(path);
      assertEquals(await contentsOf(source), [
        [`${path}[0]`, "cat", [255, 0, 0]],
        [`${path}[1]`, "cat", [0, 255, 0]],
        [`${path}[2]`, "dog", [0, 0, 255]],
        [`${path}[3]`, "fish", "there is no picture in this row"],
        [`${path}[4]`, undefined, [0, 255, 0]],
      ]);
      assertEquals([source.name, source.classes], [path, ["cat", "dog", "fish"]]);
      await source.close!();
    }
  },
});

Deno.test({
  name: "Parquet: bytes in a column of their own and labels that are texts; several files are one source",
  ...wasmOnly,
  async fn() {
    const plain = golden("plain.parquet"), source = await parquetSource(plain);
    assertEquals((await contentsOf(source)).map(([, ...rest]) => rest), [
      ["dog", [255, 0, 0]],
      ["cat", [0, 255, 0]],
      ["dog", [0, 0, 255]],
    ]);
    assertEquals(source.classes, undefined); // they are sorted
    await source.close!();
    const captions = await parquetSource(plain, { labels: "caption" });
    assertEquals(captions.entries.map((entry) => entry.class), ["a", "b", "c"]);
    await captions.close!();
    const two = await parquetSource([golden("snappy.parquet"), golden("zstd.parquet")], { labels: "id" });
    assertEquals(two.entries.map((entry) => entry.class), [...range(5), ...range(5)].map(String));
    assertEquals([two.classes, two.name], [range(5).map(String), golden("snappy.parquet")]);
    const pictures = await contentsOf(two);
    assertEquals(pictures.filter(([, , colour]) => Array.isArray(colour)).length, 8);
    await two.close!();
    const none = await parquetSource(golden("zstd.parquet"), { labels: null });
    assertEquals([none.classes, none.entries.map((entry) => entry.class)], [
      undefined,
      range(5).map(() => undefined),
    ]);
    await none.close!();
  },
});

Deno.test({
  name: "Parquet: row groups are read when they are asked for, each once",
  ...wasmOnly,
  async fn() {
    let reads = 0;
    const counted = {
      name: "counted",
      size: SNAPPY.length,
      read: (start: number, end: number) => {
        reads++;
        return Promise.resolve(SNAPPY.slice(start, end));
      },
      close() {},
    };
    const source = await openParquet([counted], {});
    const before = reads, [first, second, third] = source.entries;
    await Promise.all([first.read(), second.read(), first.read()]);
    const one = reads - before;
    await second.read();
    assertEquals(reads, before + one);
    await third.read();
    assertEquals(reads, before + 2 * one);
    assert(one > 0);
  },
});

Deno.test({
  name: "Parquet: columns that are not there, or several; labels out of range",
  ...wasmOnly,
  async fn() {
    const snappy = golden("snappy.parquet"), two = golden("two.parquet");
    for (
      const [path, options, says] of [
        [two, {}, `${two}: several columns may be the pictures: the option images names one of a, b`],
        [snappy, { images: "img" }, `${snappy}: there is no column img; there are image, label, id`],
        [snappy, { labels: "class" }, `${snappy}: there is no column class; there are image, label, id`],
        [two, { images: "a", labels: "b" }, `${two}: b of row 0 is `],
        [
          snappy,
          { classNames: ["a", "b"] },
          `${snappy}: label of row 3 is 2, neither a text nor a whole number from 0 on below 2`,
        ],
      ] as [string, object, string][]
    ) {
      await assertRejects(() => parquetSource(path, options), Error, says);
    }
    const numbers = await parquetSource(snappy, { images: "id" });
    await assertRejects(() => numbers.entries[0].read(), Error, "there are no bytes in this row");
    await numbers.close!();
    await assertRejects(() => parquetSource([]), RangeError, "parquetSource takes at least one path");
  },
});

Deno.test({
  name: "Parquet: damaged and hostile files are named",
  ...wasmOnly,
  async fn() {
    const says = "FILE: the Parquet file is damaged or cut off (";
    await assertRefused("a.parquet", SNAPPY.slice(0, -1), openImageSource, says);
    await assertRefused("a.parquet", SNAPPY.slice(0, 100), openImageSource, says);
    const claims = SNAPPY.slice();
    new DataView(claims.buffer).setUint32(claims.length - 8, 2 ** 31, true); // the length of the footer
    await assertRefused("a.parquet", claims, openImageSource, says);
    // Bytes of the pages and of the footer, each by itself: pictures or an error that names the file, never a wait or a crash.
    for (let at = 4, errors = 0; at < SNAPPY.length - 8; at += 7) {
      const bytes = SNAPPY.with(at, SNAPPY[at] ^ 0xff);
      const read = (start: number, end: number) => Promise.resolve(bytes.slice(start, end));
      try {
        const source = await openParquet([{ name: "some file", size: bytes.length, read, close() {} }], {});
        for (const entry of source.entries.slice(0, 5)) {
          await entry.read().catch((error: Error) => assert(error.message.length > 0));
        }
      } catch (error) {
        errors++;
        assert((error as Error).message.startsWith("some file: "), `byte ${at}: ${error}`);
      }
      if (at + 7 >= SNAPPY.length - 8) assert(errors > 10);
    }
  },
});
