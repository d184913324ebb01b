/** Pictures in NumPy's files, and what arrays of pictures share. */
import { assertEquals, assertRejects } from "@std/assert";
import { idxSource, type ImageSource, numpySource, openImageSource, type Pixels } from "../../mod.ts";
import { pictureSizes, rowsSource } from "../../datasets/images/rows.ts";
import { wasmOnly } from "../support.ts";
import { range } from "./files.ts";
import { assertRefused, golden, inFiles } from "./sources.ts";

/** The pixels of every picture. */
async function pixelsOf({ entries }: ImageSource): Promise<Pixels[]> {
  return await Promise.all(entries.map((entry) => entry.read())) as Pixels[];
}

/** Those that `make_sources.py` has put in all of its arrays. */
const EXPECTED: Pixels[] = range(3).map((i) => ({
  width: 4,
  height: 2,
  channels: 3,
  data: Uint8Array.from(range(24), (k) => 40 * i + k),
}));

/** A `.npy` file of a header and bytes. */
function npy(header: string, bytes: number[] | number = [], [major, minor] = [1, 0]): Uint8Array {
  const text = new TextEncoder().encode(`${header}\n`), wide = major > 1;
  const head = [
    0x93,
    ...new TextEncoder().encode("NUMPY"),
    major,
    minor,
    text.length & 255,
    text.length >> 8,
    ...wide ? [0, 0] : [],
  ];
  return new Uint8Array([...head, ...text, ...typeof bytes === "number" ? new Uint8Array(bytes) : bytes]);
}
const head = (descr: string, shape: string, fortran = "False") =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': (${shape}), }`;

Deno.test({
  name: "NumPy: NHWC and NCHW, big endian, Fortran's order, whole numbers and floats are the same pictures",
  ...wasmOnly,
  async fn() {
    for (
      const [file, options] of [
        ["arrays.npz", {}],
        ["nchw_big_endian.npy", { layout: "NCHW" }],
        ["fortran.npy", {}],
        ["several.npz", { images: "train_images", labels: "other" }],
      ] as const
    ) {
      const source = await openImageSource(golden(file), options);
      assertEquals(await pixelsOf(source), EXPECTED, file);
      await source.close!();
    }
    const grey = await numpySource(golden("grey_half.npy"), { range: [-1, 1] });
    const first = (pixels: Pixels) => ({
      ...pixels,
      channels: 1,
      data: pixels.data.filter((_, i) => i % 3 === 0),
    });
    assertEquals(await pixelsOf(grey), EXPECTED.map(first) as Pixels[]);
    await grey.close!();
  },
});

Deno.test({
  name: "NumPy: labels are an array of their own, in the archive or beside; their classes may have names",
  ...wasmOnly,
  async fn() {
    const classes = ({ entries }: ImageSource) => entries.map((entry) => entry.class);
    const [npz, named, beside, none] = await Promise.all([
      numpySource(golden("arrays.npz")),
      numpySource(golden("arrays.npz"), { classNames: ["a", "b", "c", "d"] }),
      numpySource(golden("fortran.npy"), { labels: golden("labels.npy") }),
      numpySource(golden("arrays.npz"), { labels: null }),
    ]);
    assertEquals([classes(npz), npz.classes], [["1", "0", "2"], ["0", "1", "2"]]);
    assertEquals([classes(named), named.classes], [["b", "a", "c"], ["a", "b", "c", "d"]]);
    assertEquals([classes(beside), beside.classes], [["1", "0", "2"], ["0", "1", "2"]]);
    assertEquals([classes(none), none.classes], [[undefined, undefined, undefined], undefined]);
    assertEquals(npz.entries[1].name, `${golden("arrays.npz")}: images.npy[1]`);
    for (const source of [npz, named, beside, none]) await source.close!();
  },
});

