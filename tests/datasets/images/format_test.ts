/** What a picture's first bytes tell. */
import { assertEquals, assertThrows } from "@std/assert";
import { readHeader, sniff } from "../../../datasets/images/format.ts";
import { wasmOnly } from "../../support.ts";
import { fileOf, FILES } from "./golden.ts";

const bytesOf = (text: string) => Uint8Array.from(text.padEnd(40, "\0"), (c) => c.charCodeAt(0));

Deno.test({
  name: "the format and the size of every kind of file; those of a turned JPEG as it is stored",
  ...wasmOnly,
  fn() {
    for (const { name, bytes, width, height } of FILES) {
      const header = readHeader(bytes), isTurned = /orientation [5-8]/.test(name);
      assertEquals(header.format.toLowerCase(), name.match(/\w+/)![0], name);
      assertEquals([header.width, header.height], isTurned ? [height, width] : [width, height], name);
    }
  },
});

Deno.test({
  name: "formats that are not read are named with the way to convert them, other files are no pictures",
  ...wasmOnly,
  fn() {
    const kinds: [string, string][] = [
      ["II*\0", "TIFF"],
      ["MM\0*", "TIFF"],
      ["\0\0\0\x20ftypavif", "AVIF"],
      ["\0\0\0\x20ftypheic", "HEIC"],
      ["\xff\x0a", "JPEG XL"],
      ["8BPS", "Photoshop"],
    ];
    for (const [start, format] of kinds) {
      const message = `${format} is not read. PNG, JPEG, WebP, GIF and BMP are read: convert it, for example`;
      assertThrows(() => readHeader(bytesOf(start)), Error, message);
    }
    for (const text of ["Dear diary", "BM, a firm", "\0\0\0\x20ftypisom", "RIFF1234WAVE", "<svg>"]) {
      assertEquals(sniff(bytesOf(text)), undefined, text);
      assertThrows(() => readHeader(bytesOf(text)), Error, "it is no picture: PNG, JPEG");
    }
    assertThrows(() => readHeader(new Uint8Array()), Error, "the file is empty");
  },
});

Deno.test({
  name: "a JPEG that lacks any of its last bytes is cut off; what follows its end does not matter",
  ...wasmOnly,
  fn() {
    for (const name of ["jpeg", "jpeg progressive", "jpeg with restarts", "jpeg of orientation 6"]) {
      const { bytes } = fileOf(name);
      for (let length = 3; length < bytes.length; length++) {
        assertThrows(
          () => readHeader(bytes.subarray(0, length)),
          Error,
          "the JPEG is cut off",
          `${name} ${length}`,
        );
      }
      assertEquals(readHeader(new Uint8Array([...bytes, 1, 2, 3, 0xff])), readHeader(bytes));
    }
  },
});

Deno.test({
  name: "a header that is cut off, or claims no pixels, is an error",
  ...wasmOnly,
  fn() {
    const png = fileOf("png rgb").bytes.slice();
    assertThrows(() => readHeader(png.subarray(0, 20)), Error, "the PNG is cut off: 20 bytes are too few");
    png.fill(0, 16, 20);
    assertThrows(() => readHeader(png), Error, "the header claims a size of 0×17");
  },
});
