/** Pictures from wherever they are. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodePng, type HostArray, openImages, openImageSource } from "../../mod.ts";
import { wasmOnly } from "../support.ts";
import { gzip, idx, range } from "./files.ts";
import { assertRefused, golden, inFiles } from "./sources.ts";

const quiet = { log: () => {} };
const png = encodePng({ width: 4, height: 4, channels: 3, data: new Uint8Array(48).fill(77) });

Deno.test({
  name: "openImages: archives, arrays and tables become images of one size, with their classes",
  ...wasmOnly,
  async fn() {
    for (
      const [file, classes, length] of [
        ["pictures.zip", ["cat", "dog"], 3],
        ["gnu.tar", [], 6], // one of them is in no folder
        ["pax.tar.gz", [], 6],
        ["arrays.npz", ["0", "1", "2"], 3],
        ["fortran.npy", [], 3],
        ["zstd.parquet", [], 4], // one has no label
        ["plain.parquet", ["cat", "dog"], 3],
      ] as const
    ) {
      using pictures = await openImages(golden(file), { size: [6, 8], ...quiet });
      const [images, labels] = await pictures.items(Int32Array.from(range(length)));
      assertEquals([images.shape, pictures.classes], [[length, 6, 8, 3], classes as readonly string[]], file);
      if (file === "pictures.zip") {
        assertEquals([[...images.data.subarray(0, 3)], [...labels.data]], [[0, 255, 0], [0, 0, 1]]);
      }
      if (file === "zstd.parquet") {
        assertEquals(pictures.skipped.map(({ reason }) => reason), [
          "it cannot be read: there is no picture in this row",
        ]);
      }
    }
  },
});

Deno.test({
  name:
    "openImages: IDX finds its labels, gzipped or not; a directory of tables or pictures; a file's content counts, not its name",
  ...wasmOnly,
  async fn() {
    const bytes = idx([2, 3, 3], range(18)), labels = idx([2], [7, 1]);
    const files = {
      "train-images-idx3-ubyte": bytes,
      "train-labels-idx1-ubyte.gz": await gzip(labels),
      "x/train-images-idx3-ubyte.gz": await gzip(bytes),
      "tables/train-1.parquet": await Deno.readFile(golden("plain.parquet")),
      "tables/train-2.parquet": await Deno.readFile(golden("plain.parquet")),
      "tables/test-1.parquet": await Deno.readFile(golden("plain.parquet")),
      "folder/a/1.png": png,
      "folder/b/2.png": png,
      "folder/note.txt": new Uint8Array(3),
      "wrong name.txt": await Deno.readFile(golden("pictures.zip")),
    };
    await inFiles(files, async (dir) => {
      using digits = await openImages(`${dir}/train-images-idx3-ubyte`, { size: 3, channels: 1, ...quiet });
      const [images, own] = await digits.items(Int32Array.of(1, 0)) as HostArray<Uint8Array>[];
      assertEquals([...images.data], [...range(9).map((i) => i + 9), ...range(9)]);
      assertEquals(own.data.length, 2);
      assertEquals(digits.classes[own.data[0]], "1");
      for (
        const [path, options, length] of [
          ["x/train-images-idx3-ubyte.gz", {}, 2],
          ["tables", {}, 6],
          ["tables", { split: "test" }, 3],
          ["folder", {}, 2],
          ["wrong name.txt", {}, 3],
        ] as const
      ) {
        const source = await openImageSource(`${dir}/${path}`, options);
        assertEquals(source.entries.length, length, path);
        await source.close?.();
      }
      await assertRejects(
        () => openImageSource(`${dir}/tables`, { split: "dev" }),
        Error,
        `${dir}/tables: no Parquet file is of dev: there are test-1.parquet, train-1.parquet`,
      );
    });
  },
});

Deno.test({
  name:
    "openImages: folders that are the parts of a data set have the classes in them, in a directory and in an archive",
  ...wasmOnly,
  async fn() {
    const files = {
      "set/train/a/1.png": png,
      "set/train/b/2.png": png,
      "set/valid/a/3.png": png,
      "set/notes.txt": new Uint8Array(3),
    };
    await inFiles(files, async (dir) => {
      const { code } = await new Deno.Command("tar", { args: ["-cf", `${dir}/set.tar`, "-C", dir, "set"] })
        .output();
      assertEquals(code, 0);
      for (const path of ["set", "set.tar"]) {
        for (const [split, classes] of [["train", ["a", "b"]], ["validation", ["a"]]] as const) {
          const source = await openImageSource(`${dir}/${path}`, { split });
          assertEquals(source.entries.map((entry) => entry.class), [...classes]);
          await source.close?.();
        }
        const says = `${dir}/${path}: none of its folders is of test: there are train, valid`;
        await assertRejects(() => openImageSource(`${dir}/${path}`, { split: "test" }), Error, says);
      }
    });
  },
});

Deno.test({
  name: "openImages: an address is downloaded and opened",
  ...wasmOnly,
  async fn() {
    const zip = await Deno.readFile(golden("pictures.zip")), downloadDir = await Deno.makeTempDir();
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      ({ url }) => {
        if (url.endsWith("/login")) return new Response("<html>who are you?</html>");
        return new Response(zip as BodyInit);
      },
    );
    try {
      const origin = `http://localhost:${server.addr.port}`, url = `${origin}/get?id=5`;
      using pictures = await openImages(url, { size: 4, downloadDir, ...quiet });
      assertEquals([pictures.length, pictures.classes, pictures.source], [3, ["cat", "dog"], url]);
      const login = openImageSource(`${origin}/login`, { downloadDir });
      await assertRejects(
        () => login,
        Error,
        `${origin}/login was downloaded, but not opened: ${downloadDir}/`,
      );
    } finally {
      await server.shutdown();
      await Deno.remove(downloadDir, { recursive: true });
    }
  },
});

Deno.test({
  name: "openImages: what is nothing that is opened is named",
  ...wasmOnly,
  async fn() {
    await assertRejects(
      () => openImageSource("/nowhere/at all"),
      Error,
      "/nowhere/at all: it cannot be opened (No such file",
    );
    const plain = "http://example.com/a.zip";
    await assertRejects(() => openImageSource(plain), Error, `${plain}: files are loaded by https:`);
    const says = "s3://bucket/a.zip: a path, an https: address or hf://datasets/OWNER/NAME is opened";
    await assertRejects(() => openImageSource("s3://bucket/a.zip"), Error, says);
    const open = (path: string) => openImageSource(path);
    await assertRefused(
      "a.png",
      png,
      open,
      "FILE: it is one picture (PNG); a folder or an archive of pictures is opened",
    );
    await assertRefused(
      "a.zip",
      new Uint8Array(),
      open,
      "FILE: it is none of what is opened: a ZIP archive (.zip, .npz), gzip",
    );
    await assertRefused("a.bin", new Uint8Array(3000), open, "FILE: it is none of what is opened");
    const empty = encodeEmptyZip();
    await assertRefused(
      "a.zip",
      empty,
      (path) => openImages(path, { size: 4, ...quiet }),
      "FILE: there is no picture that can be read",
    );
  },
});

/** An archive of no files. */
function encodeEmptyZip(): Uint8Array {
  return Uint8Array.of(0x50, 0x4b, 5, 6, ...new Uint8Array(18));
}

Deno.test({
  name: "openImages: nothing of a source's files stays open, also where it fails",
  ...wasmOnly,
  async fn() {
    const open = () => Array.from(Deno.readDirSync("/proc/self/fd")).length;
    if (Deno.build.os !== "linux") return;
    const before = open();
    for (
      const file of [
        "pictures.zip",
        "gnu.tar",
        "pax.tar.gz",
        "arrays.npz",
        "several.npz",
        "fortran.npy",
        "two.parquet",
        "zstd.parquet",
        "objects.npy",
      ]
    ) {
      const source = await openImageSource(golden(file)).catch(() => undefined);
      await source?.close?.();
    }
    await assertRejects(() => openImages(golden("zstd.parquet"), { size: 0 }), RangeError);
    assert(open() <= before, `${open() - before} files more`);
  },
});
