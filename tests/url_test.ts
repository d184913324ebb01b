/** Import by URL: the tree served over loopback, a script without config trains from it. */
import { assertEquals, assertMatch } from "@std/assert";
import { serveTree } from "./server.ts";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url).pathname;

Deno.test({
  name: "a script with no config trains a tiny model from http://127.0.0.1:PORT/mod.ts",
  ...wasmOnly,
  async fn() {
    await using server = serveTree();
    const { host, served } = server;
    const dir = await Deno.makeTempDir();
    try {
      const example = await Deno.readTextFile(`${ROOT}examples/train.ts`);
      assertMatch(example, /from "\.\.\/mod\.ts"/);
      await Deno.writeTextFile(`${dir}/script.ts`, example.replace("../mod.ts", `http://${host}/mod.ts`));
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--no-config",
          "--no-lock",
          "--check",
          `--allow-import=${host}`,
          "--allow-env=DENOISE_DEVICE,DENOISE_THREADS",
          `--allow-read=${dir}`,
          `--allow-write=${dir}`,
          "script.ts",
        ],
        cwd: dir,
        env: { DENOISE_DEVICE: "wasm" },
        signal: AbortSignal.timeout(180_000),
      }).output();
      const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
      assertEquals(code, 0, err);
      assertMatch(out, /1\s+eval\s+0\.\d+/);
      assertEquals([...(await Deno.readFile(`${dir}/samples.png`)).slice(0, 4)], [137, 80, 78, 71]);
      assertEquals([served.has("/mod.ts"), served.has("/deno.json")], [true, false]);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
