/** Folders of pictures. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DataLoader, encodePng, imageFolder, transforms } from "../../mod.ts";
import { wasmOnly } from "../support.ts";
import { mixedFolder, PICTURES, SCENE } from "./mixed_folder.ts";
import { inFiles } from "./sources.ts";

const quiet = { log: () => {} };
const all = ({ length }: { length: number }) => Int32Array.from({ length }, (_, i) => i);
const png = encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(9) });

/** Mean colours of the quarters of an image, without their edges. */
function quarters(data: ArrayLike<number>, height: number, width: number): number[][] {
  const [h, w] = [height / 2, width / 2], EDGE = 2;
  return [[0, 0], [0, 1], [1, 0], [1, 1]].map(([down, across]) => {
    const sums = [0, 0, 0], n = (h - 2 * EDGE) * (w - 2 * EDGE);
    for (let y = down * h + EDGE; y < (down + 1) * h - EDGE; y++) {
      for (let x = across * w + EDGE; x < (across + 1) * w - EDGE; x++) {
        sums.forEach((_, c) => sums[c] += data[(y * width + x) * 3 + c] / 255 / n);
      }
    }
    return sums;
  });
}

Deno.test({
  name: "one scene in 26 forms is what it should be, or skipped for the right reason",
  ...wasmOnly,
  async fn() {
    type Expected = Record<string, number[][] | { skip: string }>;
    const expected: Expected = JSON.parse(await Deno.readTextFile(new URL("expected.json", PICTURES)));
    const colours = new Map(
      Object.entries(expected).flatMap(([name, of]) => Array.isArray(of) ? [[name, of.flat()]] : []),
    );
    for (const size of [[40, 48], [20, 24]] as [number, number][]) {
      using set = await imageFolder(PICTURES, { size, ...quiet });
      const [images, ...labels] = await set.items(all(set)), [, h, w, c] = images.shape, step = h * w * c;
      assertEquals(labels, []); // most are in no class's folder
      set.names.forEach((name, i) => {
        const wanted = colours.get(name)!;
        quarters(images.data.subarray(i * step, (i + 1) * step), h, w).flat().forEach((value, k) => {
          assert(Math.abs(value - wanted[k]) < 0.06, `${name}: ${value} is not ${wanted[k]}`);
        });
      });
      assertEquals(set.length, colours.size);
      assertEquals(set.skipped.map(({ name }) => name), ["empty.png", "text.jpg", "truncated.png"]);
      assertEquals(set.skipped[0].reason, "the file is empty");
      assert(set.skipped[1].reason.startsWith("it is no picture"));
      assert(set.skipped[2].reason.startsWith("the PNG is damaged or cut off"));
      assert(set.source.endsWith("pictures"), set.source);
      assertEquals(set.others, 3); // notes, the folder's own README and expected.json
    }
    using classes = await imageFolder(PICTURES, { size: 8, classes: true, ...quiet });
    assertEquals(classes.classes, ["cats", "dogs", "turned"]);
    assertEquals([...classes.labels!], [0, 0, 1, 2, 2, 2]);
  },
});

Deno.test({
  name:
    "any names; the first folder is the class; hidden files are passed over, others counted; content decides",
  ...wasmOnly,
  fn: () =>
    inFiles({
      "b c/deep/er/#1?.png": png,
      "b c/-x.PNG": png,
      "ä/50% ü.txt": png,
      "ä/notes.txt": new Uint8Array(9),
      "ä/.hidden/x.png": png,
      ".git/y.png": png,
      "ä/no suffix": png,
      "ä/scan.tiff": new TextEncoder().encode("II*\0and more"),
      "data.csv": new Uint8Array(),
    }, async (dir) => {
      using set = await imageFolder(`${dir}/`, { size: 2, ...quiet });
      assertEquals(set.source, dir);
      assertEquals(set.names, ["b c/-x.PNG", "b c/deep/er/#1?.png", "ä/50% ü.txt", "ä/no suffix"]);
      assertEquals([set.classes, [...set.labels!], set.others], [["b c", "ä"], [0, 0, 1, 1], 2]);
      assertEquals(set.skipped.map(({ name }) => name), ["ä/scan.tiff"]);
      assert(
        set.skipped[0].reason.startsWith("TIFF is not read. PNG, JPEG, WebP, GIF and BMP are read: convert"),
      );
    }),
});

