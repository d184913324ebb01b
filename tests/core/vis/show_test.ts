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

Deno.test("images that are none, NaN, and titles that are not one for each are refused; no images make no picture", () => {
  const shaped = (shape: number[], value = 0) =>
    new HostArray(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), shape);
  assertThrows(
    () => showImages(shaped([2, 2])),
    Error,
    "showImages takes images [N,H,W,C] of 1 or 3 channels",
  );
  assertThrows(() => showImages(shaped([2, 2, 2, 4])), Error, "not [2,2,2,4]");
  assertThrows(() => showImages(shaped([1, 2, 2, 1], NaN)), Error, "has NaN in it");
  assertThrows(() => showImages(shaped([2, 2, 2, 1]), { titles: ["a"] }), Error, "1 titles for 2 images");
  assertThrows(() => showImages(shaped([2, 2, 2, 1]), { range: [1, 0] }), RangeError, "not [1,0]");
  assertEquals(showImages(shaped([0, 2, 2, 1]), { titles: [] }).includes("<image"), false);
});
