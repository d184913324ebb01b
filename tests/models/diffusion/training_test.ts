/** Training on any process: times, batches, weights. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, Generator, linearSchedule, noisify, type Tensor, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const { trainingBatch, minSnrWeights } = diffusion;

const moments = (values: number[]) => {
  const mean = values.reduce((a, b) => a + b) / values.length;
  return [mean, Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length)];
};

Deno.test("logit-normal times: log(t/(1−t)) has the mean and spread asked for; uniform times fill the process", async () => {
  const generator = new Generator(3), n = 20_000;
  for (const [mean, std] of [[0, 1], [-0.5, 0.7]]) {
    const times = await numbers(diffusion.logitNormalTimes(n, { mean, std }, generator));
    const [m, s] = moments(times.map((t) => Math.log(t / (1 - t))));
    assert(
      Math.abs(m - mean) < 4 * std / Math.sqrt(n) && Math.abs(s - std) < 4 * std / Math.sqrt(n),
      `${m} ${s}`,
    );
  }
  for (const process of [diffusion.flow(), diffusion.ve()]) {
    const [least, most] = process.times, times = await numbers(diffusion.uniformTimes(process, n, generator));
    const [m, s] = moments(times), width = most - least;
    assert(times.every((t) => t >= least * (1 - 1e-6) && t <= most));
    assert(Math.abs(m - (least + most) / 2) < 4 * width / Math.sqrt(12 * n), `${m}`);
    assert(Math.abs(s / (width / Math.sqrt(12)) - 1) < 0.02, `${s}`);
  }
  const whole = diffusion.uniformTimes(diffusion.vp(linearSchedule({ nSteps: 5 })), 100, generator);
  assertEquals([whole.dtype, [...new Set(await numbers(whole))].sort()], ["int32", [0, 1, 2, 3, 4]]);
});

Deno.test("trainingBatch of a schedule and ε is noisify's, draw for draw", async () => {
  const x0 = random([4, 2, 2, 1], 1), schedule = linearSchedule();
  const ours = trainingBatch(x0, { process: diffusion.vp(schedule), generator: new Generator(5) });
  const [[x, t], ε] = noisify(x0, schedule, { generator: new Generator(5) });
  await assertClose(ours.input, x, 1e-6);
  await assertClose(ours.t, t, 0);
  // ε comes back from x, which at little noise has few digits of it
  await assertClose(ours.target, ε, 2e-4);
});

Deno.test("trainingBatch: a denoiser that says the target gives the images back, whatever process and prediction", async () => {
  const x0 = random([3, 2, 2, 1], 1);
  const processes: [diffusion.Process, number[]][] = [
    [diffusion.vp(diffusion.cosineSchedule()), [100, 500, 900]],
    [diffusion.ve(), [0.1, 1, 20]],
    [diffusion.flow(), [0.1, 0.5, 0.9]],
    [diffusion.cosine(), [0.1, 0.5, 0.9]],
  ];
  for (const [process, at] of processes) {
    for (const prediction of ["epsilon", "sample", "v_prediction", "flow_prediction", "edm"] as const) {
      const times = tf.tensor1d(at, process.steps ? "int32" : "float32");
      const make = () => trainingBatch(x0, { process, prediction, times, generator: new Generator(1) });
      const batch = make(), before = tf.memory().numTensors;
      tf.dispose(make() as unknown as Record<string, Tensor>);
      assertEquals(tf.memory().numTensors, before);
      const { toSample } = diffusion.parametrisation(prediction);
      const x = tf.add(tf.mul(x0, batch.α), tf.mul(new Generator(1).normal(x0.shape), batch.σ));
      await assertClose(toSample(x, batch.target, batch), x0, 2e-5, prediction);
      const told = at.map((time) => process.at(time));
      const expected = told.map(({ α, σ, t }) => prediction === "edm" ? Math.log(σ / α) / 4 : t);
      await assertClose(await numbers(batch.t), expected, 1e-5, `${prediction}: what the network is told`);
    }
  }
});

Deno.test("min-SNR weights: the paper's for ε, x₀ and v, and for others what x̂₀'s error counts", async () => {
  const α = [0.99, 0.8, 0.6, 0.1],
    σ = α.map((a) => Math.sqrt(1 - a * a)),
    snr = α.map((a, i) => (a / σ[i]) ** 2);
  const at = { α: tf.tensor1d(α), σ: tf.tensor1d(σ) };
  const of = (prediction: diffusion.Prediction, gamma = 5) =>
    numbers(minSnrWeights(at, { prediction, gamma }));
  await assertClose(await of("epsilon"), snr.map((s) => Math.min(s, 5) / s), 1e-5);
  await assertClose(await of("sample"), snr.map((s) => Math.min(s, 5)), 1e-5);
  await assertClose(await of("v_prediction", 1), snr.map((s) => Math.min(s, 1) / (s + 1)), 1e-5);
  // An error of what the network says, and of x̂₀ that follows from it, weigh the same.
  const x = tf.zeros([4]), error = 1e-2;
  for (const prediction of ["epsilon", "sample", "v_prediction", "flow_prediction", "edm"] as const) {
    const { toSample } = diffusion.parametrisation(prediction);
    const [wrong, right] = [toSample(x, tf.fill([4], error), at), toSample(x, tf.zeros([4]), at)];
    const off = await numbers(tf.sub(wrong, right));
    await assertClose(
      await of(prediction),
      snr.map((s, i) => Math.min(s, 5) * (off[i] / error) ** 2),
      1e-4,
      prediction,
    );
  }
});

Deno.test("what is none is refused by name", () => {
  const at = { α: tf.ones([1]), σ: tf.ones([1]) }, x0 = tf.zeros([2, 1, 1, 1]), process = diffusion.flow();
  assertThrows(() => minSnrWeights(at, { gamma: 0 }), RangeError, "gamma is over 0, not 0");
  assertThrows(() => minSnrWeights(at, { prediction: "x" as "edm" }), RangeError, "not x");
  assertThrows(() => diffusion.logitNormalTimes(1, { std: 0 }), RangeError, "std is over 0, not 0");
  assertThrows(() => diffusion.logitNormalTimes(1, { mean: NaN }), RangeError, "mean is a number, not NaN");
  assertThrows(
    () => trainingBatch(x0, { process, times: tf.ones([3]) }),
    RangeError,
    "shape [3] for 2 images",
  );
});
