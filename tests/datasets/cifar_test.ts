/** CIFAR's binary form. */
import { assertEquals, assertRejects } from "@std/assert";
import { cifarSource, type ImageSource, openImageSource, type Pixels } from "../../mod.ts";
import { wasmOnly } from "../support.ts";
import { gzip, range } from "./files.ts";
import { assertRefused, inFiles } from "./sources.ts";

const NAMES = ["airplane", "automobile", "bird"];
const text = (lines: string[]): Uint8Array => new TextEncoder().encode(lines.join("\n") + "\n\n");

/** Records: labels, then 1024 bytes each of red, green and blue: 100 + r, g = place, 7. */
const records = (...labels: number[][]): Uint8Array =>
  new Uint8Array(
    labels.flatMap((own, r) => [
      ...own,
      ...range(1024).fill(100 + r),
      ...range(1024).map((i) => i % 256),
      ...range(1024).fill(7),
    ]),
  );

const FILES = {
  "batches.meta.txt": text(NAMES),
  "data_batch_1.bin": records([0], [2]),
  "data_batch_2.bin": records([1]),
  "test_batch.bin": records([2]),
  "readme.html": text(["<html>"]),
};

/** What is seen of a source: classes, and pixels in places of three pictures. */
async function seen({ entries, classes }: ImageSource): Promise<unknown> {
  const pixels = await Promise.all(entries.map((entry) => entry.read())) as Pixels[];
  const colours = pixels.map(({ data }) =>
    [data.subarray(0, 3), data.subarray(3 * 200, 3 * 201)].map((rgb) => [...rgb])
  );
  return { classes, own: entries.map((entry) => entry.class), colours };
}

Deno.test({
  name: "CIFAR-10: a directory, its test file, one file and an archive of them",
  ...wasmOnly,
  async fn() {
    await inFiles(FILES, async (dir) => {
      const train = await openImageSource(dir);
      const expected = {
        classes: NAMES,
        own: ["airplane", "bird", "automobile"],
        colours: [100, 101, 100].map((red) => [[red, 0, 7], [red, 200, 7]]),
      };
      assertEquals(await seen(train), expected);
      assertEquals(train.entries.map(({ name }) => name), range(3).map((i) => `${dir}[${i}]`));
      const test = await openImageSource(dir, { split: "test" }),
        one = await openImageSource(`${dir}/test_batch.bin`);
      const own = { classes: NAMES, own: ["bird"], colours: [[[100, 0, 7], [100, 200, 7]]] };
      assertEquals([await seen(test), await seen(one)], [own, own]);
      for (const source of [train, test, one]) await source.close!();
      const command = new Deno.Command("tar", { args: ["-czf", `${dir}.tar.gz`, "-C", dir, "."] });
      assertEquals((await command.output()).code, 0);
      const archive = await openImageSource(`${dir}.tar.gz`);
      assertEquals(await seen(archive), expected);
      await archive.close!();
      await Deno.remove(`${dir}.tar.gz`);
    });
  },
});

Deno.test({
  name: "CIFAR-100: the fine label counts",
  ...wasmOnly,
  async fn() {
    const files = {
      "train.bin": records([5, 1], [6, 0]),
      "fine_label_names.txt": text(["apple", "aquarium_fish"]),
    };
    await inFiles(files, async (dir) => {
      for (const path of [dir, `${dir}/train.bin`]) {
        const source = await openImageSource(path);
        const { own, classes } = await seen(source) as { own: string[]; classes: string[] };
        assertEquals([own, classes], [["aquarium_fish", "apple"], ["apple", "aquarium_fish"]]);
        await source.close!();
      }
    });
  },
});

Deno.test({
  name: "CIFAR: what is not there, cut off or of no class is named",
  ...wasmOnly,
  async fn() {
    const cut = records([1]).slice(0, 3000);
    await assertRefused(
      "data_batch_1.bin",
      cut,
      cifarSource,
      "FILE: 3000 bytes are not some records of 3073: it is cut off",
    );
    await assertRefused(
      "data_batch_1.bin",
      new Uint8Array(),
      cifarSource,
      "FILE: 0 bytes are not some records of 3073",
    );
    await inFiles({ ...FILES, "data_batch_2.bin": records([3]) }, async (dir) => {
      await assertRejects(
        () => cifarSource(dir),
        Error,
        `${dir}: label 2 is 3, not a whole number from 0 to 2`,
      );
      await assertRejects(
        () => cifarSource(dir, { split: "validation" }),
        RangeError,
        "CIFAR has the splits train and test, not validation",
      );
    });
    await inFiles({ "test_batch.bin": records([0]) }, async (dir) => {
      await assertRejects(
        () => openImageSource(dir),
        Error,
        `${dir}: there is no data_batch_1.bin or train.bin`,
      );
    });
    const zipped = await gzip(cut);
    await assertRefused(
      "a.gz",
      zipped,
      (path) => openImageSource(path),
      "FILE: it is gzip of neither a TAR archive nor",
    );
  },
});
