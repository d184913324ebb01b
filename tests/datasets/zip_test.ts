/** ZIP archives of pictures. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { openImageSource } from "../../mod.ts";
import { openZip } from "../../datasets/zip.ts";
import { bytesOf } from "../../datasets/images/bytes.ts";
import { wasmOnly } from "../support.ts";
import { assertRefused, contentsOf, golden, inFiles } from "./sources.ts";

const PICTURES = await Deno.readFile(golden("pictures.zip"));

/** Where a text is in some bytes. */
function find(bytes: Uint8Array, text: string, from = 0): number {
  const wanted = new TextEncoder().encode(text);
  for (let at = from; at + wanted.length <= bytes.length; at++) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  throw new Error(`there is no ${text}`);
}

/** The archive with other bytes in the header of a file, both where it lies and in the directory. */
function change(name: string, edit: (view: DataView) => void): Uint8Array {
  const bytes = PICTURES.slice(),
    local = find(bytes, name) - 30,
    central = find(bytes, name, local + 31) - 46;
  edit(new DataView(bytes.buffer, local + 6));
  edit(new DataView(bytes.buffer, central + 8));
  return bytes;
}
const FLAGS = 0, METHOD = 2;
/** Behind the flags, as in both headers. */
const CRC = 8, PACKED = 12, SIZE = 16;

Deno.test({
  name: "ZIP: stored, deflated and ZIP64 files; folders are classes; a text file is counted",
  ...wasmOnly,
  async fn() {
    const source = await openImageSource(golden("pictures.zip"));
    assertEquals(await contentsOf(source), [
      ["set/cat/grün 1.png", "cat", [0, 255, 0]],
      ["set/cat/red.png", "cat", [255, 0, 0]],
      ["set/dog/blue.PNG", "dog", [0, 0, 255]],
    ]);
    assertEquals([source.others, source.classes], [1, undefined]);
    const again = await Promise.all(source.entries.map((entry) => entry.read()));
    assert(again.every((bytes) => bytes instanceof Uint8Array)); // a second time, and side by side
    await source.close!();
  },
});

Deno.test({
  name: "ZIP: a name with .. or of a root is only a name; hidden files are passed over",
  ...wasmOnly,
  async fn() {
    const source = await openImageSource(golden("names.zip"));
    assertEquals((await contentsOf(source)).map(([name, , colour]) => [name, colour]), [
      ["../../evil.png", [9, 9, 9]],
      ["/abs/olute.png", [8, 8, 8]],
      ["cat/grün 1.png", [0, 255, 0]],
      ["cat/red.png", [255, 0, 0]],
      ["dog/blue.PNG", [0, 0, 255]],
    ]);
    assertEquals(source.others, 1);
    await source.close!();
  },
});

Deno.test({
  name: "ZIP: what cannot be read of an archive is one file's error, and says why",
  ...wasmOnly,
  async fn() {
    const encrypted = change("set/cat/red.png", (view) => view.setUint16(FLAGS, 1, true));
    const large = change("set/cat/grün 1.png", (view) => view.setUint32(SIZE, 2 ** 31, true));
    const small = change("set/cat/grün 1.png", (view) => view.setUint32(SIZE, 20, true));
    const damaged = change("set/cat/grün 1.png", (view) => view.setUint32(CRC, 12345, true));
    const strange = change("set/cat/red.png", (view) => view.setUint16(METHOD, 93, true));
    const outside = change("set/cat/red.png", (view) => view.setUint32(PACKED, 2 ** 24, true));
    for (
      const [bytes, at, says] of [
        [encrypted, 1, "it is encrypted: make the archive without a password"],
        [strange, 1, "its compression method 93 is neither stored (0) nor deflated (8)"],
        [large, 0, "it claims to be of 2147483648 bytes; a picture is read up to 268435456"],
        [small, 0, "its data is damaged, or more than it claims ("],
        [damaged, 0, "its data is damaged: its checksum is another"],
        [outside, 1, "it is cut off: it has 791 bytes, at least "],
      ] as const
    ) {
      await inFiles({ "a.zip": bytes }, async (dir) => {
        const source = await openImageSource(`${dir}/a.zip`);
        await assertRejects(() => source.entries[at].read(), Error, says);
        const others = source.entries.filter((_, i) => i !== at);
        assertEquals((await Promise.all(others.map((entry) => entry.read()))).length, 2);
        await source.close!();
      });
    }
    const [entry] = (await openImageSource(golden("bzip2.zip"))).entries;
    await assertRejects(() => entry.read(), Error, "its compression method 12 is neither");
  },
});

Deno.test({
  name: "ZIP: a damaged archive is named",
  ...wasmOnly,
  async fn() {
    for (const end of [10, 100, PICTURES.length - 30, PICTURES.length - 1]) {
      await assertRefused(
        "cut.zip",
        PICTURES.slice(0, end),
        openImageSource,
        "FILE: the ZIP archive is damaged or cut off (",
      );
    }
    const end = PICTURES.slice();
    end[find(end, "PK\x01\x02") + 2] = 7;
    await assertRefused("a.zip", end, openImageSource, "FILE: the ZIP archive is damaged or cut off (");
  },
});

Deno.test({
  name: "ZIP: a file is inflated no further than it claims",
  ...wasmOnly,
  async fn() {
    const { BlobWriter, TextReader, ZipWriter } = await import("npm:@zip.js/zip.js@2.24.0");
    const writer = new ZipWriter(new BlobWriter(), { useWebWorkers: false });
    await writer.add("bomb.png", new TextReader("0".repeat(3e7)));
    const bytes = new Uint8Array(await (await writer.close()).arrayBuffer());
    const view = new DataView(bytes.buffer), directory = find(bytes, "PK\x01\x02");
    view.setUint32(directory + 24, 1000, true);
    const { members: [bomb] } = await openZip(bytesOf("bomb", bytes));
    assertEquals(bomb.size, 1000);
    await assertRejects(() => bomb.read(), Error, "its data is damaged, or more than it claims (");
    let most = 0;
    await assertRejects(async () => {
      for await (const piece of bomb.pieces()) most += piece.length;
    }, Error);
    assert(most <= 1000, `${most} bytes`);
  },
});
