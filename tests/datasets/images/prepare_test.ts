/** Images from files: background, grey, the size. */
import { assertEquals, assertRejects } from "@std/assert";
import { prepare, type Recipe } from "../../../datasets/images/prepare.ts";
import type { Pixels } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";

const RECIPE: Recipe = {
  height: 1,
  width: 1,
  channels: 3,
  background: [255, 255, 255],
  maxPixels: 100,
  longest: 1,
};
const pixel = (...data: number[]): Pixels => ({
  width: 1,
  height: 1,
  channels: data.length as Pixels["channels"],
  data: Uint8Array.from(data),
});
const made = async (
  of: Pixels,
  recipe: Partial<Recipe> = {},
) => [...(await prepare(of, { ...RECIPE, ...recipe })).image.data];

Deno.test({
  name: "transparent pixels lie on the background, grey becomes RGB and RGB luma",
  ...wasmOnly,
  async fn() {
    assertEquals(await made(pixel(10, 20, 30)), [10, 20, 30]);
    assertEquals(await made(pixel(10, 20, 30, 0)), [255, 255, 255]);
    assertEquals(await made(pixel(10, 20, 30, 255)), [10, 20, 30]);
    assertEquals(await made(pixel(0, 100, 200, 51), { background: [250, 0, 0] }), [200, 20, 40]);
    assertEquals(await made(pixel(7)), [7, 7, 7]);
    assertEquals(await made(pixel(0, 51), { background: [250, 0, 0] }), [200, 0, 0]);
    assertEquals(await made(pixel(7), { channels: 1 }), [7]);
    assertEquals(await made(pixel(255, 0, 0), { channels: 1 }), [76]); // 0.299
    assertEquals(await made(pixel(0, 255, 0), { channels: 1 }), [150]);
    assertEquals(await made(pixel(0, 0, 255), { channels: 1 }), [29]);
    assertEquals(await made(pixel(0, 0), { channels: 1, background: [0, 0, 255] }), [29]);
  },
});

Deno.test({
  name: "the longer side is cropped, or kept up to so many times its length",
  ...wasmOnly,
  async fn() {
    const wide: Pixels = { width: 40, height: 10, channels: 1, data: new Uint8Array(400) };
    const size = async (longest: number, height: number, width: number) => {
      const { image, original } = await prepare(wide, { ...RECIPE, height, width, longest });
      assertEquals([original, image.data.length], [[40, 10], 3 * image.height * image.width]);
      return [image.height, image.width];
    };
    assertEquals(await size(1, 5, 5), [5, 5]);
    assertEquals(await size(2, 5, 5), [5, 10]);
    assertEquals(await size(9, 5, 5), [5, 20]);
    assertEquals(await size(2, 5, 40), [10, 40]);
    assertEquals(await size(1, 20, 10), [20, 10]);
  },
});

Deno.test({
  name: "pixels that do not fill their shape are refused",
  ...wasmOnly,
  async fn() {
    const wrong = { ...pixel(1, 2, 3), width: 2 };
    await assertRejects(
      () => prepare(wrong, RECIPE),
      Error,
      "the 3 bytes of its pixels are no picture of [1,2,3]",
    );
  },
});
