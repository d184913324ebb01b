/** The sinusoidal embedding of timesteps. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type TensorInfo, tf, timestepEmbedding, unet } from "../../../mod.ts";
import golden from "../../golden/layers.json" with { type: "json" };
import { assertClose, numbers } from "../../support.ts";

/** The definition: sines and cosines of t at `half` frequencies. */
function defined(t: number, half: number, freqShift: number): { sines: number[]; cosines: number[] } {
  const angles = Array.from(
    { length: half },
    (_, i) => t * Math.exp(-Math.log(10000) * i / (half - freqShift)),
  );
  return { sines: angles.map(Math.sin), cosines: angles.map(Math.cos) };
}

Deno.test("timestepEmbedding by its definition, with Diffusers' default of freqShift", async () => {
  const t = tf.tensor1d([0, 3, 999], "int32");
  for (const freqShift of [undefined, 0, 1]) {
    const expected = [0, 3, 999].flatMap((t) => {
      const { sines, cosines } = defined(t, 4, freqShift ?? 1);
      return sines.concat(cosines);
    });
    await assertClose(timestepEmbedding(t, 8, { freqShift }), expected, 1e-3, `freqShift ${freqShift}`);
  }
});

Deno.test("timestepEmbedding: sines and cosines are asked for from −π to π alone, as WGSL promises them", async () => {
  const { sin, cos } = {
    sin: tf.getKernel("Sin", tf.getBackend()),
    cos: tf.getKernel("Cos", tf.getBackend()),
  };
  const asked: Promise<ArrayLike<number>>[] = [];
  for (const kernel of [sin, cos]) {
    tf.unregisterKernel(kernel.kernelName, kernel.backendName);
    tf.registerKernel({
      ...kernel,
      kernelFunc: (call) => {
        asked.push(Promise.resolve(tf.backend().read((call.inputs.x as TensorInfo).dataId)) as never);
        return kernel.kernelFunc(call);
      },
    });
  }
  try {
    const t = tf.tensor1d(Array.from({ length: 1000 }, (_, i) => i), "int32");
    const embedded = await numbers(timestepEmbedding(t, 8, { maxPeriod: 100 }));
    const angles = (await Promise.all(asked)).flatMap((values) => Array.from(values));
    assert(angles.length === 8000 && angles.every((angle) => Math.abs(angle) <= Math.PI + 1e-6));
    await assertClose(
      embedded.filter((_, i) => i % 8 === 0),
      Array.from({ length: 1000 }, (_, i) => Math.sin(i)),
      1e-4,
    );
  } finally {
    for (const kernel of [sin, cos]) {
      tf.unregisterKernel(kernel.kernelName, kernel.backendName);
      tf.registerKernel(kernel);
    }
  }
});

Deno.test("timestepEmbedding: cosines first where asked; the last number of an odd size is 0", async () => {
  const t = tf.tensor1d([0, 3, 999], "int32");
  const flipped = await numbers(timestepEmbedding(t, 8, { flipSinToCos: true }));
  await assertClose(flipped.slice(0, 4), [1, 1, 1, 1], 1e-6);
  const odd = timestepEmbedding(t, 9);
  assertEquals(odd.shape, [3, 9]);
  assertEquals((await numbers(odd)).filter((_, i) => i % 9 === 8), [0, 0, 0]);
});

Deno.test("timestepEmbedding refuses sizes without frequencies: their exponent has 0 below the line", () => {
  const t = tf.tensor1d([1]);
  assertThrows(() => timestepEmbedding(t, 2), RangeError, "not 2 / 2");
  assertThrows(() => timestepEmbedding(t, 1, { freqShift: 0 }), RangeError, "not 1 / 2");
  assertThrows(() => timestepEmbedding(t, 7.5), RangeError, "not 7.5 / 2");
  assertEquals(timestepEmbedding(t, 2, { freqShift: 0 }).shape, [1, 2]);
});

Deno.test("options and timesteps that give no angles are refused", () => {
  const t = tf.tensor1d([1]);
  for (const maxPeriod of [0, -1, NaN, Infinity]) {
    assertThrows(() => timestepEmbedding(t, 8, { maxPeriod }), RangeError, `not ${maxPeriod}`);
  }
  for (const freqShift of [-1, NaN, -Infinity]) {
    assertThrows(() => timestepEmbedding(t, 8, { freqShift }), RangeError, `not ${freqShift}`);
  }
  assertThrows(() => timestepEmbedding(tf.zeros([2, 2]), 8), RangeError, "t is [N], not of shape [2,2]");
});

Deno.test("timestepEmbedding: Diffusers' numbers, its options by their names there", async () => {
  const t = tf.tensor1d([0, 3, 517.5, 999]);
  for (const { dim, options, y: [shape, expected] } of golden.embeddings) {
    const { flip_sin_to_cos, downscale_freq_shift, max_period } = options as Record<string, never>;
    const embedded = timestepEmbedding(t, dim, {
      flipSinToCos: flip_sin_to_cos,
      freqShift: downscale_freq_shift,
      maxPeriod: max_period,
    });
    assertEquals(embedded.shape, shape);
    await assertClose(embedded, expected, 2e-4);
  }
});

Deno.test("timestepEmbedding is as near for long times as float32's angle is", async () => {
  const times = [12345, 99999, 199999];
  const embedded = await numbers(timestepEmbedding(tf.tensor1d(times), 4, { freqShift: 0 }));
  for (const [i, t] of times.entries()) {
    for (const [k, frequency] of [1, 0.01].entries()) {
      const angle = Math.fround(t * Math.fround(frequency));
      for (const [at, value] of [[k, Math.sin(angle)], [2 + k, Math.cos(angle)]]) {
        assert(
          Math.abs(embedded[4 * i + at] - value) < 1e-3,
          `${t}: ${embedded[4 * i + at]} is not ${value}`,
        );
      }
    }
  }
});

Deno.test("GaussianFourierProjection: sines and cosines of 2π·f·log t, frequencies that are kept and not trained", async () => {
  const projection = new unet.GaussianFourierProjection(3, 16), t = [0.002, 1, 80];
  const frequencies = await numbers(projection.weight.value);
  assertEquals(projection.parameters(), []);
  assertEquals(Object.keys(projection.stateDict()), ["weight"]);
  const angles = t.map((v) => frequencies.map((f) => 2 * Math.PI * f * Math.log(v)));
  const expected = angles.flatMap((row) => [...row.map(Math.sin), ...row.map(Math.cos)]);
  await assertClose(projection.call(tf.tensor1d(t)), expected, 2e-3); // 100 turns in float32
  for (const wrong of [0, -1, NaN]) {
    assertThrows(() => projection.call(tf.tensor1d([1, wrong])), RangeError, `above 0 (time_embedding_type`);
  }
  assertThrows(() => projection.call(tf.ones([1, 2])), RangeError, "not of shape [1,2]");
  assertThrows(() => new unet.GaussianFourierProjection(0, 16), RangeError, "channels");
  assertThrows(() => new unet.GaussianFourierProjection(4, 0), RangeError, "scale");
});
