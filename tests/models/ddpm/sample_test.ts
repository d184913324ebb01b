/** Sampling against reference tensors (tests/golden/schedules.safetensors), and a sampler of one's own. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ddpmStep,
  decodeSafetensors,
  Dropout,
  Generator,
  linearSchedule,
  Module,
  respace,
  sample,
  type SampleStep,
  type StepInputs,
  type Tensor,
  tf,
  UNet,
  UNet2DModel,
} from "../../../mod.ts";
import { startWasm } from "../../../core/device/wasm/start.ts";
import { assertClose, device, numbers, random, wasmOnly } from "../../support.ts";
import { TINY } from "../../tiny.ts";

const { tensors: golden } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/schedules.safetensors", import.meta.url)),
);

/** A model of noise that is a formula. */
class Formula extends Module<[Tensor, number], Tensor> {
  constructor(readonly f: (x: Tensor, t: number) => Tensor) {
    super();
  }
  override forward(x: Tensor, t: number): Tensor {
    return this.f(x, t);
  }
}

Deno.test("sample: algorithm 2 by hand, step by step", async () => {
  const schedule = linearSchedule({ nSteps: 6, betaMin: 0.05, betaMax: 0.3 });
  const { β, α, ᾱ, σ } = schedule;
  const model = new Formula((x, t) => tf.mul(tf.tanh(x), 0.3 + 0.1 * t));
  const xT = random([1, 2, 2, 1], 5), zs = [0, 1, 2, 3, 4, 5].map((t) => random([1, 2, 2, 1], 20 + t));
  const images = await sample(model, [1, 2, 2, 1], { schedule, xT, noise: (t) => tf.clone(zs[t]) });
  let x = await numbers(xT);
  const made: number[][] = [];
  for (let t = 5; t >= 0; t--) {
    const z = await numbers(zs[t]), prev = t ? ᾱ[t - 1] : 1;
    x = x.map((v, i) => {
      const ε = Math.tanh(v) * (0.3 + 0.1 * t);
      const x0 = Math.max(-1, Math.min(1, (v - Math.sqrt(1 - ᾱ[t]) * ε) / Math.sqrt(ᾱ[t])));
      const mean = x0 * Math.sqrt(prev) * β[t] / (1 - ᾱ[t]) + v * Math.sqrt(α[t]) * (1 - prev) / (1 - ᾱ[t]);
      return mean + (t ? σ[t] * z[i] : 0);
    });
    made.push(x);
  }
  assertEquals(images.length, 6);
  for (const [i, image] of images.entries()) await assertClose(image.data, made[i], 1e-4, `step ${i}`);
});

Deno.test("golden: 50 steps of sampling, the model of noise being x·(t+1)/1000", async () => {
  const nhwc = (data: ArrayLike<number>, from = 0) =>
    tf.tensor(Array.from(data).slice(from, from + 128), [2, 8, 8, 1]); // one channel: NCHW is NHWC
  const images = await sample(new Formula((x, t) => tf.mul(x, (t + 1) / 1000)), [2, 8, 8, 1], {
    schedule: linearSchedule({ nSteps: 50 }),
    xT: nhwc(golden["sample.x_T"].data),
    noise: (t) => nhwc(golden["sample.z"].data, (49 - t) * 128), // in the order of use
  });
  await assertClose(images[24].data, golden["sample.x_25"].data, 1e-4);
  // The reference's ᾱ are float32: near t = 0 its 1 − ᾱ has four good digits.
  await assertClose(images[49].data, golden["sample.x_0"].data, 5e-4);
});

Deno.test("sample: the same seed draws the same, only what is kept is returned, nothing leaks, the mode stays", async () => {
  const model = new UNet2DModel(TINY), schedule = linearSchedule({ nSteps: 8 });
  const draw = (seed: number) =>
    sample(model, [2, 8, 8, 1], { schedule, generator: new Generator(seed), keep: (t) => t % 4 === 0 });
  const a = await draw(3), before = tf.memory().numTensors;
  const b = await draw(3), c = await draw(4);
  assertEquals(tf.memory().numTensors, before);
  assertEquals([a.length, a.at(-1)!.shape, model.training], [2, [2, 8, 8, 1], true]);
  assertEquals(b, a);
  assert(c[0].data.join() !== a[0].data.join());
});

Deno.test({
  name: "a thousand sampling steps allocate no more than a hundred",
  ...wasmOnly,
  async fn() {
    const { pool } = await startWasm(device.threads);
    const model = new UNet(TINY);
    const used: Record<number, unknown> = {};
    await sample(model, [2, 16, 16, 1], {
      schedule: linearSchedule(),
      keep: () => false,
      onStep(t) {
        const { numTensors, numBytes, numDataBuffers } = tf.memory();
        used[t] = [numTensors, numBytes, numDataBuffers, pool.memory.buffer.byteLength];
      },
    });
    assertEquals(used[0], used[900]);
    model.dispose();
  },
});

