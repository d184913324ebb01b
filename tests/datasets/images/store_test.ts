/** Where decoded pictures are kept. */
import { assertEquals } from "@std/assert";
import { DiskStore, MemoryStore } from "../../../datasets/images/store.ts";
import { wasmOnly } from "../../support.ts";

const bytes = (i: number) => new Uint8Array(i + 1).fill(i);

Deno.test({
  name: "memory and disk give what they were given, in any order, at the same time; the file has no name",
  ...wasmOnly,
  async fn() {
    const dir = await Deno.makeTempDir(),
      memory = new MemoryStore(),
      disk = await DiskStore.open(`${dir}/new`);
    for (const i of [3, 0, 7]) memory.put(i, bytes(i));
    assertEquals(memory.bytes, 4 + 1 + 8);
    assertEquals(memory.get(3), bytes(3));
    await memory.moveTo(disk);
    assertEquals(memory.bytes, 0);
    await Promise.all([9, 1].map((i) => disk.put(i, bytes(i))));
    const order = [7, 1, 3, 9, 0, 7];
    assertEquals(await Promise.all(order.map((i) => disk.get(i))), order.map(bytes));
    if (Deno.build.os !== "windows") assertEquals([...Deno.readDirSync(`${dir}/new`)], []);
    disk.close();
    assertEquals([...Deno.readDirSync(`${dir}/new`)], []);
    await Deno.remove(dir, { recursive: true });
  },
});
