/** The package that `deno publish` and `deno pack` make: what is in it, and that it trains and draws where it is installed. */
import { assert, assertEquals } from "@std/assert";
import { chromium, inPage, serveFolder } from "./chromium.ts";
import { wasmOnly } from "./support.ts";
import { drawOfClasses, drawPretrained, tinyLosses } from "./tiny.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** Runs a command and gives what it prints. */
async function run(command: string, args: string[], cwd = ROOT): Promise<{ out: string; err: string }> {
  const env = { NO_COLOR: "1" };
  const { code, stdout, stderr } = await new Deno.Command(command, { args, cwd, env }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, `${command} ${args.join(" ")}: ${err}`);
  return { out, err };
}

const deno = (args: string[], cwd?: string) => run(Deno.execPath(), args, cwd);

/** Files that git knows of or would add, by their place in the repository. */
async function tracked(...paths: string[]): Promise<string[]> {
  const { out } = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard", ...paths]);
  return out.trim().split("\n").filter((file) => {
    try {
      return Deno.statSync(ROOT + file).isFile;
    } catch {
      return false; // deleted, but not yet committed
    }
  });
}

Deno.test({
  name: "deno publish --dry-run: all that is shipped and nothing else",
  ...wasmOnly,
  async fn() {
    const { err } = await deno(["publish", "--dry-run", "--allow-dirty"]);
    const files = [...err.matchAll(/^ *file:\/\/(\S+) \(/gm)].map(([, path]) => path.slice(ROOT.length))
      .sort();
    const shipped =
      (await tracked("mod.ts", "core", "datasets", "callbacks", "models", "README.md", "LICENSE"))
        .filter((path) => !/(^|\/)package\.json$/.test(path) && !/\/assembly\/(?!abi\.ts)/.test(path));
    assertEquals(files, [...shipped, "deno.json"].sort());
    for (const weights of ["ddpm/weights/fashion_mnist", "diffusion/weights/fashion_mnist_edm"]) {
      assert(files.includes(`models/${weights}.safetensors`));
    }
  },
});

Deno.test({
  name: "deno pack: the tarball trains under Deno, and trains and draws in a bundle for the browser",
  ...wasmOnly,
  async fn(t) {
    const dir = await Deno.makeTempDir();
    const server = serveFolder(dir);
    const expected = await tinyLosses("wasm");
    try {
      await t.step("npm installs it", async () => {
        await deno(["pack", "--allow-dirty", "--output", `${dir}/denoise.tgz`]);
        await Deno.writeTextFile(`${dir}/package.json`, `{ "type": "module" }`);
        await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "./denoise.tgz"], dir);
        const tiny = await Deno.readTextFile(`${ROOT}tests/tiny.ts`);
        await Deno.writeTextFile(`${dir}/tiny.ts`, tiny.replace(`"../mod.ts"`, `"@denoise/denoise"`));
      });
      await t.step("under Deno: the losses of the repository", async () => {
        const script =
          `import { tinyLosses } from "./tiny.ts"; console.log(JSON.stringify(await tinyLosses("wasm")));`;
        await Deno.writeTextFile(`${dir}/train.ts`, script);
        const args = ["run", "--check", "--no-prompt", "--allow-env", `--allow-read=${dir}`, "train.ts"];
        const { out, err } = await deno(args, dir);
        assertEquals(JSON.parse(out), expected, err);
      });
      await t.step({
        name: "in Chromium: the losses, and the pictures that the shipped models draw",
        ignore: !chromium,
        async fn() {
          const options = ["--platform", "browser", "--external", "*/tfjs_binary.js"];
          await deno(["bundle", ...options, "-o", "tiny.js", "tiny.ts"], dir);
          const modules = `${dir}/node_modules`;
          const binary = "tfjs-backend-wasm-threaded-simd.wasm";
          await Deno.copyFile(`${modules}/@tensorflow/tfjs-backend-wasm/dist/${binary}`, `${dir}/${binary}`);
          await Deno.mkdir(`${dir}/weights`);
          for (const file of ["ddpm/weights/fashion_mnist", "diffusion/weights/fashion_mnist_edm"]) {
            const weights = `${modules}/@denoise/denoise/models/${file}.safetensors`;
            await Deno.symlink(weights, `${dir}/weights/${weights.split("/").at(-1)}`);
          }
          await Deno.writeTextFile(`${dir}/index.html`, "<!doctype html>");
          const drawing = { n: 2, steps: 3, seed: 5 };
          const [losses, lesson, ofClasses] = await inPage([], async (page) => {
            await page.goto(server.url);
            return await page.evaluate(`import("./tiny.js").then(async (tiny) => [
              await tiny.tinyLosses("wasm"),
              await tiny.drawPretrained(1, 3, 5),
              await tiny.drawOfClasses(${JSON.stringify(drawing)}),
            ])`);
          }) as [number[], number[][], number[][]];
          assertEquals(losses.length, expected.length);
          losses.forEach((v, i) =>
            assert(Math.abs(v / expected[i] - 1) < 0.01, `${losses}, not ${expected}`)
          );
          for (
            const [pictures, drawn] of [
              [lesson, await drawPretrained(1, 3, 5)],
              [ofClasses, await drawOfClasses(drawing)],
            ]
          ) {
            assertEquals(pictures.map((p) => p.length), drawn.map((p) => p.length));
            pictures.flat().forEach((v, i) => assert(Math.abs(v - drawn.flat()[i]) <= 2, `pixel ${i}: ${v}`));
          }
        },
      });
    } finally {
      await server.shutdown();
      await Deno.remove(dir, { recursive: true });
    }
  },
});
