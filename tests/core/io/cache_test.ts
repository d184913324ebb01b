/** Where downloads are kept. */
import { assertEquals } from "@std/assert";
import { cacheDirectory, isGranted } from "../../../core/io/cache.ts";
import { wasmOnly } from "../../support.ts";

/** Runs a body with these environment variables, those that are undefined not there. */
async function withEnvironment(
  variables: Record<string, string | undefined>,
  body: () => Promise<void>,
): Promise<void> {
  const set = (name: string, value?: string) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(variables)) set(name, value);
    await body();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

Deno.test({
  name: "a cache lies where the environment says, and nowhere if it says nothing",
  ...wasmOnly,
  async fn() {
    for (
      const [XDG_CACHE_HOME, HOME, LOCALAPPDATA, expected] of [
        ["/some where", "/home/a", undefined, "/some where/denoise/digits"],
        [undefined, "/home/a b", undefined, "/home/a b/.cache/denoise/digits"],
        ["", "/home/a", undefined, "/home/a/.cache/denoise/digits"],
        [undefined, undefined, "C:\\Users\\a", "C:\\Users\\a/denoise/digits"],
        [undefined, undefined, undefined, undefined],
      ]
    ) {
      await withEnvironment({ XDG_CACHE_HOME, HOME, LOCALAPPDATA }, async () => {
        assertEquals(await cacheDirectory("digits"), expected);
      });
    }
    assertEquals(await isGranted({ name: "env", variable: "HOME" }), true);
  },
});
