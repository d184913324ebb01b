/** The lesson's ways to train a model of noise. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Adam,
  ArrayDataset,
  DataLoaders,
  DDPMCB,
  DDPMTrainCB,
  DeviceCB,
  F,
  Generator,
  HostArray,
  Learner,
  linearSchedule,
  MetricsCB,
  noisify,
  RecorderCB,
  respace,
  setSeed,
  tf,
  TrainCB,
  TrainLearner,
  UNet,
  UNet2DModel,
} from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";
import { TINY } from "../../tiny.ts";

/** Striped images of 8×8. */
function stripes(): DataLoaders {
  const set = (n: number) =>
    new ArrayDataset(
      new HostArray(Float32Array.from({ length: n * 64 }, (_, i) => (i % 4) / 3), [n, 8, 8, 1]),
      new HostArray(new Uint8Array(n), [n]),
    );
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

Deno.test("every evaluation draws the same, and training is the same with it and without", async () => {
  const start = new UNet(TINY).stateDict();
  const fit = async (form: "TrainCB" | "Callback", lr: number, valid: boolean) => {
    setSeed(3);
    const model = form === "TrainCB" ? new UNet2DModel(TINY) : new UNet(TINY);
    model.loadStateDict(start);
    const metrics = Object.assign(new MetricsCB(), { log: () => {} });
    const cbs = [new DeviceCB(), form === "TrainCB" ? new DDPMTrainCB() : new DDPMCB(), metrics];
    const learn = form === "TrainCB"
      ? new Learner(model, stripes(), { lr, cbs })
      : new TrainLearner(model, stripes(), { lr, cbs });
    await learn.fit(3, { valid });
    return {
      losses: metrics.rows.filter((row) => row.train === "eval").map((row) => row.loss),
      weight: await numbers(model.conv_in.weight),
    };
  };
  for (const form of ["TrainCB", "Callback"] as const) {
    const still = await fit(form, 0, true), moving = await fit(form, 0.05, true);
    assertEquals(new Set(still.losses).size, 1, `${still.losses}`);
    assertEquals(new Set(moving.losses).size, 3);
    assertEquals((await fit(form, 0.05, false)).weight, moving.weight);
  }
});

Deno.test("a model that is trained on a respaced schedule is told its timesteps", async () => {
  const told = new RecorderCB({ t: (learn) => tf.max(learn.batch[0][1]) });
  const cbs = [new DeviceCB(), new DDPMCB({ schedule: respace(linearSchedule(), 1) }), told];
  await new TrainLearner(new UNet(TINY), stripes(), { lr: 1e-3, cbs }).fit(1);
  await told.flush();
  assertEquals(new Set(told.values.t), new Set([999]));
});

Deno.test("outside a fit it noises the batch of a learner made by hand", async () => {
  const schedule = respace(linearSchedule(), 5);
  for (const cb of [new DDPMCB({ schedule }), new DDPMTrainCB({ schedule })]) {
    for (const training of [true, false]) {
      const learn = { training, batch: [tf.zeros([16, 2, 2, 1])] } as unknown as Learner;
      cb.beforeBatch(learn);
      const [[x, t], ε] = learn.batch;
      const told = await numbers(t);
      assert(told.every((step) => schedule.timesteps.includes(step)), `${told}`);
      assertEquals([x.shape, ε.shape], [[16, 2, 2, 1], [16, 2, 2, 1]]);
    }
  }
});

Deno.test("outside a fit its draws come of the generator that it was given", async () => {
  const generator = new Generator(5), schedule = linearSchedule(), x0 = tf.zeros([4, 2, 2, 1]);
  const cb = new DDPMCB({ schedule, generator }), same = new Generator(5);
  for (let batch = 0; batch < 2; batch++) {
    const learn = { training: true, batch: [x0] } as unknown as Learner;
    cb.beforeBatch(learn);
    const [[, t], ε] = noisify(x0, schedule, { generator: same });
    await assertClose(learn.batch[0][1], t, 0);
    await assertClose(learn.batch[1], ε, 0);
  }
});

Deno.test("without DeviceCB the error says so", async () => {
  const learn = new TrainLearner(new UNet(TINY), stripes(), { lr: 1e-3, cbs: [new DDPMCB()] });
  await assertRejects(
    () => learn.fit(1),
    Error,
    "The batch is still on the host: add DeviceCB to the callbacks",
  );
  const other = new Learner(new UNet2DModel(TINY), stripes(), { lr: 1e-3, cbs: [new DDPMTrainCB()] });
  await assertRejects(() => other.fit(1), Error, "add DeviceCB");
});
