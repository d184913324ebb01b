/** DDPM against reference tensors (tests/golden/schedules.safetensors), and the lesson's ways to train it. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Adam,
  DataLoaders,
  DDPMCB,
  DDPMTrainCB,
  decodeSafetensors,
  DeviceCB,
  F,
  Generator,
  HostArray,
  initDdpm,
  Learner,
  linearSchedule,
  MetricsCB,
  Module,
  noisify,
  respace,
  sample,
  setSeed,
  type Tensor,
  tf,
  TrainCB,
  TrainLearner,
  UNet,
  UNet2DModel,
} from "../../mod.ts";
import { startWasm } from "../../core/device/wasm/start.ts";
import { assertClose, device, numbers, random, wasmOnly } from "../support.ts";

const { tensors: golden } = decodeSafetensors(
  await Deno.readFile(new URL("../golden/schedules.safetensors", import.meta.url)),
);

const TINY = {
  ...{ in_channels: 1, out_channels: 1, block_out_channels: [8, 8], layers_per_block: 1 },
  down_block_types: ["DownBlock2D" as const, "AttnDownBlock2D" as const],
  up_block_types: ["AttnUpBlock2D" as const, "UpBlock2D" as const],
  ...{ attention_head_dim: 4, norm_num_groups: 4 },
};

Deno.test("golden: β and ᾱ of the linear schedule", async () => {
  const { β, ᾱ, α, σ } = linearSchedule();
  await assertClose(β, golden.beta.data, 1e-6);
  for (const [t, expected] of golden.alphabar.data.entries()) {
    assert(Math.abs(ᾱ[t] / expected - 1) < 1e-4, `ᾱ[${t}] = ${ᾱ[t]}, not ${expected}`);
  }
  assertEquals([α[3], σ[3]], [1 - β[3], Math.sqrt(β[3])]);
});

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
    const model = new UNet({
      ...{
        in_channels: 1,
        out_channels: 1,
        block_out_channels: [8, 16],
        layers_per_block: 1,
        norm_num_groups: 4,
      },
      down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
      up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
    });
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

Deno.test("respace: the same ᾱ at fewer steps", () => {
  const full = linearSchedule(), half = respace(full, 100);
  assertEquals([half.timesteps[0], half.timesteps[99], half.nSteps], [9, 999, 100]);
  half.timesteps.forEach((t, i) => assert(Math.abs(half.ᾱ[i] / full.ᾱ[t] - 1) < 1e-12));
  assertEquals(respace(full, 1000), full);
});

Deno.test("schedules that are none say why", () => {
  assertThrows(() => linearSchedule({ nSteps: 0 }), RangeError, "not 0");
  assertThrows(() => linearSchedule({ betaMin: 0 }), RangeError, "not 0 and 0.02");
  assertThrows(() => respace(linearSchedule({ nSteps: 10 }), 11), RangeError, "not 11");
});

Deno.test("initDdpm: zero second convolutions and output, orthogonal downsamplers, the rest untouched", async () => {
  const model = new UNet(TINY);
  const middle = await numbers(model.mid_block.resnets[0].conv2.weight);
  initDdpm(model);
  for (const block of [...model.down_blocks, ...model.up_blocks]) {
    for (const { conv1, conv2 } of block.resnets) {
      assert((await numbers(conv2.weight)).every((v) => v === 0));
      assert((await numbers(conv2.bias!)).some((v) => v !== 0));
      assert((await numbers(conv1.weight)).some((v) => v !== 0));
    }
  }
  assert((await numbers(model.conv_out.weight)).every((v) => v === 0));
  assertEquals(await numbers(model.mid_block.resnets[0].conv2.weight), middle);
  const down = tf.reshape(model.down_blocks[0].downsamplers[0].conv.weight, [72, 8]);
  await assertClose(tf.matMul(down, down, true), tf.eye(8), 1e-5);
});

/** Striped images of 8×8. */
function stripes(): DataLoaders {
  const set = (n: number) => ({
    images: new HostArray(Float32Array.from({ length: n * 64 }, (_, i) => (i % 4) / 3), [n, 8, 8, 1]),
    labels: new HostArray(new Uint8Array(n), [n]),
  });
  return DataLoaders.from(set(16), set(8), { batchSize: 8 });
}

Deno.test("both of the lesson's forms train to the same losses, which fall", async () => {
  const schedule = linearSchedule({ nSteps: 50 });
  const start = new UNet(TINY).stateDict();
  const rows: number[][] = [];
  for (const form of ["TrainCB", "Callback"] as const) {
    setSeed(5);
    const model = form === "TrainCB" ? new UNet2DModel(TINY) : new UNet(TINY);
    model.loadStateDict(start);
    const metrics = Object.assign(new MetricsCB(), { log: () => {} });
    const options = {
      lr: 5e-3,
      lossFunc: F.mseLoss,
      optFunc: (params: ConstructorParameters<typeof Adam>[0], lr: number) =>
        new Adam(params, { lr, eps: 1e-5 }),
    };
    const learn = form === "TrainCB"
      ? new Learner(model, stripes(), {
        ...options,
        cbs: [new DeviceCB(), new DDPMTrainCB({ schedule }), metrics],
      })
      : new TrainLearner(model, stripes(), {
        ...options,
        cbs: [new DeviceCB(), new DDPMCB({ schedule }), metrics],
      });
    await learn.fit(6);
    rows.push(metrics.rows.map((r) => r.loss));
  }
  await assertClose(rows[0], rows[1], 1e-5);
  const train = rows[0].filter((_, i) => i % 2 === 0);
  assert(train.at(-1)! < 0.8 * train[0], `losses ${train}`);
});

Deno.test("a plain Learner with TrainCB takes DDPMCB's batch too", async () => {
  setSeed(1);
  const metrics = Object.assign(new MetricsCB(), { log: () => {} });
  const cbs = [
    new DeviceCB(),
    new DDPMCB({ schedule: linearSchedule({ nSteps: 20 }) }),
    new TrainCB(),
    metrics,
  ];
  await new Learner(new UNet(TINY), stripes(), { lr: 1e-3, cbs }).fit(1);
  assert(metrics.rows.every((r) => Number.isFinite(r.loss)));
});
