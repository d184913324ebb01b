/** Import by URL: the tree served over loopback, a script without config trains from it. */
import { assertEquals, assertMatch } from "@std/assert";
import { IN_ITS_FOLDER, runScript } from "./scripts.ts";
import { serveTree } from "./server.ts";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url).pathname;

Deno.test({
  name: "a script with no config trains a tiny model from http://127.0.0.1:PORT/mod.ts",
  ...wasmOnly,
  async fn() {
    await using server = serveTree();
    const example = await Deno.readTextFile(`${ROOT}examples/train.ts`);
    assertMatch(example, /from "\.\.\/mod\.ts"/);
    const script = example.replace("../mod.ts", `http://${server.host}/mod.ts`);
    const flags = [...IN_ITS_FOLDER, "--check", `--allow-import=${server.host}`];
    await runScript(script, { flags }, async ({ code, out, err, dir }) => {
      assertEquals(code, 0, err);
      assertMatch(out, /1\s+eval\s+0\.\d+/);
      assertEquals([...(await Deno.readFile(`${dir}/samples.png`)).slice(0, 4)], [137, 80, 78, 71]);
    });
    assertEquals([server.served.has("/mod.ts"), server.served.has("/deno.json")], [true, false]);
  },
});

Deno.test({
  name: "the models that ship come from there too, with the permission for it",
  ...wasmOnly,
  async fn() {
    await using server = serveTree();
    const script = `import { diffusion, pretrained, useDevice } from "http://${server.host}/mod.ts";
      await useDevice("wasm", { log: null });
      const { classes } = await diffusion.pretrained(), { size } = await pretrained();
      console.log(classes.length, size);`;
    const flags = [...IN_ITS_FOLDER, `--allow-import=${server.host}`];
    await runScript(script, { flags: [...flags, `--allow-net=${server.host}`] }, ({ code, out, err }) => {
      assertEquals([code, out], [0, "10 32\n"], err);
    });
    await runScript(script, { flags }, ({ code, err }) => {
      assertEquals(code, 1);
      assertMatch(err, /Could not read http:.*fashion_mnist_edm\.safetensors: Requires net access/);
    });
  },
});

Deno.test({
  name: "pictures are decoded in threads by a script that imports by URL, with no permission but that",
  ...wasmOnly,
  async fn() {
    await using server = serveTree();
    const script = `import { encodePng, imageDataset } from "http://${server.host}/mod.ts";
      const png = encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(7) });
      const entries = ["a", "b"].map((name) => ({ name, read: () => Promise.resolve(png.slice()) }));
      using set = await imageDataset({ name: "here", entries }, { size: 1, workers: 2, cache: "none" });
      console.log(set.workers, (await set.items(Int32Array.of(1)))[0].data.join());`;
    await runScript(script, { flags: [`--allow-import=${server.host}`] }, ({ code, out, err }) => {
      assertEquals([code, out], [0, "2 7,7,7\n"], err);
    });
  },
});
