/** Pictures that the command line names. */
import { encode } from "npm:fast-png@8.0.0";
import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../tasks/cli.ts";
import { type PictureForm, readPicture } from "../../tasks/pictures.ts";
import { assertClose, wasmOnly } from "../support.ts";

/** Reads a picture of these pixels. */
async function read(picture: Parameters<typeof encode>[0], size: number, form: Partial<PictureForm> = {}) {
  const path = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await Deno.writeFile(path, encode(picture));
    return await readPicture("--image", path, { size, channels: 1, inverted: true, ...form });
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("white is 0 and black 1, in grey, colour, with transparency and 16 bits", wasmOnly, async () => {
  const size = { width: 2, height: 2 }, all = [0, 1, 0.2, 0.6];
  const grey = Uint8Array.from(all, (v) => Math.round(255 * (1 - v)));
  const { data, shape } = await read({ ...size, data: grey, channels: 1 }, 2);
  assertEquals(shape, [1, 2, 2, 1]);
  await assertClose(data, all, 3e-3);
  const rgb = Uint8Array.from([...grey].flatMap((v) => [v, v, v]));
  await assertClose((await read({ ...size, data: rgb, channels: 3 }, 2)).data, all, 3e-3);
  const clear = Uint8Array.from([...grey].flatMap((v) => [v, v, v, 51]));
  await assertClose((await read({ ...size, data: clear, channels: 4 }, 2)).data, all.map((v) => v / 5), 3e-3);
  const deep = Uint16Array.from(all, (v) => Math.round(65_535 * (1 - v)));
  await assertClose((await read({ ...size, data: deep, channels: 1, depth: 16 }, 2)).data, all, 1e-4);
});

Deno.test(
  "as RGB: black is 0, each channel its own, grey in all three, clear is white",
  wasmOnly,
  async () => {
    const form: Partial<PictureForm> = { channels: 3, inverted: false }, one = { width: 1, height: 1 };
    const colour = await read({ ...one, data: Uint8Array.of(0, 51, 255), channels: 3 }, 1, form);
    assertEquals(colour.shape, [1, 1, 1, 3]);
    await assertClose(colour.data, [0, 0.2, 1], 1e-6);
    await assertClose((await read({ ...one, data: Uint8Array.of(51), channels: 1 }, 1, form)).data, [
      0.2,
      0.2,
      0.2,
    ]);
    const clear = Uint8Array.of(0, 51, 255, 51);
    await assertClose((await read({ ...one, data: clear, channels: 4 }, 1, form)).data, [0.8, 0.84, 1], 1e-6);
  },
);

Deno.test("what is no picture of the size is refused by its option and path", wasmOnly, async () => {
  const small = { width: 2, height: 1, data: new Uint8Array(2), channels: 1 };
  await assertRejects(() => read(small, 28), UsageError, "the picture is 28×28, not 2×1");
  await assertRejects(
    () => readPicture("--image", "/nowhere.png", { size: 28, channels: 1, inverted: true }),
    UsageError,
    "--image /nowhere.png",
  );
});
