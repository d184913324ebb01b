/** Resizing, against Pillow. */
import { assert, assertEquals } from "@std/assert";
import { coveringBox, resizeBox } from "../../../datasets/images/resize.ts";
import { wasmOnly } from "../../support.ts";
import { distance, RESIZED } from "./golden.ts";

Deno.test({
  name:
    "larger, smaller, cropped: byte for byte Pillow's ImageOps.fit with BICUBIC, one off where it does columns first",
  ...wasmOnly,
  fn() {
    for (const { from, to } of RESIZED) {
      const { width, height } = to, columnsFirst = width > from.width && height < from.height;
      const made = resizeBox(from, coveringBox(from, height, width), height, width);
      const off = distance(made.data, to.data);
      assert(off <= (columnsFirst ? 1 : 0), `${width}×${height}×${to.channels}: ${off} off`);
      assertEquals([made.width, made.height, made.channels], [width, height, to.channels]);
    }
  },
});

Deno.test({
  name: "a picture that has the size is copied, and one colour stays the colour",
  ...wasmOnly,
  fn() {
    const [{ from }] = RESIZED, { width, height } = from;
    const same = resizeBox(from, coveringBox(from, height, width), height, width);
    assertEquals(same, from);
    assert(same.data.buffer !== from.data.buffer);
    const red = { width: 301, height: 7, channels: 3 as const, data: new Uint8Array(301 * 7 * 3) };
    for (let p = 0; p < 301 * 7; p++) red.data.set([255, 1, 128], 3 * p);
    const small = resizeBox(red, coveringBox(red, 5, 9), 5, 9).data;
    assertEquals(small, Uint8Array.from({ length: 135 }, (_, i) => [255, 1, 128][i % 3]));
  },
});
