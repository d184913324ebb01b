/** Pictures. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeGif, encodePng, HostArray, imageGrid } from "../../../mod.ts";

Deno.test("a grid places, scales, clips and inverts images", () => {
  const images = new HostArray(Float32Array.of(0, 1, 2, -1), [2, 1, 2, 1]);
  const { width, height, data } = imageGrid(images, { columns: 2, scale: 1, gap: 1, range: [0, 2] });
  assertEquals([width, height, [...data.slice(7, 14)]], [7, 3, [255, 0, 128, 255, 255, 0, 255]]);
  assertEquals([
    ...imageGrid(images, { columns: 2, scale: 1, gap: 1, range: [0, 2], invert: true }).data.slice(8, 10),
  ], [255, 128]);
  assertThrows(() => imageGrid(new HostArray(new Float32Array(4), [1, 1, 2, 2])), Error, "not [1,1,2,2]");
  for (
    const [options, message] of [
      [{ columns: 0 }, "columns is a whole number from 1 on, not 0"],
      [{ scale: 1.5 }, "scale is a whole number from 1 on, not 1.5"],
      [{ gap: -1 }, "gap is a whole number from 0 on, not -1"],
      [{ range: [1, 1] as [number, number] }, "range is from low to high, not [1,1]"],
    ] as const
  ) {
    assertThrows(() => imageGrid(images, options), RangeError, message);
  }
  const defaults = {
    columns: undefined,
    scale: undefined,
    gap: undefined,
    range: undefined,
    invert: undefined,
  };
  assertEquals(imageGrid(images, defaults), imageGrid(images));
});

Deno.test("PNG and GIF are what they say", async () => {
  const picture = imageGrid(new HostArray(new Float32Array(16), [1, 4, 4, 1]));
  assertEquals([...encodePng(picture).slice(0, 8)], [137, 80, 78, 71, 13, 10, 26, 10]);
  const gif = await encodeGif([picture, picture], [50, 50]);
  assertEquals(new TextDecoder().decode(gif.slice(0, 6)), "GIF89a");
});

Deno.test("a GIF keeps all greys of a frame; delays, sizes and frames that cannot be are errors", async () => {
  const ramp = new HostArray(Float32Array.from({ length: 256 }, (_, i) => i / 255), [1, 16, 16, 1]);
  const picture = imageGrid(ramp, { scale: 1, gap: 0 });
  const gif = await encodeGif([picture, picture], [60, 655_350]);
  assertEquals(gif[10] & 7, 7); // a table of 256 colours
  const colours = Array.from({ length: 256 }, (_, i) => gif.slice(13 + 3 * i, 16 + 3 * i).join());
  assertEquals(colours, Array.from({ length: 256 }, (_, i) => `${i},${i},${i}`));
  const red = {
    width: 16,
    height: 16,
    channels: 3 as const,
    data: new Uint8Array(768).map((_, i) => i % 3 ? 0 : 255),
  };
  assertEquals([...(await encodeGif([red], [0])).slice(13, 16)].map((v) => v > 200), [true, false, false]);
  for (
    const [frames, delays, message] of [
      [[], [], "not 0 and 0"],
      [[picture, picture], [60], "not 2 and 1"],
      [[picture], [655_351], "from 0 to 655350 ms, not 655351"],
      [[picture], [-1], "not -1"],
      [[picture], [NaN], "not NaN"],
      [[picture, { ...picture, width: 8, height: 32 }], [1, 1], "frame 1 is 8×32, the first 16×16"],
    ] as const
  ) {
    await assertRejects(() => encodeGif([...frames], [...delays]), Error, message);
  }
});
