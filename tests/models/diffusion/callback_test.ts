/** Training on any process: what a batch becomes, weights, and that a network learns classes. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Adam,
  ArrayDataset,
  currentGpu,
  DataLoaders,
  DeviceCB,
  diffusion,
  F,
  Generator,
  HostArray,
  type Learner,
  linearSchedule,
  type LossFunc,
  MetricsCB,
  noisify,
  setSeed,
  SingleBatchCB,
  type Tensor,
  tf,
  TrainLearner,
  UNet,
} from "../../../mod.ts";
import { assertClose, device, numbers, random, wasmOnly } from "../../support.ts";
import { TINY } from "../../tiny.ts";

const { DiffusionCB, weightedMseLoss } = diffusion;

/** Images of one of two greys, by their class. */
function greys(): DataLoaders {
  const set = (n: number) =>
    new ArrayDataset(
      new HostArray(Float32Array.from({ length: n * 64 }, (_, i) => Math.floor(i / 64) % 2 ? 0.8 : -0.8), [
        n,
        8,
        8,
        1,
      ]),
      new HostArray(Int32Array.from({ length: n }, (_, i) => i % 2), [n]),
    );
  return DataLoaders.from(set(64), set(8), { batchSize: 8 });
}

const conditions = { classes: 2 };

Deno.test("of a schedule and ε it makes what noisify makes; with minSnr the weights of its levels", async () => {
  const x0 = random([4, 2, 2, 1], 1), schedule = linearSchedule();
  const process = diffusion.vp(schedule);
  const [[x, t], ε] = new DiffusionCB({ process }).noisify(x0, new Generator(5));
  const [[theirs, step], noise] = noisify(x0, schedule, { generator: new Generator(5) });
  await assertClose(x, theirs, 1e-6);
  await assertClose(t, step, 0);
  await assertClose(ε, noise, 2e-4);
  const weighted = new DiffusionCB({ process, prediction: "v_prediction", minSnr: 3 });
  weighted.noisify(x0, new Generator(5)); // makes constants, which stay
  const before = tf.memory().numTensors, made = weighted.noisify(x0, new Generator(5));
  assertEquals([made.length, made[2]!.shape, tf.memory().numTensors], [3, [4, 1, 1, 1], before + 4]);
  const snr = (await numbers(step)).map((t) => (process.at(t).α / process.at(t).σ) ** 2);
  await assertClose(await numbers(made[2]!), snr.map((s) => Math.min(s, 3) / (s + 1)), 1e-5);
});

Deno.test("times are drawn as asked: a flow's are logit-normal", async () => {
  const times = (n: number, generator: Generator) =>
    diffusion.logitNormalTimes(n, { mean: 2, std: 0.1 }, generator);
  const cb = new DiffusionCB({ process: diffusion.flow(), prediction: "flow_prediction", times });
  const [[, t]] = cb.noisify(tf.zeros([64, 1, 1, 1]), new Generator(1));
  const drawn = await numbers(t), mean = drawn.reduce((a, b) => a + b) / 64;
  assert(Math.abs(mean / 1000 - 1 / (1 + Math.exp(-2))) < 0.01, `${mean}`);
});

const PROCESSES: Record<string, [options: diffusion.DiffusionOptions, loss: LossFunc]> = {
  "a flow": [{ process: diffusion.flow(), prediction: "flow_prediction", conditions }, F.mseLoss],
  "the cosine schedule, v and min-SNR weights": [
    { process: diffusion.vp(diffusion.cosineSchedule()), prediction: "v_prediction", minSnr: 5, conditions },
    weightedMseLoss,
  ],
};

for (const [name, [options, lossFunc]] of Object.entries(PROCESSES)) {
  // Software Vulkan takes most of a minute for one.
  const { ignore } = name === "a flow" ? { ignore: false } : wasmOnly;
  Deno.test(
    `a network learns by ${name} what each class looks like, and its guided samples do`,
    { ignore },
    async () => {
      setSeed(3);
      const model = new UNet({ ...TINY, num_class_embeds: 3 });
      const metrics = Object.assign(new MetricsCB(), { log: () => {} });
      const learn = new TrainLearner(model, greys(), {
        lr: 1e-2,
        lossFunc,
        optFunc: (params, lr) => new Adam(params, { lr, eps: 1e-5 }),
        cbs: [new DeviceCB(), new DiffusionCB(options), metrics],
      });
      await learn.fit(8);
      const losses = metrics.rows.filter((row) => row.train === "eval").map((row) => row.loss);
      assert(losses.at(-1)! < 0.5 * losses[0], `losses ${losses}`);
      await learn.fit(1, { train: false });
      await learn.fit(1, { train: false });
      assertEquals(metrics.rows.at(-1)!.loss, metrics.rows.at(-2)!.loss);

      const denoise = diffusion.denoiser(model, { prediction: options.prediction });
      const classes = tf.tensor1d([0, 1, 0, 1], "int32");
      const levels = diffusion.levels(options.process, 6);
      const drawn = await diffusion.sample(diffusion.guided(denoise, classes, { scale: 2, none: 2 }), [
        4,
        8,
        8,
        1,
      ], {
        levels,
        generator: new Generator(1),
        clip: [-1, 1],
      });
      const means = [0, 1, 2, 3].map((i) =>
        Array.from(drawn.data.subarray(64 * i, 64 * i + 64)).reduce((a, b) => a + b) / 64
      );
      assert(means.every((mean, i) => Math.abs(mean - (i % 2 ? 0.8 : -0.8)) < 0.4), `${means}`);
    },
  );
}