Deno.test({
  name: "NumPy: what is no array of pictures, or could run something, is named",
  ...wasmOnly,
  async fn() {
    const file = golden("several.npz"),
      list = "train_images [3,2,4,3], test_images [2,2,4,3], train_labels [3], other [3]";
    for (
      const [path, options, says] of [
        [file, {}, `${file}: several arrays may be the pictures: the option images names one of ${list}`],
        [
          file,
          { images: "train_images" },
          `several arrays may be the labels: the option labels names one of ${list}`,
        ],
        [file, { images: "pictures" }, `${file}: there is no array pictures; there are ${list}`],
        [
          file,
          { images: "other", labels: null },
          `${file}: other.npy: pictures are [N,H,W] or NHWC with 1 to 4 channels, not [3]`,
        ],
        [
          file,
          { images: "test_images", labels: "other" },
          "test_images.npy: there are 3 labels of 2 pictures",
        ],
        [
          file,
          { images: "train_images", labels: "test_images" },
          "labels are whole numbers of shape [N] or [N,1], not u1 of [2,2,4,3]",
        ],
        [golden("objects.npy"), {}, "objects.npy: it holds Python objects (pickle), which are not read"],
        [
          golden("fields.npy"),
          {},
          "fields.npy: its numbers are of type [('a', '|u1'), ('b', '<f4')]; b1, u1, i1",
        ],
        [
          golden("fortran.npy"),
          { images: "x" },
          "a .npy has one array, of no name; images names one of a .npz",
        ],
        [
          golden("arrays.npz"),
          { range: [1, 1] },
          "range is two numbers, the first below the second, not 1 and 1",
        ],
        [golden("arrays.npz"), { classNames: ["a", "b"] }, "label 2 is 2, not a whole number from 0 to 1"],
      ] as [string, object, string][]
    ) {
      await assertRejects(() => numpySource(path, options), Error, says);
    }
    for (
      const [shape, layout, other] of [["1, 8, 8, 3", "NCHW", "NHWC"], [
        "1, 3, 8, 8",
        "NHWC",
        "NCHW",
      ]] as const
    ) {
      await assertRefused(
        "a.npy",
        npy(head("'|u1'", shape), 192),
        (path) => numpySource(path, { layout }),
        `FILE: pictures are [N,H,W] or ${layout} with 1 to 4 channels, not [${
          shape.replaceAll(" ", "")
        }]; it looks like ${other}`,
      );
    }
    const values = await numpySource(golden("grey_half.npy"));
    await assertRejects(
      () => values.entries[0].read(),
      Error,
      "the value -1 is not from 0 to 1: the option range says",
    );
    await values.close!();
  },
});

Deno.test({
  name: "NumPy: a header that is damaged, cut off or claims too much is named, before memory is taken",
  ...wasmOnly,
  async fn() {
    for (
      const [bytes, says] of [
        [npy(head("'|u1'", "2, 2, 2"), 7), "it is cut off: the shape [2,2,2] needs 81 bytes, there are 80"],
        [
          npy(head("'|u1'", "99999999, 99999, 9999"), 8),
          "the shape [99999999,99999,9999] is of more than 2^53 bytes",
        ],
        [
          npy(head("'|u1'", "9999999, 99999, 9"), 8),
          "it is cut off: the shape [9999999,99999,9] needs 8999909",
        ],
        [npy(head("'|u1'", "2, 2, 2"), 8, [4, 1]), "version 4.1 of .npy is not one of 1, 2 and 3"],
        [npy("{'descr': __import__('os')}", 8), "its header cannot be read: {'descr': __import__('os')}"],
        [npy(head("'|O'", "1"), 8), "it holds Python objects (pickle)"],
        [npy(head("'<c8'", "2, 2, 2"), 64), "its numbers are of type '<c8'; b1, u1"],
        [npy(head("'|u1'", "2, 2, 2"), 8).slice(0, 30), "it is cut off: it has 30 bytes"],
        [npy(head("'|u1'", "2, 0, 2")), "pictures of [2,0,2] have no pixels"],
        [npy(head("'|u1'", "2, 2"), 4), "pictures are [N,H,W] or NHWC with 1 to 4 channels, not [2,2]"],
        [npy(head("'|u1'", "1, 2, 2, 5"), 20), "not [1,2,2,5]"],
      ] as const
    ) {
      await assertRefused(
        "a.npy",
        bytes,
        (path) => openImageSource(path),
        says,
      );
    }
    for (const version of [[2, 0], [3, 0]] as [number, number][]) {
      const bytes = npy(head("'|b1'", "1, 2, 2"), [0, 1, 1, 0], version);
      await inFiles({ "a.npy": bytes }, async (dir) => {
        const source = await numpySource(`${dir}/a.npy`), [pixels] = await pixelsOf(source);
        assertEquals([...pixels.data], [0, 255, 255, 0]);
        await source.close!();
      });
    }
  },
});

Deno.test({
  name: "rows of an array: sizes by layout, labels that are none",
  ...wasmOnly,
  async fn() {
    assertEquals(pictureSizes("x", [5, 8, 9], "NCHW"), { count: 5, width: 9, height: 8, channels: 1 });
    assertEquals(pictureSizes("x", [5, 2, 8, 9], "NCHW"), { count: 5, width: 9, height: 8, channels: 2 });
    const rows = {
      name: "x",
      count: 2,
      width: 1,
      height: 1,
      channels: 1 as const,
      layout: "NHWC" as const,
      bytes: () => Promise.resolve(new Uint8Array(1)),
      close() {},
    };
    for (
      const [labels, says] of [
        [[0], "x: there are 1 labels of 2 pictures"],
        [[0, -1], "x: label 1 is -1, not a whole number from 0 to 99999"],
        [[0.5, 1], "x: label 0 is 0.5, not a whole number"],
        [[0, 1e9], "x: label 1 is 1000000000, not a whole number from 0 to 99999"],
      ] as const
    ) {
      await assertRejects(() => Promise.resolve().then(() => rowsSource({ ...rows, labels })), Error, says);
    }
    await assertRejects(() => idxSource("/nowhere/images-idx3-ubyte"), Error, "nowhere");
  },
});
