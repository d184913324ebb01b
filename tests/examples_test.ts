/** The examples run as they stand, but on fewer images. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { wasmOnly } from "./support.ts";

const ROOT = new URL("../", import.meta.url);

Deno.test({
  name: "examples/diffusion.ts: 40 lines from a cosine schedule to guided samples of every class",
  ...wasmOnly,
  async fn() {
    const example = await Deno.readTextFile(new URL("examples/diffusion.ts", ROOT));
    assert(example.split("\n").filter((line) => line !== "").length <= 40);
    const dir = await Deno.makeTempDir();
    try {
      const small = example.replace("../mod.ts", new URL("mod.ts", ROOT).href).replace("6400", "64")
        .replace("256", "32").replace("fit(4)", "fit(1)").replace("(process, 20)", "(process, 3)");
      assert(small.length < example.length + ROOT.href.length - 6, "the example's numbers are others");
      await Deno.writeTextFile(`${dir}/script.ts`, small);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--no-config",
          "--no-lock",
          "--allow-env",
          `--allow-read`,
          `--allow-write=${dir}`,
          "script.ts",
        ],
        cwd: dir,
        env: { DENOISE_DEVICE: "wasm" },
        signal: AbortSignal.timeout(180_000),
      }).output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals(code, 0, err);
      assertMatch(out, /0\s+eval\s+0\.\d+/);
      const png = await Deno.readFile(`${dir}/classes.png`), view = new DataView(png.buffer);
      const side = 10 * 16 * 3 + 11 * 2; // ten images of 16 pixels, three times as large, and gaps of 2
      assertEquals([view.getUint32(16), view.getUint32(20)], [side, side]);
      assert((await Deno.readTextFile(`${dir}/schedule.svg`)).startsWith("<svg"));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
