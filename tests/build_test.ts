/** What is built and committed matches its source. */
import { assertEquals } from "@std/assert";
import { wasmOnly } from "./support.ts";

/** What is embedded, and the task that builds it. */
const BUILT = {
  "the embedded kernels": "build:wasm",
  "the embedded thread that decodes pictures": "build:worker",
};

for (const [what, task] of Object.entries(BUILT)) {
  Deno.test({
    name: `${what}: the build of their source`,
    ...wasmOnly,
    async fn() {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["task", "--quiet", task, "--check"],
        cwd: new URL("../", import.meta.url).pathname,
      }).output();
      assertEquals(code, 0, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
    },
  });
}
