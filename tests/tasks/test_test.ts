/** `deno task test` itself. */
import { assertEquals, assertMatch } from "@std/assert";
import { wasmOnly } from "../support.ts";

Deno.test({
  name: "deno task test: an unknown device is wrong use, and nothing is run",
  ...wasmOnly,
  async fn() {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "test", "--device", "foo"],
      cwd: new URL("../../", import.meta.url),
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout)], [2, ""]);
    assertMatch(new TextDecoder().decode(stderr), /'foo' is invalid.*webgpu, wasm/);
  },
});
