/** Processes: levels at times, times of levels, levels of a batch on the device. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, linearSchedule, respace, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const { cosine, flow, levelOf, ve, vp } = diffusion;

const linear = linearSchedule();

/** Each process, with times of it. */
const PROCESSES: Record<string, [diffusion.Process, number[]]> = {
  "vp": [vp(linear), [0, 1, 499.25, 998.9, 999]],
  "vp, respaced": [vp(respace(linear, 10)), [0, 0.5, 7, 8.25, 9]],
  "vp of one step": [vp(respace(linear, 1)), [0]],
  "ve": [ve(), [0.002, 0.7, 80, 500]],
  "flow": [flow(), [0.001, 0.3, 0.5, 1]],
  "cosine": [cosine(), [0.001, 0.3, 0.5, 0.999]],
};

for (const [name, [process, times]] of Object.entries(PROCESSES)) {
  Deno.test(`${name}: the time of a level's σ/α is its time, noise grows with it`, () => {
    let before = -1;
    for (const time of times) {
      const { α, σ } = process.at(time), ratio = σ / α;
      assert(
        Math.abs(process.timeOf(ratio) - time) < 1e-9 * Math.max(1, time),
        `${process.timeOf(ratio)}, not ${time}`,
      );
      assert(ratio > before);
      before = ratio;
      const own = levelOf(process, ratio);
      assert(ratio === Infinity ? own.α === 0 : Math.abs(own.σ / own.α / ratio - 1) < 1e-9);
    }
  });

  Deno.test(`${name}: a batch on the device has the levels of its times`, async () => {
    const whole = process.steps ? times.filter(Number.isInteger) : times;
    const given = tf.tensor1d(whole, process.steps ? "int32" : "float32");
    const before = tf.memory().numTensors;
    process.batch(given); // makes its tables
    const made = tf.memory().numTensors, batch = process.batch(given);
    assertEquals(tf.memory().numTensors - made, 3);
    assert(made - before >= 3);
    assertEquals([batch.α.shape, batch.σ.shape, batch.t.shape], [
      [whole.length, 1, 1, 1],
      [whole.length, 1, 1, 1],
      [whole.length],
    ]);
    const expected = whole.map((time) => process.at(time));
    await assertClose(await numbers(batch.α), expected.map(({ α }) => α), 1e-6);
    await assertClose(await numbers(batch.σ), expected.map(({ σ }) => σ), 1e-6);
    await assertClose(await numbers(batch.t), expected.map(({ t }) => t), 1e-6);
  });
}

Deno.test("vp: the schedule's ᾱ at its steps, the timesteps that a respaced one tells", () => {
  for (const schedule of [linear, respace(linear, 10), diffusion.cosineSchedule()]) {
    const process = vp(schedule);
    assertEquals(process.steps, schedule.nSteps);
    for (const t of [0, 3, schedule.nSteps - 1]) {
      const level = process.at(t);
      assert(
        Math.abs(level.α ** 2 / schedule.ᾱ[t] - 1) < 1e-9 &&
          Math.abs(level.α ** 2 + level.σ ** 2 - 1) < 1e-12,
      );
      assertEquals(level.t, schedule.timesteps[t]);
    }
  }
});

Deno.test("ve, flow and cosine are what their papers say; the network is told a scaled time", () => {
  assertEquals(ve().at(3), { α: 1, σ: 3, t: 3 });
  assertEquals(flow().at(0.25), { α: 0.75, σ: 0.25, t: 250 });
  assertEquals(flow({ timeScale: 1 }).at(1), { α: 0, σ: 1, t: 1 });
  const { α, σ, t } = cosine().at(0.5);
  assert(Math.abs(α - Math.SQRT1_2) < 1e-15 && Math.abs(σ - Math.SQRT1_2) < 1e-15 && t === 500);
  assertEquals([cosine().at(1), cosine().at(0)], [{ α: 0, σ: 1, t: 1000 }, { α: 1, σ: 0, t: 0 }]);
});

Deno.test("rescaled: the network sees its own level's images, and x̂₀ comes back as it is", async () => {
  const process = vp(linear), x = random([2, 2, 2, 1], 1), before = tf.memory().numTensors;
  const levels: diffusion.NoiseLevel[] = [ve().at(3), flow().at(0.7), process.at(400), { α: 2, σ: 3, t: 0 }];
  for (const at of levels) {
    let own = at;
    const seen: Promise<number[]>[] = [];
    const denoise = diffusion.rescaled((x, level) => {
      own = level;
      seen.push(numbers(x));
      return tf.mul(x, 2);
    }, process);
    const x̂0 = denoise(x, at), [input] = await Promise.all(seen);
    assert(Math.abs(own.σ / own.α - at.σ / at.α) < 1e-9 && Math.abs(Math.hypot(own.α, own.σ) - 1) < 1e-9);
    await assertClose(input, (await numbers(x)).map((v) => v * own.α / at.α), 1e-6);
    await assertClose(x̂0, input.map((v) => 2 * v), 1e-6);
    x̂0.dispose();
  }
  assertEquals(tf.memory().numTensors, before);
  // At pure noise, which a flow begins with, a network that knows it is asked there.
  const ends = vp(diffusion.zeroTerminalSnr(linear));
  const told: number[] = [];
  diffusion.rescaled((x, { t }) => (told.push(t), tf.clone(x)), ends)(x, flow().at(1)).dispose();
  assertEquals(told, [999]);
});

Deno.test("times, noise and options that a process has not are refused by name", () => {
  const process = vp(linear);
  assertThrows(() => process.at(1000), RangeError, "vp: a time lies between 0 and 999, not 1000");
  assertThrows(() => process.at(NaN), RangeError, "not NaN");
  assertThrows(() => process.timeOf(200), RangeError, "vp: σ/α lies between 0.01");
  assertThrows(() => process.timeOf(0.001), RangeError, "not 0.001");
  assertThrows(() => flow().at(1.1), RangeError, "flow: a time lies between 0 and 1, not 1.1");
  assertThrows(() => cosine().timeOf(-1), RangeError, "cosine: σ/α lies between 0 and Infinity, not -1");
  assertThrows(() => ve().at(Infinity), RangeError, "ve: a time lies between 0");
  assertThrows(() => ve({ sigmaMin: 0 }), RangeError, "0 < sigmaMin < sigmaMax, not 0 and 80");
  for (const make of [flow, cosine]) {
    assertThrows(
      () => make({ timeScale: 0 }),
      RangeError,
      `${make.name}: timeScale is a number over 0, not 0`,
    );
  }
});
