/** The README shows what is. */
import { assert } from "@std/assert";
import { wasmOnly } from "./support.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../${path}`, import.meta.url));

Deno.test({
  name: "the README's script is examples/train.ts, its pictures and files are there",
  ...wasmOnly,
  async fn() {
    const readme = await read("README.md");
    assert(readme.includes(await read("examples/train.ts")), "the script in the README is another");
    for (const [, path] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      await Deno.stat(new URL(`../${path}`, import.meta.url));
    }
  },
});
