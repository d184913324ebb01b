/** Import by URL: the tree served over loopback, a script without config trains from it. */
import { assertEquals, assertMatch } from "@std/assert";
import { serveTree, type TreeServer } from "./server.ts";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Runs a script that has no config in a folder of its own, where the tree is served; what it said. */
async function runFrom(
  { host }: TreeServer,
  script: string,
  flags: string[],
  look: (run: { code: number; out: string; err: string; dir: string }) => void | Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/script.ts`, script);
    const places = ["read", "write"].map((name) => `--allow-${name}=${dir}`);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-config",
        "--no-lock",
        `--allow-import=${host}`,
        "--allow-env=DENOISE_DEVICE,DENOISE_THREADS",
        ...places,
        ...flags,
        "script.ts",
      ],
      cwd: dir,
      env: { DENOISE_DEVICE: "wasm" },
      signal: AbortSignal.timeout(180_000),
    }).output();
    const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
    await look({ code, out, err, dir });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test({
  name: "a script with no config trains a tiny model from http://127.0.0.1:PORT/mod.ts",
  ...wasmOnly,
  async fn() {
    await using server = serveTree();
    const example = await Deno.readTextFile(`${ROOT}examples/train.ts`);
    assertMatch(example, /from "\.\.\/mod\.ts"/);
    const script = example.replace("../mod.ts", `http://${server.host}/mod.ts`);
    await runFrom(server, script, ["--check"], async ({ code, out, err, dir }) => {
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
    await runFrom(server, script, [`--allow-net=${server.host}`], ({ code, out, err }) => {
      assertEquals([code, out], [0, "10 32\n"], err);
    });
    await runFrom(server, script, [], ({ code, err }) => {
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
