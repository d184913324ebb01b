/** Datasets of pictures of any source: what is skipped, kept, cropped, labelled. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DataLoader,
  DataLoaders,
  encodePng,
  type ImageDataset,
  imageDataset,
  type ImageEntry,
  type ImageOptions,
  subset,
} from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { FILES } from "./golden.ts";

const quiet = { log: () => {} };
const all = ({ length }: { length: number }) => Int32Array.from({ length }, (_, i) => i);

/** A grey picture whose columns are 0, 1, 2,… */
const ramp = (width: number, height = 1): Uint8Array =>
  encodePng({
    width,
    height,
    channels: 1,
    data: Uint8Array.from({ length: width * height }, (_, i) => i % width),
  });

const entry = (name: string, bytes: Uint8Array, rest: Partial<ImageEntry> = {}): ImageEntry => ({
  name,
  read: () => Promise.resolve(bytes.slice()),
  ...rest,
});
const broken = (name: string, rest: Partial<ImageEntry> = {}) => entry(name, new Uint8Array(3), rest);
const made = (entries: ImageEntry[], options: Partial<ImageOptions> = {}) =>
  imageDataset({ name: "here", entries }, { size: 4, channels: 1, ...quiet, ...options });

Deno.test({
  name: "order and pixels do not depend on the number of threads, nor on where pictures are kept",
  ...wasmOnly,
  async fn() {
    const cacheDir = await Deno.makeTempDir();
    const entries = FILES.map(({ name, bytes }) => entry(name, bytes));
    const kinds: [number, "memory" | "disk" | "none"][] = [[0, "memory"], [3, "disk"], [2, "none"]];
    for (const crop of ["centre", "random"] as const) {
      const seen: unknown[] = [];
      for (const [workers, cache] of kinds) {
        using set = await made(entries, { size: 8, channels: 3, workers, cache, cacheDir, crop });
        assertEquals([set.workers, set.cache, set.length], [workers, cache, FILES.length]);
        const loader = new DataLoader(set, { batchSize: 7, shuffle: true, seed: 3 });
        const batches = (await Array.fromAsync(loader)).map(([x]) => [x.shape, x.data]);
        seen.push([set.names, set.sizes, batches]);
      }
      for (const one of seen) assertEquals(one, seen[0]);
    }
    assertEquals([...Deno.readDirSync(cacheDir)], []);
    await Deno.remove(cacheDir);
  },
});

Deno.test({
  name: "pictures that do not fit memory go to disk; where no file can be written they are decoded anew",
  ...wasmOnly,
  async fn() {
    const dir = await Deno.makeTempDir(), entries = FILES.map(({ name, bytes }) => entry(name, bytes));
    const options = { size: 8, memoryBytes: 200, workers: 2 };
    const file = `${dir}/a file`;
    await Deno.writeTextFile(file, "");
    const kinds: string[] = [], items: unknown[] = [];
    for (const rest of [{ memoryBytes: 1e6 }, { cacheDir: `${dir}/new` }, { cacheDir: file }]) {
      using set = await made(entries, { ...options, ...rest });
      kinds.push(set.cache);
      items.push(await set.items(all(set)));
    }
    assertEquals(kinds, ["memory", "disk", "none"]);
    assertEquals(items[1], items[0]);
    assertEquals(items[2], items[0]);
    await assertRejects(() => made(entries, { cache: "disk", cacheDir: file }), Error);
    await Deno.remove(dir, { recursive: true });
  },
});

Deno.test({
  name:
    "what cannot be read is skipped with its name and told, or refused: the first of it, whatever the threads",
  ...wasmOnly,
  async fn() {
    const cannot = () => Promise.reject(new Error("permission denied"));
    const entries = [
      entry("a", ramp(4)),
      broken("b"),
      entry("c", ramp(8, 2)),
      { name: "d", read: cannot },
      entry("e", ramp(4)),
    ];
    const lines: string[] = [], steps: number[] = [];
    using set = await made(entries, {
      log: (line) => lines.push(line),
      onProgress: (done, total) => steps.push(done / total),
    });
    assertEquals(set.names, ["a", "c", "e"]);
    assertEquals(set.skipped, [
      { name: "b", reason: "it is no picture: PNG, JPEG, WebP, GIF and BMP are read" },
      { name: "d", reason: "it cannot be read: permission denied" },
    ]);
    assertEquals(set.sizes, [{ width: 4, height: 1, count: 2 }, { width: 8, height: 2, count: 1 }]);
    assertEquals(steps, [0.2, 0.4, 0.6, 0.8, 1]);
    assertEquals(lines, [
      "Data: 3 pictures from here, as 4×4 grey, kept in memory (1 KiB)",
      "Skipped 2 pictures: b (it is no picture: PNG, JPEG, WebP, GIF and BMP are read); d (it cannot be read: permission denied)",
    ]);
    for (const workers of [0, 1, 4]) {
      await assertRejects(() => made(entries, { strict: true, workers }), Error, "here: b: it is no picture");
    }
  },
});

Deno.test({
  name: "no picture that can be read is an error that says what was found",
  ...wasmOnly,
  async fn() {
    const none = (entries: ImageEntry[], others?: number) =>
      imageDataset({ name: "here", entries, others }, { size: 4, ...quiet });
    const start = "here: there is no picture that can be read, but";
    await assertRejects(() => none([]), Error, `${start} nothing at all`);
    await assertRejects(() => none([], 3), Error, `${start} 3 other files`);
    await assertRejects(
      () => none([broken("a"), broken("b")], 1),
      Error,
      `${start} 1 other file and 2 pictures that cannot be: a (it is no picture`,
    );
  },
});

