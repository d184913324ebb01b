/** Pictures as they are shown before they are trained on. */
import { decode } from "npm:fast-png@8.0.0";
import { assert, assertEquals } from "@std/assert";
import { DataLoader, emoji, EMOJI_CLASSES } from "../../mod.ts";
import { mixedFolder } from "../datasets/mixed_folder.ts";
import { inFiles } from "../datasets/sources.ts";
import { cliTest, finish, startTask } from "./task.ts";

/** The titles and the images of an SVG. */
async function read(path: string) {
  const svg = await Deno.readTextFile(path);
  return {
    titles: [...svg.matchAll(/<text [^>]*>([^<]*)</g)].map(([, title]) => title),
    images: [...svg.matchAll(/base64,([^"]*)"/g)].map(([, png]) => decode(Uint8Array.fromBase64(png))),
  };
}

cliTest("look shows the first batch of a run with its classes, and one picture that drowns", async (dir) => {
  const out = `${dir}/emoji.svg`;
  const { code, out: said, err } = await finish(
    startTask("look", ["drawn:emoji", "--seed", "5", "--out", out]),
  );
  assertEquals(code, 0, err);
  assert(said.includes("Sizes: 32×32 (5000)"), said);
  assert(said.includes("Classes: sun (500), house (500)"), said);
  const { titles, images } = await read(out);
  assertEquals([titles.length, images.length], [32, 32]);
  const { train } = await emoji(), loader = new DataLoader(train, { batchSize: 32, shuffle: true, seed: 5 });
  for await (const [{ data }, labels] of loader) {
    assertEquals(titles.slice(0, 24), Array.from({ length: 24 }, (_, i) => EMOJI_CLASSES[labels.data[i]]));
    for (let i = 0; i < 24; i++) {
      assertEquals([...images[i].data], [...data.subarray(i * 3072, (i + 1) * 3072)], `picture ${i}`);
    }
    break;
  }
  assertEquals([titles[24], [...images[24].data]], ["σ 0", [...images[0].data]]);
  const off = images.slice(24).map(({ data }) =>
    Array.from(data).reduce((sum, v, i) => sum + Math.abs(v - images[0].data[i]), 0) / data.length
  );
  off.slice(1).forEach((value, i) => assert(value > off[i], `${off}`));
  assert(off[1] < 3 && off.at(-1)! > 60, `${off}`);
});

cliTest(
  "train --look shows a folder as people have it, and trains nothing; wrong use is said",
  async (dir) => {
    await inFiles(await mixedFolder(), async (folder) => {
      const out = `${dir}/a folder.svg`, args = [folder, "--size", "16", "--grey", "--no-flip", "--out", out];
      const { code, out: said, err } = await finish(startTask("look", args));
      assertEquals(code, 0, err);
      assert(said.includes("Classes: Bücher & Bäume (400), my photos (54)"), said);
      assert(err.includes("Skipped 1 picture: my photos/broken.jpg"), err);
      const { titles, images } = await read(out);
      assertEquals([images[0].width, images[0].channels], [16, 1]);
      for (const title of titles.slice(0, 24)) {
        assert(["Bücher &amp; Bäume", "my photos"].includes(title), title);
      }
      const png = await finish(startTask("look", [folder, "--out", `${dir}/a.png`]));
      assertEquals([
        png.code,
        png.err.includes("a.png: the picture is an SVG; give a name that ends in .svg"),
      ], [2, true]);
    });
    const looked = await finish(startTask("train", ["--images", "drawn:emoji", "--look", "--runs", dir]));
    assertEquals(looked.code, 0, looked.err);
    assert(
      looked.out.includes(`Wrote ${dir}/look.svg: 32 pictures a batch, as --preset emoji begins with them`),
      looked.out,
    );
    assertEquals((await Array.fromAsync(Deno.readDir(dir))).map((file) => file.name).sort(), [
      "a folder.svg",
      "look.svg",
    ]);
    assertEquals((await read(`${dir}/look.svg`)).images.length, 32);
  },
);
