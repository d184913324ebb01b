/** What pictures of classes look like. */
import { decode } from "npm:fast-png@8.0.0";
import { assert, assertEquals } from "@std/assert";
import { diffusion, Generator, HostArray, tf } from "../../mod.ts";
import { type Drawable, drawDiffusion, layOut, SAMPLERS } from "../../tasks/draw_diffusion.ts";
import { wasmOnly } from "../support.ts";

Deno.test(
  "each class has its row, the first ones an image more where they do not come out even",
  wasmOnly,
  () => {
    assertEquals(layOut(7, 3), { labels: [0, 0, 0, 1, 1, 2, 2], columns: 3 });
    assertEquals(layOut(6, 3), { labels: [0, 0, 1, 1, 2, 2], columns: 2 });
    assertEquals(layOut(2, 3), { labels: [0, 1], columns: 1 });
  },
);

/** A network whose images are a grey for each class. */
const greys: Drawable = {
  denoise: (x, _at, classes) =>
    tf.tidy(() => {
      const grey = tf.sub(tf.mul(tf.cast(classes!, "float32"), 0.5), 0.5);
      return tf.add(tf.zerosLike(x), tf.reshape(grey, [-1, 1, 1, 1]));
    }),
  process: diffusion.ve(),
  classes: ["a", "b", "c"],
  size: 2,
  channels: 1,
  inverted: true,
  range: [-1, 1],
  spacing: "karras",
  sampler: "dpm-solver",
  steps: 3,
};

/** Draws, and gives the picture with one pixel a pixel. */
async function draw(drawable: Drawable, options: Partial<Parameters<typeof drawDiffusion>[1]>) {
  const png = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await drawDiffusion(drawable, { n: 7, generator: new Generator(1), png, ...options });
    return decode(await Deno.readFile(png));
  } finally {
    await Deno.remove(png);
  }
}
/** The light of an image in a picture of 2×2 pixels of side 3, with gaps of 2. */
const lightAt = ({ data, width }: { data: ArrayLike<number>; width: number }, row: number, column: number) =>
  data[(2 + row * 8) * width + 2 + column * 8];

Deno.test("a row is of one class; where an image lacks the paper is white", wasmOnly, async () => {
  const picture = await draw(greys, {});
  assertEquals([picture.width, picture.height], [3 * 8 + 2, 3 * 8 + 2]);
  // −0.5, 0 and 0.5 of [−1, 1], dark on light.
  [[191, 191, 191], [128, 128, 255], [64, 64, 255]].forEach((expected, row) =>
    expected.forEach((light, column) => {
      const got = lightAt(picture, row, column);
      assert(Math.abs(got - light) <= 1, `row ${row}, column ${column}: ${got} is not ${light}`);
    })
  );
});

Deno.test("one class is asked for; guidance goes further towards it", wasmOnly, async () => {
  const one = await draw(greys, { n: 4, class: 2 });
  const more = await draw(greys, { n: 4, class: 1, guidance: 0.5 });
  assert(Math.abs(lightAt(one, 0, 0) - 64) <= 1);
  // Halfway from no class, which would be the fourth grey, to the second: 1 + (0 − 1)/2.
  assert(Math.abs(lightAt(more, 1, 1) - 64) <= 1, String(lightAt(more, 1, 1)));
});

Deno.test(
  "every sampler draws; a part of an image is kept; little strength changes it little",
  wasmOnly,
  async () => {
    for (const sampler of Object.keys(SAMPLERS) as (keyof typeof SAMPLERS)[]) {
      const picture = await draw(greys, { n: 3, class: 0, sampler, steps: 12 });
      assert(Math.abs(lightAt(picture, 0, 0) - 191) <= 12, `${sampler}: ${lightAt(picture, 0, 0)}`);
    }
    const image = new HostArray(Float32Array.of(1, 1, 1, 1), [1, 2, 2, 1]);
    const mask = new HostArray(Float32Array.of(1, 0, 0, 0), [1, 2, 2, 1]);
    const inpainted = await draw(greys, { n: 1, class: 0, image, mask, sampler: "euler" });
    assert(lightAt(inpainted, 0, 0) <= 1, "the known pixel is black");
    assert(Math.abs(inpainted.data[(2 + 3) * inpainted.width + 2 + 3] - 191) <= 1, "the others are drawn");
    const changed = await draw(greys, { n: 1, class: 0, image, strength: 1, sampler: "euler" });
    assert(Math.abs(lightAt(changed, 0, 0) - 191) <= 1);
  },
);

Deno.test("rows go from one noise to another, and the animation has a frame a step", wasmOnly, async () => {
  const gif = await Deno.makeTempFile({ suffix: ".gif" });
  const seen: number[][] = [];
  const denoise: diffusion.ClassDenoise = (x) => {
    if (seen.length === 0) seen.push(Array.from(x.dataSync()));
    return tf.clone(x);
  };
  await draw({ ...greys, denoise, classes: [] }, { n: 9, interpolate: true, gif, steps: 4 });
  const [noise] = seen, first = (i: number) => noise[4 * i];
  // In the middle of the way both ends count alike: √½ of each, where they are at right angles.
  const off = (i: number) => Math.abs(first(i + 1) / (first(i) + first(i + 2)));
  for (const row of [0, 3, 6]) assert(off(row) > 0.5 && off(row) < 3, `row ${row}: ${off(row)}`);
  const bytes = await Deno.readFile(gif);
  assertEquals(bytes.filter((b, i) => b === 0x21 && bytes[i + 1] === 0xf9 && bytes[i + 2] === 4).length, 4);
  await Deno.remove(gif);
});