Deno.test({
  name: "classes are given where every picture has one, or where they are asked for; a source may fix them",
  ...wasmOnly,
  async fn() {
    const of = (name: string, own?: string) => entry(name, ramp(4), { class: own });
    const labels = async (set: ImageDataset) => [...(await set.items(all(set)))[1].data];
    const both = [of("1", "dog"), of("2", "cat"), of("3", "dog")];
    using set = await made(both);
    assertEquals([set.classes, [...set.labels!], await labels(set)], [["cat", "dog"], [1, 0, 1], [1, 0, 1]]);
    using without = await made(both, { classes: false });
    assertEquals([without.classes, without.labels, (await without.items(all(set))).length], [
      [],
      undefined,
      1,
    ]);
    const mixed = [...both, of("4")];
    const lines: string[] = [];
    using plain = await made(mixed, { log: (line) => lines.push(line) });
    assertEquals([plain.length, plain.classes], [4, []]);
    assertEquals(lines.slice(1), ["No labels: 1 picture is in no class; classes: true leaves them out"]);
    using asked = await made(mixed, { classes: true });
    assertEquals([await labels(asked), asked.skipped], [[1, 0, 1], [{
      name: "4",
      reason: "it is in no class",
    }]]);
    const source = { name: "here", entries: both, classes: ["dog", "bird", "cat"] };
    using fixed = await imageDataset(source, { size: 4, ...quiet });
    assertEquals([fixed.classes, await labels(fixed)], [["dog", "bird", "cat"], [0, 2, 0]]);
    using strange = await imageDataset({ ...source, classes: ["dog"] }, { size: 4, ...quiet });
    assertEquals(strange.skipped, [{ name: "2", reason: "its class cat is none of the source's" }]);
    await assertRejects(
      () => made([of("1")], { classes: true }),
      Error,
      "none of its 1 pictures has a class",
    );
  },
});

Deno.test({
  name: "a random crop is drawn anew in each pass of a loader that trains, the centre where one evaluates",
  ...wasmOnly,
  async fn() {
    // One picture twice as wide as it is high, and its columns tell where it was cropped.
    using set = await made([entry("a", ramp(100, 50))], { size: 40, crop: "random" });
    const middle = (await set.items(Int32Array.of(0)))[0];
    assertEquals(middle.shape, [1, 40, 40, 1]);
    const left = ([x]: { data: ArrayLike<number> }[]) => x.data[0];
    const { train, valid } = DataLoaders.from(set, subset(set, Int32Array.of(0)), { batchSize: 1, seed: 5 });
    const places: number[] = [];
    for (let pass = 0; pass < 40; pass++) places.push(left((await Array.fromAsync(train))[0]));
    assert(new Set(places).size > 10, places.join());
    assert(Math.min(...places) < 8 && Math.max(...places) > 48, places.join());
    assertEquals((await Array.fromAsync(valid))[0][0], middle);
    assert(Math.abs(left([middle]) - 28) < 3, `${left([middle])}`); // (100 − 40·10/9) / 2
    const again = DataLoaders.from(set, set, { batchSize: 1, seed: 5 }).train;
    assertEquals(left((await Array.fromAsync(again))[0]), places[0]);
    using centred = await made([entry("a", ramp(100, 50))], { size: 40 });
    assertEquals([centred.random, set.random], [false, true]);
  },
});

Deno.test({
  name: "a picture that is gone since it was first decoded is named; a closed dataset gives nothing",
  ...wasmOnly,
  async fn() {
    let reads = 0, closes = 0;
    const read = () => reads++ ? Promise.reject(new Error("it is gone")) : Promise.resolve(ramp(4));
    const source = { name: "here", entries: [{ name: "a", read }], close: () => void closes++ };
    const set = await imageDataset(source, { size: 4, cache: "none", ...quiet });
    await assertRejects(
      () => Promise.resolve(set.items(Int32Array.of(0))),
      Error,
      "here: a could be read before",
    );
    await assertRejects(
      () => Promise.resolve(set.items(Int32Array.of(1))),
      RangeError,
      "1 items has none at 1",
    );
    set.close();
    set.close();
    assertEquals(closes, 1);
    await assertRejects(
      () => Promise.resolve(set.items(Int32Array.of(0))),
      Error,
      "here: the dataset is closed",
    );
    reads = 0;
    using kept = await imageDataset(source, { size: 4, ...quiet });
    assertEquals([closes, kept.length], [2, 1]); // nothing more will be read
  },
});

Deno.test({
  name: "options out of range are refused by name",
  ...wasmOnly,
  async fn() {
    const wrong: [Partial<ImageOptions>, string][] = [
      [{ size: 0 }, "size is a whole number from 1 to 32768, not 0"],
      [{ size: [4, 1.5] }, "size is a whole number from 1 to 32768, not 1.5"],
      [{ size: "64" as never }, "size is a number of pixels, or [height, width], not 64"],
      [{ channels: 2 as never }, "channels is 1 or 3, not 2"],
      [{ crop: "left" as never }, "crop is centre or random, not left"],
      [{ cache: "tape" as never }, "cache is memory or disk or none"],
      [{ background: [0, 0] as never }, "background is [red, green, blue], not [0,0]"],
      [{ background: [0, 0, 256] }, "A colour of background is a whole number from 0 to 255, not 256"],
      [{ maxPixels: 0 }, "maxPixels is a whole number from 1 on, not 0"],
      [{ memoryBytes: -1 }, "memoryBytes is a whole number from 0 on, not -1"],
      [{ workers: -1 }, "workers is a whole number from 0 on, not -1"],
    ];
    for (const [options, message] of wrong) {
      await assertRejects(() => made([entry("a", ramp(4))], options), RangeError, message);
    }
  },
});
