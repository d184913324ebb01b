/** Consistency tuning. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Adam,
  ArrayDataset,
  CheckpointCB,
  DataLoaders,
  DeviceCB,
  diffusion,
  Generator,
  HostArray,
  type Learner,
  MetricsCB,
  setSeed,
  SingleBatchCB,
  type Tensor,
  tf,
  TrainLearner,
  unet,
} from "../../../mod.ts";
import { assertClose, checkGradients, device, numbers, random } from "../../support.ts";
import { TINY_OF_CLASSES } from "../../tiny.ts";

const { ConsistencyCB, consistency, consistencyLoss, pairedSigmas, preconditioning } = diffusion;
const SIGMA_DATA = 0.7;

Deno.test("the levels of a pair come nearer at each stage, and begin at the image", async () => {
  const σ = [0.01, 0.5, 5, 80], t = tf.tensor1d(σ);
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  for (const stage of [0, 1, 3, 6]) {
    const expected = σ.map((t) => Math.max(1e-4, t * (1 - (1 + 8 * sigmoid(-t)) / 2 ** (stage + 1))));
    await assertClose(pairedSigmas(t, stage), expected, 1e-5);
  }
  const [least] = await numbers(pairedSigmas(t, 0));
  assertAlmostEquals(least, 1e-4, 1e-9);
  await assertClose(pairedSigmas(t, 1, { q: 4, k: 0 }), σ.map((t) => t * (1 - 1 / 16)), 1e-5);
});

Deno.test("a network that knows the image has no loss: its estimates are the same at both levels", async () => {
  const μ = 0.3,
    x0 = tf.fill([16, 4, 4, 1], μ),
    cb = new ConsistencyCB({ stageBatches: 1, sigmaData: SIGMA_DATA });
  /** What makes D the image at every level: F = (μ − c_skip·x)/c_out. */
  const ideal = (x: Tensor, t: Tensor) => {
    const c = preconditioning(tf.exp(tf.mul(tf.reshape(t, [-1, 1, 1, 1]), 4)), SIGMA_DATA);
    return tf.div(tf.sub(μ, tf.mul(tf.div(x, c.in), c.skip)), c.out) as Tensor;
  };
  for (const stage of [1, 4]) {
    const [[x, t], ...rest] = cb.pair(x0 as Tensor, stage, ideal, new Generator(stage));
    const [loss] = await numbers(consistencyLoss(1e-3)(ideal(x, t), ...rest));
    assert(loss < 1e-2, `loss ${loss}`);
    const [wrong] = await numbers(consistencyLoss(1e-3)(tf.zerosLike(x), ...rest));
    assert(wrong > 100 * loss, `loss ${wrong} of a network that says 0`);
  }
});

Deno.test("the loss by hand: a network that says 0 passes c_skip of each image on", async () => {
  const n = 6, stage = 2, x0 = tf.zeros([n, 2, 2, 1]), c = 0.05;
  const cb = new ConsistencyCB({ stageBatches: 1, sigmaData: SIGMA_DATA });
  const [[x, told], ...rest] = cb.pair(x0, stage, (x) => tf.zerosLike(x), new Generator(5));
  const [loss] = await numbers(consistencyLoss(c)(tf.zerosLike(x), ...rest));
  const t = (await numbers(told)).map((v) => Math.exp(4 * v));
  const r = await numbers(pairedSigmas(tf.tensor1d(t), stage));
  const input = await numbers(x), skip = (σ: number) => SIGMA_DATA ** 2 / (σ ** 2 + SIGMA_DATA ** 2);
  const expected = t.map((t, i) => {
    const squares = input.slice(4 * i, 4 * i + 4).map((v) => {
      const ε = v * Math.hypot(t, SIGMA_DATA) / t; // c_in·t·ε = v
      return (ε * (skip(t) * t - skip(r[i]) * r[i])) ** 2;
    });
    return (Math.sqrt(squares.reduce((a, b) => a + b) + c * c) - c) / (t - r[i]);
  });
  assertAlmostEquals(loss, expected.reduce((a, b) => a + b) / n, 1e-3 * loss);
});

Deno.test("the loss's gradient; its default c is 0.00054 of the root of an image's numbers", async () => {
  const [f, target] = [random([3, 4, 4, 1], 1), random([3, 4, 4, 1], 2)];
  const out = tf.reshape(tf.tensor1d([0.5, 0.7, 0.1]), [3, 1, 1, 1]), weight = tf.tensor1d([1, 2, 30]);
  await checkGradients((f) => consistencyLoss(0.1)(f, target, out, weight), [f]);
  await assertClose(
    consistencyLoss()(f, target, out, weight),
    consistencyLoss(0.00054 * 4)(f, target, out, weight),
    1e-6,
  );
  for (const c of [0, -1, NaN]) assertThrows(() => consistencyLoss(c), RangeError, `not ${c}`);
});

/** Images of one of two greys, by their class. */
function greys(): DataLoaders {
  const set = (n: number) => {
    const pixels = Float32Array.from({ length: n * 16 }, (_, i) => Math.floor(i / 16) % 2 ? 0.8 : -0.8);
    const labels = Int32Array.from({ length: n }, (_, i) => i % 2);
    return new ArrayDataset(new HostArray(pixels, [n, 4, 4, 1]), new HostArray(labels, [n]));
  };
  return DataLoaders.from(set(32), set(8), { batchSize: 8 });
}

const network = (classes: number | null = 3) =>
  new unet.PatchUNet({ ...TINY_OF_CLASSES, num_class_embeds: classes });