Deno.test({
  name: "symbolic links are followed, a folder once; a broken one is skipped by name",
  ignore: wasmOnly.ignore || Deno.build.os === "windows",
  fn: () =>
    inFiles({ "a/1.png": png, "b/2.png": png }, async (dir) => {
      await Deno.symlink("..", `${dir}/a/loop`);
      await Deno.symlink(`${dir}/a`, `${dir}/c`);
      await Deno.symlink(`${dir}/a/1.png`, `${dir}/b/link.png`);
      await Deno.symlink("nowhere.png", `${dir}/b/broken.png`);
      using set = await imageFolder(dir, { size: 2, ...quiet });
      assertEquals(set.names, ["a/1.png", "b/2.png", "b/link.png"]);
      assertEquals(set.skipped.map(({ name }) => name), ["b/broken.png"]);
      assert(set.skipped[0].reason.startsWith("it cannot be read: No such file"), set.skipped[0].reason);
    }),
});

Deno.test({
  name: "what is no folder, and a folder without pictures, is named",
  ...wasmOnly,
  fn: () =>
    inFiles({ "notes.txt": new Uint8Array(3) }, async (dir) => {
      const of = (path: string) => imageFolder(path, { size: 2, ...quiet });
      await assertRejects(
        () => of(`${dir}/no`),
        Error,
        `${dir}/no is no folder of pictures that can be read: No such`,
      );
      await assertRejects(() => of(`${dir}/notes.txt`), Error, `${dir}/notes.txt is no folder`);
      await assertRejects(
        () => of(dir),
        Error,
        `${dir}: there is no picture that can be read, but 1 other file`,
      );
    }),
});

Deno.test({
  name: "400 PNG and 50 JPEG of mixed sizes, some odd and one broken: all are seen right in their batches",
  ...wasmOnly,
  async fn() {
    const files = await mixedFolder();
    const greys = SCENE.map(([r, g, b]) => (r * 0.299 + g * 0.587 + b * 0.114) / 255);
    await inFiles(files, async (dir) => {
      const lines: string[] = [];
      using set = await imageFolder(dir, { size: 16, log: (line) => lines.push(line) });
      assertEquals([set.length, set.classes], [454, ["Bücher & Bäume", "my photos"]]);
      assertEquals(lines, [
        `Data: 454 pictures in 2 classes from ${dir}, as 16×16 RGB, kept in memory (341 KiB)`,
        "Skipped 1 picture: my photos/broken.jpg (the JPEG is cut off: its " +
        `${files["my photos/broken.jpg"].length} bytes have no end marker)`,
      ]);
      assertEquals(set.sizes.reduce((sum, { count }) => sum + count, 0), 454);
      const loader = new DataLoader(set, { batchSize: 50, transform: transforms.toFloat(0, 255) });
      let item = 0;
      for await (const [{ data }, { data: labels }] of loader) {
        for (const [k, label] of labels.entries()) {
          const name = set.names[item++], isGrey = name.includes("grey16");
          assertEquals(set.classes[label], name.split("/")[0]);
          quarters(data.subarray(k * 768, (k + 1) * 768), 16, 16).flat().forEach((value, part) => {
            const q = Math.floor(part / 3), wanted = isGrey ? greys[q] : SCENE[q][part % 3] / 255;
            assert(Math.abs(value - wanted) < 0.06, `${name}: ${value} is not ${wanted}`);
          });
        }
      }
      assertEquals(item, 454);
      await assertRejects(
        () => imageFolder(dir, { size: 16, strict: true, ...quiet }),
        Error,
        "broken.jpg: the JPEG",
      );
    });
  },
});