Deno.test("evaluation drops no class; a network without classes gets none", async () => {
  for (const told of [{ classes: 2, dropout: 1 }, undefined]) {
    const learn = new TrainLearner(new UNet({ ...TINY, num_class_embeds: told ? 3 : null }), greys(), {
      cbs: [
        new DeviceCB(),
        new DiffusionCB({ process: diffusion.flow(), conditions: told }),
        new SingleBatchCB(),
      ],
    });
    await learn.fit(1, { train: false });
    const [[, , labels]] = learn.batch;
    if (told) assertEquals(await numbers(labels), [0, 1, 0, 1, 0, 1, 0, 1]);
    else assertEquals(labels, undefined);
  }
});

Deno.test("what does not fit is refused by name", async () => {
  const process = diffusion.flow();
  const make = (options: Partial<diffusion.DiffusionOptions>) => () =>
    new DiffusionCB({ process, ...options });
  assertThrows(make({ minSnr: 0 }), RangeError, "DiffusionCB: minSnr is over 0, not 0");
  assertThrows(make({ prediction: "x" as "edm" }), RangeError, "not x");
  assertThrows(make({ prediction: "edm", sigmaData: -1 }), RangeError, "sigmaData is over 0, not -1");
  assertThrows(make({ conditions: { classes: 0 } }), RangeError, "DiffusionCB: classes");
  const host = new TrainLearner(new UNet(TINY), greys(), { cbs: [new DiffusionCB({ process })] });
  await assertRejects(() => host.fit(1), Error, "add DeviceCB");
  const images = new ArrayDataset(new HostArray(new Float32Array(64), [1, 8, 8, 1]));
  const bare = new TrainLearner(new UNet(TINY), DataLoaders.from(images, images, { batchSize: 1 }), {
    cbs: [new DeviceCB(), new DiffusionCB({ process, conditions })],
  });
  await assertRejects(() => bare.fit(1), Error, "no classes behind its images");
});

Deno.test({
  name: "on a GPU noising uploads nothing, once its constants are there",
  ignore: device.name !== "webgpu",
  fn() {
    const { backend } = currentGpu()!, { uploadToGPU } = backend, x0 = random([4, 2, 2, 1], 1);
    const labels = tf.tensor1d([0, 1, 0, 1], "int32"), seen: number[][] = [];
    const processes = [diffusion.vp(linearSchedule()), diffusion.ve(), diffusion.flow(), diffusion.cosine()];
    const generator = new Generator(1);
    tf.add(labels, labels).dispose(); // uploads them
    for (const process of processes) {
      for (const prediction of ["epsilon", "sample", "v_prediction", "flow_prediction", "edm"] as const) {
        const cb = new DiffusionCB({ process, prediction, minSnr: 5 });
        const noise = () =>
          tf.tidy(() => {
            cb.noisify(x0, generator);
            diffusion.dropClasses(labels, { classes: 2, dropout: 0.3 }, generator);
            diffusion.logitNormalTimes(4, { mean: 0.1 }, generator);
            diffusion.logNormalSigmas(4, {}, generator);
          });
        noise();
        seen.length = 0;
        backend.uploadToGPU = (id: object) => {
          const data = backend.tensorMap.get(id);
          if (data.values && !data.resource) seen.push(data.shape);
          return uploadToGPU.call(backend, id);
        };
        try {
          noise();
        } finally {
          backend.uploadToGPU = uploadToGPU;
        }
        assertEquals(seen, [], `${prediction} of a process to ${process.times[1]}`);
      }
    }
  },
});

Deno.test("outside a fit the callbacks noise the batch of a learner made by hand", () => {
  const cbs = [
    new DiffusionCB({ process: diffusion.vp(linearSchedule()) }),
    new diffusion.EDMCB({ sigmaData: 0.5 }),
    new diffusion.ConsistencyCB({ stageBatches: 1 }),
  ];
  const model = { call: ([x]: Tensor[]) => tf.zerosLike(x) };
  for (const cb of cbs) {
    for (const training of [true, false]) {
      const learn = { training, model, batch: [random([4, 2, 2, 1], 1)] } as unknown as Learner;
      cb.beforeEpoch(learn);
      cb.beforeBatch(learn);
      const [[x, t], target] = learn.batch;
      assertEquals([x.shape, t.shape, target.shape], [[4, 2, 2, 1], [4], [4, 2, 2, 1]]);
    }
  }
});
