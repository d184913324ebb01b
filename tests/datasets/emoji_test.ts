/** The emoji-like pictures that are drawn when they are asked for. */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { sha256 } from "../../core/mod.ts";
import { emoji, EMOJI_CLASSES, type HostArray } from "../../mod.ts";
import { wasmOnly } from "../support.ts";

const bytesOf = (array: HostArray): Uint8Array => array.data as Uint8Array;

Deno.test({
  name: "emoji: shapes, labels class by class, other pictures to test with",
  ...wasmOnly,
  async fn() {
    const { train, test, source } = await emoji({ n: 30, nTest: 20, seed: 3 });
    assertEquals([train, test].map(({ arrays: [x, y] }) => [x.shape, y.shape]), [
      [[30, 32, 32, 3], [30]],
      [[20, 32, 32, 3], [20]],
    ]);
    assertEquals(Array.from(train.arrays[1].data), Array.from({ length: 30 }, (_, i) => i % 10));
    assertEquals([EMOJI_CLASSES.length, source], [10, "drawn emoji, seed 3"]);
    const all = [train, test].flatMap(({ arrays: [{ data }], length }) =>
      Array.from(
        { length },
        (_, i) => bytesOf({ data } as HostArray).subarray(i * 3072, (i + 1) * 3072).toHex(),
      )
    );
    assertEquals(new Set(all).size, 50);
  },
});

Deno.test({
  name: "emoji: the same pixels on every machine, and more of them begin with the fewer",
  ...wasmOnly,
  async fn() {
    const few = await emoji({ n: 40, nTest: 10 }), more = await emoji({ n: 50, nTest: 10 });
    const images = bytesOf(few.train.arrays[0]);
    assertEquals(await sha256(images), "8cb31f1e0e301e2ad89faaf62daad44ee6a10181639350cb80cc10bfa61050a8");
    assertEquals(bytesOf(more.train.arrays[0]).subarray(0, images.length), images);
    assertEquals(more.test.arrays, few.test.arrays);
    assertNotEquals(bytesOf((await emoji({ n: 40, nTest: 10, seed: 1 })).train.arrays[0]), images);
  },
});

Deno.test({
  name:
    "emoji: a size is the same scene: its means over squares are the smaller pictures, but for their edges",
  ...wasmOnly,
  async fn() {
    const [small, large] = await Promise.all([32, 64].map(async (size) => {
      const { train } = await emoji({ n: 20, nTest: 1, size });
      return bytesOf(train.arrays[0]);
    }));
    let sum = 0;
    for (let i = 0; i < 20 * 32 * 32; i++) {
      const column = i % 32, row = (i - column) / 32; // of all pictures below each other
      for (let c = 0; c < 3; c++) {
        const at = (y: number, x: number) => large[((2 * row + y) * 64 + 2 * column + x) * 3 + c];
        sum += Math.abs(small[i * 3 + c] - (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4);
      }
    }
    assert(sum / small.length < 1, `${sum / small.length} of 255`);
  },
});

Deno.test({
  name: "emoji: an option out of its range is named",
  ...wasmOnly,
  async fn() {
    for (
      const [options, says] of [
        [{ n: 0 }, "emoji: n is a whole number from 1 to 1000000, not 0"],
        [{ nTest: 2.5 }, "emoji: nTest is a whole number from 1 to 1000000, not 2.5"],
        [{ size: 7 }, "emoji: size is a whole number from 8 to 512, not 7"],
        [{ seed: -1 }, "A seed is a whole number from 0 to 2^53 - 1, not -1"],
      ] as const
    ) {
      await assertRejects(() => emoji(options), RangeError, says);
    }
  },
});
