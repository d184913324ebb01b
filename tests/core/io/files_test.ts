/** Files. */
import { assertEquals, assertRejects } from "@std/assert";
import { writeFile } from "../../../core/mod.ts";
import "../../support.ts";

Deno.test("files are replaced as a whole, and a failure leaves the old one and no rubbish", async () => {
  const dir = await Deno.makeTempDir();
  await writeFile(`${dir}/x`, "old");
  await writeFile(`${dir}/x`, new TextEncoder().encode("new"));
  assertEquals(await Deno.readTextFile(`${dir}/x`), "new");
  await Deno.mkdir(`${dir}/taken`);
  await Deno.writeTextFile(`${dir}/taken/inside`, "");
  await assertRejects(() => writeFile(`${dir}/taken`, "x"), Error, `Could not write ${dir}/taken`);
  assertEquals((await Array.fromAsync(Deno.readDir(dir))).map((e) => e.name).sort(), ["taken", "x"]);
  await Deno.remove(dir, { recursive: true });
});
