/** What is built and committed matches its source. */
import { assertEquals } from "@std/assert";
import { wasmOnly } from "./support.ts";

Deno.test({
  name: "the embedded kernels are the build of their source",
  ...wasmOnly,
  async fn() {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "build:wasm", "--check"],
      cwd: new URL("../", import.meta.url).pathname,
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
  },
});
