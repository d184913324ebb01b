/** Image-to-image, inpainting, and the way between noises. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, Generator, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const { fromImages, inpainting, sample, slerp } = diffusion;
const levels = diffusion.levels(diffusion.flow(), 10);

/** x̂₀ of images that are 0.5 everywhere, give or take. */
const denoise: diffusion.Denoise = (x, { α, σ }) =>
  tf.tidy(() => tf.add(tf.mul(tf.sub(x, α * 0.5), α * 0.04 / (α * α * 0.04 + σ * σ)), 0.5));

Deno.test("fromImages: images noised to the level at which so many steps are left", async () => {
  const images = random([2, 4, 4, 1], 1), before = tf.memory().numTensors;
  for (const [strength, left] of [[1, 10], [0.5, 5], [0.31, 3], [0.001, 1]]) {
    const start = fromImages(images, { levels, strength, generator: new Generator(7) });
    assertEquals(start.levels, levels.slice(10 - left));
    const { α, σ } = start.levels[0], noise = await numbers(new Generator(7).fork().normal([2, 4, 4, 1]));
    const expected = (await numbers(images)).map((v, i) => α * v + σ * noise[i]);
    await assertClose(start.xT, expected, 1e-6, `strength ${strength}`);
    start.xT.dispose();
  }
  assert(tf.memory().numTensors <= before + 4); // the test's own noise
});

Deno.test("image-to-image: the less strength, the nearer to the images", async () => {
  const images = random([1, 8, 8, 1], 3), values = await numbers(images);
  const off: number[] = [];
  for (const strength of [0.1, 0.5, 1]) {
    const start = fromImages(images, { levels, strength, generator: new Generator(1) });
    const { data } = await sample(denoise, [1, 8, 8, 1], { ...start });
    start.xT.dispose();
    off.push(values.reduce((sum, v, i) => sum + (v - data[i]) ** 2, 0));
  }
  assert(off[0] < off[1] && off[1] < off[2], `${off}`);
});

Deno.test("inpainting: known pixels are the images', the others are drawn and change with the seed", async () => {
  const images = random([2, 4, 4, 1], 5), known = await numbers(images);
  const mask = tf.tensor(Array.from({ length: 16 }, (_, i) => i % 4 < 2 ? 1 : 0), [1, 4, 4, 1]);
  for (const sampler of [diffusion.ddpm(), diffusion.heun(), diffusion.dpmSolver(), diffusion.uniPc()]) {
    const draw = async (seed: number) => {
      const generator = new Generator(seed), before = tf.memory().numTensors;
      const filled = inpainting(denoise, { images, mask, generator });
      const { data } = await sample(filled, [2, 4, 4, 1], { levels: levels.slice(1), sampler, generator });
      assertEquals(tf.memory().numTensors, before);
      return Array.from(data);
    };
    const [a, b] = [await draw(1), await draw(2)];
    const pick = (values: number[], part: number) => values.filter((_, i) => (i % 4 < 2 ? 1 : 0) === part);
    for (const drawn of [a, b]) await assertClose(pick(drawn, 1), pick(known, 1), 1e-6);
    assert(pick(a, 0).join() !== pick(b, 0).join());
    assert(pick(a, 0).every((v) => Math.abs(v - 0.5) < 1.2), `${pick(a, 0)}`);
  }
});

Deno.test("inpainting: the network sees known pixels with noise of the level, new at each one", async () => {
  const images = random([1, 32, 32, 1], 5), mask = tf.ones([1, 1, 1, 1]), known = await numbers(images);
  const seen: Promise<number[]>[] = [], at = { α: 0.6, σ: 0.8, t: 0 };
  const filled = inpainting((x) => (seen.push(numbers(x)), tf.zerosLike(x)), {
    images,
    mask,
    generator: new Generator(1),
  });
  filled(tf.zeros([1, 32, 32, 1]), at);
  filled(tf.zeros([1, 32, 32, 1]), at);
  const noises = (await Promise.all(seen)).map((x) => x.map((v, i) => (v - at.α * known[i]) / at.σ));
  for (const noise of noises) {
    const variance = noise.reduce((sum, v) => sum + v * v, 0) / noise.length;
    assert(Math.abs(variance - 1) < 4 * Math.sqrt(2 / noise.length), `${variance}`);
  }
  assert(noises[0].join() !== noises[1].join());
  assertThrows(
    () => filled(tf.zeros([2, 32, 32, 1]), at),
    RangeError,
    "of shape [1,32,32,1] for [2,32,32,1]",
  );
});

Deno.test("slerp: from one to the other at an even pace along a circle, image by image", async () => {
  const a = random([2, 6, 6, 1], 1), b = random([2, 6, 6, 1], 2);
  const dot = (u: number[], v: number[]) => u.reduce((sum, x, i) => sum + x * v[i], 0);
  const angle = (u: number[], v: number[]) =>
    Math.acos(Math.min(1, dot(u, v) / Math.sqrt(dot(u, u) * dot(v, v))));
  const rows = async (share: number) => {
    const x = slerp(a, b, share), values = await numbers(x);
    x.dispose();
    return [values.slice(0, 36), values.slice(36)];
  };
  const before = tf.memory().numTensors, [from, to] = [await rows(0), await rows(1)];
  await assertClose(from.flat(), a, 1e-5);
  await assertClose(to.flat(), b, 1e-5);
  for (const share of [0.25, 0.5, 0.9]) {
    const at = await rows(share);
    for (const i of [0, 1]) {
      const Ω = angle(from[i], to[i]), sin = Math.sin(Ω);
      const expected = from[i].map((v, k) =>
        (Math.sin((1 - share) * Ω) * v + Math.sin(share * Ω) * to[i][k]) / sin
      );
      await assertClose(at[i], expected, 3e-5, `${share}`);
    }
  }
  assertEquals(tf.memory().numTensors, before);
  // Noises in one direction, where sines are 0.
  await assertClose(slerp(a, tf.mul(a, 3), 0.5), tf.mul(a, 2), 1e-5);
  assertThrows(() => slerp(a, tf.zeros([1, 6, 6, 1]), 0.5), RangeError, "shapes [2,6,6,1] and [1,6,6,1]");
  assertThrows(() => slerp(a, b, NaN), RangeError, "share is a number, not NaN");
});

Deno.test("a strength that is none is refused", () => {
  for (const strength of [0, -1, 1.01, NaN]) {
    const images = tf.zeros([1, 1, 1, 1]);
    assertThrows(() => fromImages(images, { levels, strength }), RangeError, `at most 1, not ${strength}`);
  }
});
