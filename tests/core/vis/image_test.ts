/** Pictures. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { decode } from "npm:fast-png@8.0.0";
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
      [[picture], [655_351], "a delay is 0 or from 10 to 655350 ms; that of frame 0 is 655351"],
      [[picture, picture], [10, 9.9], "that of frame 1 is 9.9"],
      [[picture], [-1], "that of frame 0 is -1"],
      [[picture], [NaN], "that of frame 0 is NaN"],
      [[picture], [undefined], "that of frame 0 is undefined"],
      [[picture, { ...picture, width: 8, height: 32 }], [10, 10], "frame 1 is 8×32, the first 16×16"],
    ] as const
  ) {
    await assertRejects(() => encodeGif([...frames], [...delays] as number[]), Error, message);
  }
});

Deno.test("delays of a GIF are in its unit of 10 ms", async () => {
  const picture = imageGrid(new HostArray(new Float32Array(4), [1, 2, 2, 1]));
  const delays = [0, 10, 14, 15, 655_344, 655_350], gif = await encodeGif(delays.map(() => picture), delays);
  const read: number[] = [];
  // Each frame has a graphic control extension: 21 F9 04, flags, the delay in two bytes.
  for (let i = 0; i < gif.length - 7; i++) {
    if (gif[i] === 0x21 && gif[i + 1] === 0xf9 && gif[i + 2] === 4) read.push(gif[i + 4] + 256 * gif[i + 5]);
  }
  assertEquals(read, [0, 1, 1, 2, 65_534, 65_535]);
});

Deno.test("what is no picture is refused by PNG and GIF", async () => {
  const right = { width: 2, height: 3, channels: 1 as const, data: new Uint8Array(6) };
  for (
    const [wrong, message] of [
      [{ data: new Uint8Array(5) }, "the data of a picture of [3,2,1] is as many bytes, not 5"],
      [{ data: new Float32Array(6) }, "not Float32Array"],
      [{ data: undefined }, "not undefined"],
      [{ channels: 2 }, "a picture has 1 or 3 channels, not 2"],
      [{ channels: 3 }, "a picture of [3,2,3]"],
      [{ width: 0, data: new Uint8Array(0) }, "a picture's width is a whole number from 1 to"],
      [{ height: 1.5, data: new Uint8Array(3) }, "a picture's height is a whole number from 1 to"],
    ]
  ) {
    const picture = { ...right, ...wrong as Partial<typeof right> };
    assertThrows(() => encodePng(picture), Error, "encodePng: ");
    assertThrows(() => encodePng(picture), Error, message as string);
    await assertRejects(() => encodeGif([picture], [100]), Error, message as string);
  }
  const wide = { ...right, width: 65_536, height: 1, data: new Uint8Array(65_536) };
  assertEquals([...encodePng(wide).slice(16, 20)], [0, 1, 0, 0]);
  await assertRejects(() => encodeGif([wide], [100]), RangeError, "from 1 to 65535, not 65536");
});

Deno.test("a PNG holds the pixels that it was given", () => {
  for (const channels of [1, 3] as const) {
    const data = Uint8Array.from({ length: 20 * 13 * channels }, (_, i) => (i * 37) % 256);
    const png = decode(encodePng({ width: 20, height: 13, channels, data }));
    assertEquals([png.width, png.height, png.channels, png.depth], [20, 13, channels, 8]);
    assertEquals(Uint8Array.from(png.data), data);
  }
});

Deno.test("a grid of nothing, and of NaN, is refused", () => {
  for (const shape of [[0, 4, 4, 1], [2, 0, 4, 1]]) {
    const empty = new HostArray(new Float32Array(0), shape);
    assertThrows(() => imageGrid(empty), Error, `there is nothing to show in images of [${shape}]`);
  }
  const images = new HostArray(Float32Array.of(0, 0, 0, 0, 0, NaN, 0, 0), [2, 2, 2, 1]);
  assertThrows(() => imageGrid(images), Error, "imageGrid: image 1 has NaN in it");
  const range: [number, number] = [0, Infinity];
  const finite = new HostArray(Float32Array.of(-Infinity, Infinity), [1, 1, 2, 1]);
  assertThrows(() => imageGrid(finite, { range }), RangeError, "range is from low to high, not [0,Infinity]");
  assertEquals([...imageGrid(finite, { scale: 1, gap: 0 }).data], [0, 255]);
});