/** DDIM with η = 0 (Song et al. 2020, eq. 12): the next image has the same noise. */
const ddim: SampleStep = ({ x, t, schedule: { ᾱ }, predict }) => {
  const ᾱ_prev = t > 0 ? ᾱ[t - 1] : 1;
  const ε = predict(x, t);
  const x̂0 = tf.div(tf.sub(x, tf.mul(ε, Math.sqrt(1 - ᾱ[t]))), Math.sqrt(ᾱ[t]));
  return tf.add(tf.mul(x̂0, Math.sqrt(ᾱ_prev)), tf.mul(ε, Math.sqrt(1 - ᾱ_prev)));
};

Deno.test("a sampler of one's own is one function: DDIM goes straight to the image that a perfect model means", async () => {
  const full = linearSchedule({ nSteps: 100 });
  const image = random([2, 4, 4, 1], 3), ε = random([2, 4, 4, 1], 4);
  const perfect = new Formula((x, t) =>
    tf.div(tf.sub(x, tf.mul(image, Math.sqrt(full.ᾱ[t]))), Math.sqrt(1 - full.ᾱ[t]))
  );
  const mix = (t: number) => tf.add(tf.mul(image, Math.sqrt(full.ᾱ[t])), tf.mul(ε, Math.sqrt(1 - full.ᾱ[t])));
  for (const nSteps of [2, 10]) {
    const schedule = respace(full, nSteps);
    const images = await sample(perfect, [2, 4, 4, 1], { schedule, step: ddim, xT: mix(99) });
    for (const [i, { data }] of images.entries()) {
      const t = schedule.timesteps[nSteps - 2 - i];
      await assertClose(
        data,
        await numbers(t === undefined ? image : mix(t)),
        1e-4,
        `${nSteps} steps, image ${i}`,
      );
    }
  }
});

Deno.test("a step may look at the model twice, return what it was given, and leaves nothing behind", async () => {
  const schedule = linearSchedule({ nSteps: 4 });
  const seen: number[] = [];
  const model = new Formula((x, t) => {
    seen.push(t);
    return tf.mul(x, 0.5);
  });
  const step: SampleStep = (inputs) => {
    const { x, t, predict } = inputs;
    if (t === 2) return x;
    predict(x, Math.max(0, t - 1));
    return ddpmStep(inputs);
  };
  const before = tf.memory().numTensors;
  const images = await sample(model, [1, 2, 2, 1], { schedule, step });
  assertEquals([seen, images[1]], [[2, 3, 0, 1, 0, 0], images[0]]);
  assertEquals(tf.memory().numTensors, before);
});

/** A network with dropout behind it. */
class Dropping extends Module<[Tensor, number], Tensor> {
  unet = new UNet(TINY);
  drop = new Dropout(0.3);
  override forward(x: Tensor, t: number): Tensor {
    return this.drop.call(this.unet.call(x, t));
  }
}

Deno.test("samplings of one model at once draw as each alone, and leave the model's mode", async () => {
  const model = new Dropping();
  model.unet.eval();
  const draw = async (seed: number, nSteps: number) => {
    const schedule = linearSchedule({ nSteps });
    return (await sample(model, [1, 8, 8, 1], { schedule, generator: new Generator(seed) })).at(-1);
  };
  const alone = [await draw(1, 3), await draw(2, 8)];
  assertEquals(await Promise.all([draw(1, 3), draw(2, 8)]), alone);
  assertEquals([model.training, model.unet.training, model.drop.training], [true, false, true]);
  const failing: SampleStep = () => {
    throw new Error("no step");
  };
  const schedule = linearSchedule({ nSteps: 3 });
  await sample(model, [1, 8, 8, 1], { schedule, step: failing }).catch(() => {});
  assertEquals([model.training, model.unet.training, model.drop.training], [true, false, true]);
});

Deno.test("an image depends on the seed and its index alone, however many are drawn and of whatever size", async () => {
  const model = new UNet(TINY);
  for (const side of [8, 6]) {
    const draw = async (n: number) => {
      const schedule = linearSchedule({ nSteps: 4 });
      const images = await sample(model, [n, side, side, 1], { schedule, generator: new Generator(9) });
      return images.at(-1)!.data;
    };
    const [four, pixels] = [await draw(4), side * side];
    assert(four.subarray(0, pixels).join() !== four.subarray(pixels, 2 * pixels).join());
    for (const n of [1, 3]) {
      await assertClose(await draw(n), four.subarray(0, n * pixels), 1e-5, `${n} images`);
    }
  }
  const noise = new Formula((x) => tf.zerosLike(x)); // odd numbers of pixels, each two of which share a draw
  const odd = async (n: number) =>
    (await sample(noise, [n, 3, 3, 1], {
      schedule: linearSchedule({ nSteps: 3 }),
      generator: new Generator(1),
    }))[0];
  assertEquals((await odd(5)).data.slice(0, 18), (await odd(2)).data);
});

