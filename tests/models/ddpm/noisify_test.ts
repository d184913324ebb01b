/** Noising against reference tensors (tests/golden/schedules.safetensors). */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeSafetensors, Generator, linearSchedule, noisify, respace, tf } from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";

const { tensors: golden } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/schedules.safetensors", import.meta.url)),
);

Deno.test("golden: noisify at given timesteps and noise", async () => {
  const nhwc = (name: string) => tf.transpose(golden[name].toTensor(), [0, 2, 3, 1]);
  const t = Int32Array.from(golden["noisify.t"].data);
  const [[xt, ts], ε] = noisify(nhwc("noisify.x0"), linearSchedule().ᾱ, { t, noise: nhwc("noisify.eps") });
  await assertClose(xt, nhwc("noisify.xt"), 1e-5);
  await assertClose(ε, nhwc("noisify.eps"), 0);
  assertEquals(await numbers(ts), [...t]);
});

Deno.test("noisify draws every timestep, and unit noise", async () => {
  const schedule = linearSchedule({ nSteps: 10 });
  const [[xt, t], ε] = noisify(tf.zeros([500, 4, 4, 1]), schedule.ᾱ, { generator: new Generator(1) });
  const ts = await numbers(t);
  assertEquals(new Set(ts).size, 10);
  assert(Math.min(...ts) === 0 && Math.max(...ts) === 9);
  const noise = await numbers(ε), x = await numbers(xt);
  const variance = noise.reduce((s, v) => s + v * v, 0) / noise.length;
  assert(Math.abs(variance - 1) < 0.05);
  await assertClose(x, noise.map((v, i) => v * Math.sqrt(1 - schedule.ᾱ[ts[Math.floor(i / 16)]])), 1e-5);
});

Deno.test("the model is told the schedule's timesteps; ᾱ alone counts its own steps", async () => {
  const schedule = respace(linearSchedule(), 5), x = tf.zeros([64, 2, 2, 1]);
  const told = async (of: Parameters<typeof noisify>[1]) => {
    const [[, t]] = noisify(x, of, { generator: new Generator(1) });
    assertEquals(t.dtype, "int32");
    return new Set((await numbers(t)).toSorted((a, b) => a - b));
  };
  assertEquals([...await told(schedule)], [199, 399, 599, 799, 999]);
  assertEquals([...await told(schedule.ᾱ)], [0, 1, 2, 3, 4]);
});

Deno.test("steps outside the schedule, and steps or noise of another shape are refused", () => {
  const x = tf.ones([3, 2, 2, 1]), schedule = linearSchedule();
  for (const t of [1000, -1, 2 ** 31 - 1]) {
    assertThrows(
      () => noisify(x, schedule, { t: Int32Array.of(999, t, 0) }),
      RangeError,
      `0 to 999, not ${t}`,
    );
  }
  assertThrows(() => noisify(x, schedule, { t: Int32Array.of(1) }), RangeError, "1 steps t for 3 images");
  for (const shape of [[1, 2, 2, 1], [3, 2, 2], []]) {
    assertThrows(
      () => noisify(x, schedule, { noise: tf.zeros(shape) }),
      RangeError,
      `[${shape}] for images of [3,2,2,1]`,
    );
  }
});

Deno.test("schedules leave a few tables on the device; a changed ᾱ is seen", async () => {
  const before = tf.memory().numTensors;
  for (let i = 0; i < 50; i++) {
    const schedule = respace(linearSchedule({ betaMax: 0.02 + i / 100 }), 10);
    tf.tidy(() => void noisify(tf.zeros([1, 2, 2, 1]), schedule));
  }
  assert(tf.memory().numTensors - before <= 12, `${tf.memory().numTensors - before} tensors more`);
  const { ᾱ } = linearSchedule({ nSteps: 3 });
  const signal = async () => {
    const one = tf.ones([1, 1, 1, 1]);
    return (await numbers(noisify(one, ᾱ, { t: Int32Array.of(1), noise: tf.zerosLike(one) })[0][0]))[0];
  };
  await assertClose([await signal()], [Math.sqrt(ᾱ[1])], 1e-6);
  ᾱ[1] = 0.25;
  await assertClose([await signal()], [0.5], 1e-6);
});

Deno.test("ᾱ outside [0, 1] is refused", () => {
  for (const wrong of [-0.1, 1.1, NaN]) {
    assertThrows(() => noisify(tf.zeros([1, 2, 2, 1]), [0.5, wrong]), RangeError, `not ${wrong}`);
  }
});
