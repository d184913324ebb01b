/** Decoding of pictures, against Pillow. */
import { encode } from "npm:fast-png@8.0.0";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeImage } from "../../../datasets/images/decode.ts";
import { prepare } from "../../../datasets/images/prepare.ts";
import { wasmOnly } from "../../support.ts";
import { distance, fileOf, FILES } from "./golden.ts";

const MANY = 1e6;

/** The picture of a file as RGB on white, at its own size. */
async function shown(bytes: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const recipe = { width, height, channels: 3, background: [255, 255, 255], maxPixels: MANY, longest: 1 };
  return (await prepare(bytes, recipe as Parameters<typeof prepare>[1])).image.data;
}

Deno.test({
  name:
    "every kind of PNG, JPEG, WebP, GIF and BMP is what Pillow reads: colours, alpha, orientation, first frame",
  ...wasmOnly,
  async fn() {
    for (const { name, bytes, width, height, pixels, tolerance } of FILES) {
      const off = distance(await shown(bytes, width, height), pixels);
      assert(off <= tolerance, `${name}: ${off} off, not at most ${tolerance}`);
    }
  },
});

/** A PNG with a chunk after its first. */
function withChunk(png: Uint8Array, kind: string, content: number[]): Uint8Array {
  const chunk = new Uint8Array([...kind].map((c) => c.charCodeAt(0)).concat(content));
  let crc = 0xffffffff;
  for (const byte of chunk) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  const framed = new Uint8Array(chunk.length + 8), view = new DataView(framed.buffer);
  view.setUint32(0, content.length);
  framed.set(chunk, 4);
  view.setUint32(framed.length - 4, ~crc >>> 0);
  return new Uint8Array([...png.subarray(0, 33), ...framed, ...png.subarray(33)]);
}

Deno.test({
  name: "16-bit PNG of every colour type, which Deno cannot write as a BMP",
  ...wasmOnly,
  async fn() {
    for (const channels of [1, 2, 3, 4] as const) {
      const data = Uint16Array.from({ length: 6 * channels }, (_, i) => i * 65535 / (6 * channels - 1));
      const bytes = encode({ width: 3, height: 2, channels, depth: 16, data });
      const expected = Uint8Array.from(data, (v) => Math.round(v / 257));
      assertEquals(await decodeImage(bytes, MANY), { width: 3, height: 2, channels, data: expected });
    }
  },
});

Deno.test({
  name: "16-bit PNG where one grey or one colour is transparent",
  ...wasmOnly,
  async fn() {
    const grey = encode({ width: 2, height: 1, channels: 1, depth: 16, data: Uint16Array.of(258, 514) });
    assertEquals(
      (await decodeImage(withChunk(grey, "tRNS", [1, 2]), MANY)).data,
      Uint8Array.of(1, 0, 2, 255),
    );
    const data = Uint16Array.of(257, 514, 771, 257, 514, 772, 0, 0, 0);
    const rgb = encode({ width: 3, height: 1, channels: 3, depth: 16, data });
    assertEquals(
      (await decodeImage(withChunk(rgb, "tRNS", [1, 1, 2, 2, 3, 4]), MANY)).data,
      Uint8Array.of(1, 2, 3, 255, 1, 2, 3, 0, 0, 0, 0, 255),
    );
  },
});

Deno.test({
  name: "a file that is cut off anywhere is an error, or has all its pixels",
  ...wasmOnly,
  async fn() {
    for (const { name, bytes, width, height, pixels, tolerance } of FILES) {
      if (/orientation|animated/.test(name)) continue;
      const step = Math.max(1, Math.floor(bytes.length / 40));
      let refused = 0;
      for (let length = bytes.length - 1; length > 0; length -= step) {
        const cut = bytes.slice(0, length);
        const got = await shown(cut, width, height).catch(() => void refused++);
        const off = got ? distance(got, pixels) : 0;
        assert(off <= tolerance, `${name}, ${length} of ${bytes.length} bytes: ${off} off`);
      }
      assert(refused > 20, `${name}: ${refused} cuts refused`);
    }
  },
});

Deno.test({
  name: "a header that claims 60,000 × 60,000 pixels is refused, and a picture above a lower limit",
  ...wasmOnly,
  async fn() {
    const png = fileOf("png rgb").bytes.slice();
    new DataView(png.buffer).setUint32(16, 60_000);
    new DataView(png.buffer).setUint32(20, 60_000);
    await assertRejects(
      () => decodeImage(png, 2 ** 26),
      Error,
      "the header claims 60000×60000 pixels, more than the 67108864 of maxPixels",
    );
    const { bytes } = fileOf("jpeg");
    await assertRejects(
      () => decodeImage(bytes, 23 * 17 - 1),
      Error,
      "claims 23×17 pixels, more than the 390",
    );
    assertEquals((await decodeImage(bytes, 23 * 17)).width, 23);
  },
});
