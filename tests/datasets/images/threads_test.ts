/** Threads that decode. */
import { assertEquals, assertRejects } from "@std/assert";
import { DecodeThreads, ImageError } from "../../../datasets/images/threads.ts";
import { script, wasmOnly } from "../../support.ts";
import { FILES } from "./golden.ts";

const RECIPE = {
  height: 8,
  width: 8,
  channels: 3 as const,
  background: [255, 255, 255] as [number, number, number],
  maxPixels: 1e6,
  longest: 1,
};

Deno.test({
  name: "threads make what the caller's own makes, for more files than there are threads",
  ...wasmOnly,
  async fn() {
    const [own, two] = [await DecodeThreads.start(0), await DecodeThreads.start(2)];
    const all = (threads: DecodeThreads) =>
      Promise.all(FILES.map(({ bytes }) => threads.prepare(bytes.slice(), RECIPE)));
    assertEquals(await all(two), await all(own));
    assertEquals([own.count, two.count], [0, 2]);
    two.close();
  },
});

Deno.test({
  name:
    "what is wrong with a picture is an ImageError, and the thread goes on; a buffer that others use is not moved",
  ...wasmOnly,
  async fn() {
    const [{ bytes }] = FILES, shared = new Uint8Array([...bytes, 0, 0]);
    for (const count of [0, 1]) {
      const threads = await DecodeThreads.start(count);
      await assertRejects(() => threads.prepare(Uint8Array.of(1, 2), RECIPE), ImageError, "it is no picture");
      await threads.prepare(shared.subarray(0, bytes.length), RECIPE);
      assertEquals(shared.length, bytes.length + 2);
      threads.close();
    }
  },
});

Deno.test({
  name: "closed threads end those who wait",
  ...wasmOnly,
  async fn() {
    const threads = await DecodeThreads.start(1), [{ bytes }] = FILES;
    const waiting = [0, 1, 2].map(() => assertRejects(() => threads.prepare(bytes.slice(), RECIPE), Error));
    threads.close();
    await Promise.all(waiting);
    await assertRejects(() => threads.prepare(bytes, RECIPE), Error, "closed");
  },
});

Deno.test({
  name: "they start without a permission, do not keep a process alive, and do while it waits for them",
  ...wasmOnly,
  async fn() {
    const { code, out, err } = await script(`
      const stripe = d.encodePng({ width: 3, height: 1, channels: 1, data: Uint8Array.of(0, 128, 255) });
      const entries = ["a", "b", "c"].map((name) => ({ name, read: () => Promise.resolve(stripe.slice()) }));
      const options = { size: [1, 3], channels: 1, cache: "none", workers: 2, log: () => {} };
      const stripes = await d.imageDataset({ name: "stripes", entries }, options);
      const [{ data }] = await stripes.items(Int32Array.of(2, 0));
      console.log(stripes.workers, data.join());`);
    assertEquals([code, out, err], [0, "2 0,128,255,0,128,255", ""]);
  },
});
