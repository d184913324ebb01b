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

Deno.test({
  name: "pictures are decoded in threads by a script that imports by URL, with no permission but that",
  ...wasmOnly,
  async fn() {
    await using server = serveTree();
    const dir = await Deno.makeTempDir();
    try {
      const script = `import { encodePng, imageDataset } from "http://${server.host}/mod.ts";
        const png = encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(7) });
        const entries = ["a", "b"].map((name) => ({ name, read: () => Promise.resolve(png.slice()) }));
        using set = await imageDataset({ name: "here", entries }, { size: 1, workers: 2, cache: "none" });
        console.log(set.workers, (await set.items(Int32Array.of(1)))[0].data.join());`;
      await Deno.writeTextFile(`${dir}/script.ts`, script);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--no-config",
          "--no-lock",
          `--allow-import=${server.host}`,
          "script.ts",
        ],
        cwd: dir,
        signal: AbortSignal.timeout(180_000),
      }).output();
      const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b).trim());
      assertEquals([code, out], [0, "2 7,7,7"], err);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