Deno.test("a network learns to give the image of a class in one evaluation", async () => {
  setSeed(3);
  const model = network(), metrics = Object.assign(new MetricsCB(), { log: () => {} });
  const options = { sigmaData: 0.8, meanLogSigma: 0.5, stdLogSigma: 1.2, q: 1.2, conditions: { classes: 2 } };
  const learn = new TrainLearner(model, greys(), {
    lr: 5e-3,
    lossFunc: consistencyLoss(),
    optFunc: (params, lr) => new Adam(params, { lr }),
    cbs: [new DeviceCB(), new ConsistencyCB({ ...options, stageBatches: 1000 }), metrics],
  });
  await learn.fit(15);
  const losses = metrics.rows.filter((row) => row.train === "eval").map((row) => row.loss);
  assert(losses.at(-1)! < 0.85 * losses[0], `losses ${losses}`);
  const denoise = diffusion.denoiser(model, { prediction: "edm", sigmaData: 0.8 });
  const classes = tf.tensor1d([0, 1], "int32");
  for (const σ of [[10], [10, 1]]) {
    const levels = [...σ, 0].map((σ) => ({ α: 1, σ, t: σ }));
    const images = await diffusion.sample(diffusion.ofClasses(denoise, classes), [2, 4, 4, 1], {
      levels,
      sampler: consistency(),
      generator: new Generator(1),
    });
    const mean = (i: number) =>
      Array.from(images.data).slice(16 * i, 16 * i + 16).reduce((a, b) => a + b) / 16;
    assert(mean(0) < -0.4 && mean(1) > 0.4, `${σ.length} evaluations: greys ${mean(0)} and ${mean(1)}`);
  }
});

Deno.test("stages count training batches of one fit; a resumed fit goes on in its stage", async () => {
  const stages: number[] = [];
  const cb = new (class extends ConsistencyCB {
    override afterBatch(learn: Learner) {
      if (learn.training) stages.push(this.stageOf(learn));
      super.afterBatch(learn);
    }
  })({ stageBatches: 3 });
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  const learner = (resume: boolean) =>
    new TrainLearner(network(null), greys(), {
      lossFunc: consistencyLoss(),
      cbs: [new DeviceCB(), cb, new CheckpointCB({ path, resume })],
    });
  await learner(false).fit(2);
  assertEquals(stages.splice(0), [0, 0, 0, 1, 1, 1, 2, 2]);
  await learner(true).fit(3);
  assertEquals(stages.splice(0), [2, 3, 3, 3]);
  await learner(false).fit(1);
  assertEquals(stages, [0, 0, 0, 1]);
  await Deno.remove(path);
});

Deno.test("evaluation drops no class, and the loss is that of the batch", async () => {
  const model = network();
  const cb = new ConsistencyCB({ stageBatches: 1, conditions: { classes: 2, dropout: 1 } });
  const learn = new TrainLearner(model, greys(), {
    lossFunc: consistencyLoss(),
    cbs: [new DeviceCB(), cb, new SingleBatchCB()],
  });
  await learn.fit(1, { train: false });
  assertEquals(await numbers(learn.batch[0][2]), [0, 1, 0, 1, 0, 1, 0, 1]);
  const [[x, t, classes], target, out, weight] = learn.batch;
  assertEquals([target.shape, out.shape, weight.shape], [[8, 4, 4, 1], [8, 1, 1, 1], [8]]);
  const loss = await numbers(consistencyLoss()(model.call([x, t, classes]), target, out, weight));
  await assertClose(loss, await numbers(learn.loss), device.name === "wasm" ? 1e-5 : 1e-3);
});

Deno.test("the sampler gives the image by new noise of the next level", async () => {
  const inputs = {
    x: tf.fill([1, 2, 2, 1], 3) as Tensor,
    at: { α: 1, σ: 2, t: 2 },
    i: 0,
    nSteps: 2,
    denoise: (x: Tensor) => tf.mul(x, 0.5) as Tensor,
    noise: () => tf.ones([1, 2, 2, 1]) as Tensor,
  };
  const step = consistency();
  await assertClose(step({ ...inputs, to: { α: 1, σ: 0.2, t: 0.2 } }).x, [1.7, 1.7, 1.7, 1.7], 1e-6);
  await assertClose(step({ ...inputs, to: { α: 1, σ: 0, t: 0 } }).x, [1.5, 1.5, 1.5, 1.5], 1e-6);
});

Deno.test("levels begin at much noise, and are evenly spaced in log σ", async () => {
  const of = (n: number) => diffusion.consistencyLevels(n, 40).map(({ σ }) => σ);
  assertEquals(of(1), [40, 0]);
  await assertClose(of(4), [40, 12 / 120 ** 0.25, 12 / 120 ** 0.5, 12 / 120 ** 0.75, 0], 1e-6);
  for (const n of [0, 1.5]) assertThrows(() => diffusion.consistencyLevels(n), RangeError, `not ${n}`);
  assertThrows(() => diffusion.consistencyLevels(1, 12), RangeError, "sigmaMax is a number above 12, not 12");
});

Deno.test("what does not fit is refused", async () => {
  const wrong = { stageBatches: 0, sigmaData: 0, stdLogSigma: -1, meanLogSigma: NaN, q: 1, k: -1, b: 0 };
  for (const [name, value] of Object.entries(wrong)) {
    const make = () => new ConsistencyCB({ stageBatches: 1, [name]: value });
    assertThrows(make, RangeError, `ConsistencyCB: ${name} is a`);
  }
  const make = () => new ConsistencyCB({ stageBatches: 1, conditions: { classes: 1.5 } });
  assertThrows(make, RangeError, "ConsistencyCB: classes is a positive whole number");
  const host = new TrainLearner(network(), greys(), { cbs: [new ConsistencyCB({ stageBatches: 1 })] });
  await assertRejects(() => host.fit(1), Error, "add DeviceCB");
});
