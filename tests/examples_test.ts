/** The examples run as they stand, but on fewer images. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { IN_ITS_FOLDER, runScript } from "./scripts.ts";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url);

/**
 * Runs an example in a folder of its own, some of its text replaced, and looks at what it made.
 * @param look at the folder, and what it has printed
 */
async function runExample(
  name: string,
  replaced: [text: string, by: string][],
  args: string[],
  look: (dir: string, out: string) => Promise<void>,
): Promise<void> {
  let script = await Deno.readTextFile(new URL(`examples/${name}`, ROOT));
  for (const [text, by] of [["../mod.ts", new URL("mod.ts", ROOT).href], ...replaced]) {
    assert(script.includes(text), `examples/${name} has no ${text}`);
    script = script.replace(text, by);
  }
  await runScript(
    script,
    { flags: [...IN_ITS_FOLDER, `--allow-read=${ROOT.pathname}`], args },
    async ({ code, out, err, dir }) => {
      assertEquals(code, 0, err);
      await look(dir, out);
    },
  );
}

/** Width and height of a PNG. */
async function sizeOf(png: string): Promise<[number, number]> {
  const { buffer } = await Deno.readFile(png), view = new DataView(buffer);
  return [view.getUint32(16), view.getUint32(20)];
}

Deno.test({
  name: "examples/diffusion.ts: 40 lines from a cosine schedule to guided samples of every class",
  ...wasmOnly,
  async fn() {
    const example = await Deno.readTextFile(new URL("examples/diffusion.ts", ROOT));
    assert(example.split("\n").filter((line) => line !== "").length <= 40);
    const fewer: [string, string][] = [
      ["6400", "64"],
      ["256", "32"],
      ["fit(4)", "fit(1)"],
      ["(process, 20)", "(process, 3)"],
    ];
    await runExample("diffusion.ts", fewer, [], async (dir, out) => {
      assertMatch(out, /1\s+eval\s+0\.\d+/);
      const side = 10 * 16 * 3 + 11 * 2; // ten images of 16 pixels, three times as large, and gaps of 2
      assertEquals(await sizeOf(`${dir}/classes.png`), [side, side]);
      assert((await Deno.readTextFile(`${dir}/schedule.svg`)).startsWith("<svg"));
    });
  },
});

Deno.test({
  name: "examples/draw.ts draws a row of each class that is named, with the model that ships",
  ...wasmOnly,
  async fn() {
    const fewer: [string, string][] = [["columns = 8", "columns = 3"], ["inSteps()", "inSteps(2)"]];
    await runExample("draw.ts", fewer, ["Sneaker", "Bag"], async (dir) => {
      const side = (n: number) => n * 28 * 3 + (n + 1) * 2;
      assertEquals(await sizeOf(`${dir}/clothes.png`), [side(3), side(2)]);
    });
  },
});

Deno.test({
  name: "examples/pictures.ts: 25 lines from a folder of pictures of any kind to new ones",
  ...wasmOnly,
  async fn() {
    const example = await Deno.readTextFile(new URL("examples/pictures.ts", ROOT));
    assert(example.split("\n").filter((line) => line !== "").length <= 25);
    const fewer: [string, string][] = [["fit(20)", "fit(1)"], ["(process, 20)", "(process, 2)"]];
    const folder = new URL("tests/datasets/pictures", ROOT).pathname;
    await runExample("pictures.ts", fewer, [folder], async (dir, out) => {
      assertMatch(out, /1\s+eval\s+0\.\d+/);
      const side = 4 * 32 * 3 + 5 * 2; // four images of 32 pixels, three times as large, and gaps of 2
      assertEquals(await sizeOf(`${dir}/drawn.png`), [side, side]);
    });
  },
});
