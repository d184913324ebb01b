/** Images with titles. */
import { assertEquals, assertThrows } from "@std/assert";
import { HostArray, showImages } from "../../../mod.ts";

Deno.test("images with titles: options that make no picture are refused, one left undefined has its default", () => {
  const images = new HostArray(new Float32Array(8), [2, 2, 2, 1]);
  for (const wrong of [0, -1, NaN]) {
    assertThrows(() => showImages(images, { columns: wrong }), RangeError, `not ${wrong}`);
    assertThrows(() => showImages(images, { scale: wrong }), RangeError, `not ${wrong}`);
  }
  const left = {
    titles: undefined,
    columns: undefined,
    scale: undefined,
    range: undefined,
    invert: undefined,
  };
  assertEquals(showImages(images, left), showImages(images));
});