/** DDIM with η = 1 (eq. 16), which is ancestral sampling with the posterior's variance. */
const ddimOfEta1: SampleStep = ({ x, t, schedule: { ᾱ }, predict, noise }) => {
  const ᾱ_prev = t > 0 ? ᾱ[t - 1] : 1;
  const σ = Math.sqrt((1 - ᾱ_prev) / (1 - ᾱ[t]) * (1 - ᾱ[t] / ᾱ_prev));
  const ε = predict(x, t);
  const x̂0 = tf.div(tf.sub(x, tf.mul(ε, Math.sqrt(1 - ᾱ[t]))), Math.sqrt(ᾱ[t]));
  const mean = tf.add(tf.mul(x̂0, Math.sqrt(ᾱ_prev)), tf.mul(ε, Math.sqrt(1 - ᾱ_prev - σ ** 2)));
  return t > 0 ? tf.add(mean, tf.mul(noise(), σ)) : mean;
};

Deno.test("fixed_small is DDIM with η = 1", async () => {
  const schedule = respace(linearSchedule(), 10);
  const model = new Formula((x, t) => tf.mul(tf.tanh(x), t / 1000));
  const draw = (step: SampleStep) =>
    sample(model, [2, 4, 4, 1], { schedule, step, generator: new Generator(2), clip: [-1e9, 1e9] });
  const [a, b] = [await draw(ddpmStep), await draw(ddimOfEta1)];
  for (const [i, image] of a.entries()) await assertClose(image.data, b[i].data, 1e-4, `step ${i}`);
});

Deno.test("a start or a model's output of another shape, and images that are not finite are refused", async () => {
  const schedule = linearSchedule({ nSteps: 3 }), model = new Formula((x) => x);
  const draw = (f: Formula, xT?: Tensor) => sample(f, [2, 4, 4, 1], { schedule, xT, keep: (t) => t === 0 });
  const before = tf.memory().numTensors;
  for (const shape of [[1, 4, 4, 1], [2, 4, 4], [2, 4, 4, 3]]) {
    const xT = tf.zeros(shape);
    await assertRejects(() => draw(model, xT), RangeError, `shape [${shape}], not [2,4,4,1]`);
    xT.dispose();
  }
  const wide = new Formula((x) => tf.concat([x, x], 3)), one = new Formula(() => tf.zeros([1]));
  await assertRejects(() => draw(wide), RangeError, "noise of shape [2,4,4,2] for images of [2,4,4,1]");
  await assertRejects(() => draw(one), RangeError, "noise of shape [1] for images of [2,4,4,1]");
  const first = ({ x }: StepInputs) => tf.slice(x, 0, 1);
  const short = sample(model, [2, 4, 4, 1], { schedule, step: first });
  await assertRejects(() => short, RangeError, "what a step gives has the shape [1,4,4,1], not [2,4,4,1]");
  const nan = new Formula((x) => tf.mul(x, NaN));
  for (const step of [ddpmStep, ddim]) {
    const drawing = sample(nan, [2, 4, 4, 1], { schedule, step });
    await assertRejects(() => drawing, Error, "the images of step 2 are not finite");
  }
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("an aborted signal ends a sampling with its reason; a step that gives a promise is refused", async () => {
  const schedule = linearSchedule({ nSteps: 6 }), model = new Formula((x) => x), steps: number[] = [];
  const before = tf.memory().numTensors, generator = new Generator(1);
  const controller = new AbortController(), { signal } = controller;
  const drawing = sample(model, [1, 2, 2, 1], {
    schedule,
    signal,
    generator,
    onStep: (t) => {
      steps.push(t);
      if (t === 3) controller.abort(new Error("hung up"));
    },
  });
  await assertRejects(() => drawing, Error, "hung up");
  assertEquals([steps, tf.memory().numTensors], [[5, 4, 3], before]);
  const { state } = generator;
  await assertRejects(
    () => sample(model, [1, 2, 2, 1], { schedule, signal, generator }),
    Error,
    "hung up",
  );
  assertEquals(generator.state, state);
  const later = (async ({ x }: StepInputs) => await Promise.resolve(x)) as unknown as SampleStep;
  const promised = sample(model, [1, 2, 2, 1], { schedule, step: later });
  await assertRejects(() => promised, Error, "sample: a step gives a tensor, at once, not [object Promise]");
});

Deno.test("a size without images is refused", async () => {
  const schedule = linearSchedule({ nSteps: 1 });
  for (const n of [0, -1, 1.5]) {
    await assertRejects(
      () => sample(new Dropout(0), [n, 4, 4, 1], { schedule }),
      RangeError,
      `not [${n},4,4,1]`,
    );
  }
});
