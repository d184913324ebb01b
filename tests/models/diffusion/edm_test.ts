/** EDM's training. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Adam,
  ArrayDataset,
  DataLoaders,
  DeviceCB,
  diffusion,
  F,
  Generator,
  HostArray,
  MetricsCB,
  setSeed,
  SingleBatchCB,
  tf,
  TrainLearner,
  unet,
} from "../../../mod.ts";
import { assertClose, checkGradients, numbers, random } from "../../support.ts";
import { TINY_OF_CLASSES } from "../../tiny.ts";

const { EDMCB, logNormalSigmas, preconditioning } = diffusion;

Deno.test("ln σ is normal with the mean and standard deviation asked for", async () => {
  const σ = await numbers(
    logNormalSigmas(20_000, { meanLogSigma: -0.5, stdLogSigma: 0.7 }, new Generator(1)),
  );
  const logs = σ.map(Math.log), mean = logs.reduce((a, b) => a + b) / logs.length;
  const std = Math.sqrt(logs.reduce((sum, v) => sum + (v - mean) ** 2, 0) / logs.length);
  assertAlmostEquals(mean, -0.5, 0.02);
  assertAlmostEquals(std, 0.7, 0.02);
});

Deno.test("input and target have variance 1 at every level, and D of the target is the image", async () => {
  const sigmaData = 0.7, x0 = tf.mul(random([512, 8, 8, 1], 1), sigmaData);
  for (const meanLogSigma of [-4, -0.36, 3]) {
    const cb = new EDMCB({ sigmaData, meanLogSigma, stdLogSigma: 1e-6 });
    const [[x, t], target] = cb.noisify(x0, new Generator(2));
    assertEquals([x.shape, t.shape, target.shape], [[512, 8, 8, 1], [512], [512, 8, 8, 1]]);
    await assertClose(t, new Float32Array(512).fill(meanLogSigma / 4), 1e-4);
    for (const y of [x, target]) {
      const [mean, square] = [tf.mean(y), tf.mean(tf.square(y))];
      await assertClose(mean, [0], 1e5); // of the largest, which is 0
      assertAlmostEquals((await square.data())[0], 1, 0.03);
    }
    const c = preconditioning(Math.exp(meanLogSigma), sigmaData);
    const D = tf.add(tf.mul(tf.div(x, c.in), c.skip), tf.mul(target, c.out));
    await assertClose(D, x0, 1e-4);
  }
});

Deno.test("the mean squared error is the paper's loss with λ = (σ² + σ_data²)/(σ·σ_data)²", async () => {
  const sigmaData = 0.7, σ = 0.4, x0 = random([2, 4, 4, 1], 1);
  const cb = new EDMCB({ sigmaData, meanLogSigma: Math.log(σ), stdLogSigma: 1e-6 });
  const [[x], target] = cb.noisify(x0, new Generator(2)), F_θ = random([2, 4, 4, 1], 3);
  const c = preconditioning(σ, sigmaData);
  const D = tf.add(tf.mul(tf.div(x, c.in), c.skip), tf.mul(F_θ, c.out));
  const λ = (σ ** 2 + sigmaData ** 2) / (σ * sigmaData) ** 2;
  const paper = tf.mul(tf.mean(tf.square(tf.sub(D, x0))), λ);
  await assertClose(F.mseLoss(F_θ, target), paper, 1e-3);
  await checkGradients((f) => F.mseLoss(f, target), [F_θ]);
});

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
  return DataLoaders.from(set(32), set(8), { batchSize: 8 });
}

Deno.test("a network learns what each class looks like, and evaluation repeats to the bit", async () => {
  setSeed(3);
  const model = new unet.PatchUNet(TINY_OF_CLASSES), sigmaData = 0.8;
  const metrics = Object.assign(new MetricsCB(), { log: () => {} });
  const learn = new TrainLearner(model, greys(), {
    lr: 1e-2,
    optFunc: (params, lr) => new Adam(params, { lr }),
    cbs: [new DeviceCB(), new EDMCB({ sigmaData, meanLogSigma: 0.5, conditions: { classes: 2 } }), metrics],
  });
  await learn.fit(12);
  const losses = metrics.rows.filter((row) => row.train === "eval").map((row) => row.loss);
  assert(losses.at(-1)! < 0.75 * losses[0], `losses ${losses}`);
  await learn.fit(1, { train: false });
  await learn.fit(1, { train: false });
  assertEquals(metrics.rows.at(-1)!.loss, metrics.rows.at(-2)!.loss);
  // From pure noise the class alone tells the grey.
  const denoise = diffusion.denoiser(model, { prediction: "edm", sigmaData });
  const σ = 20, x = tf.mul(random([2, 8, 8, 1], 4), σ);
  const x̂0 = denoise(x, { α: 1, σ, t: 0 }, tf.tensor1d([0, 1], "int32"));
  const [dark, light] = await numbers(tf.mean(x̂0, [1, 2, 3]));
  assert(dark < -0.4 && light > 0.4, `greys ${dark} and ${light}`);
});

Deno.test("evaluation drops no class; a network without classes gets none", async () => {
  for (const conditions of [{ classes: 2, dropout: 1 }, undefined]) {
    const fields = { ...TINY_OF_CLASSES, num_class_embeds: conditions ? 3 : null };
    const learn = new TrainLearner(new unet.PatchUNet(fields), greys(), {
      cbs: [new DeviceCB(), new EDMCB({ conditions }), new SingleBatchCB()],
    });
    await learn.fit(1, { train: false });
    const [[, , labels]] = learn.batch;
    if (!conditions) assertEquals(labels, undefined);
    else assertEquals(await numbers(labels), [0, 1, 0, 1, 0, 1, 0, 1]);
  }
});

Deno.test("what does not fit is refused", async () => {
  for (const [name, value] of Object.entries({ sigmaData: 0, stdLogSigma: -1, meanLogSigma: NaN })) {
    assertThrows(() => new EDMCB({ [name]: value }), RangeError, `EDMCB: ${name} is a number`);
  }
  assertThrows(() => new EDMCB({ conditions: { classes: 0 } }), RangeError, "classes");
  assertThrows(() => new EDMCB({ conditions: { classes: 2, dropout: 2 } }), RangeError, "dropout lies in");
  const model = new unet.PatchUNet(TINY_OF_CLASSES);
  const host = new TrainLearner(model, greys(), { cbs: [new EDMCB()] });
  await assertRejects(() => host.fit(1), Error, "add DeviceCB");
  const images = new ArrayDataset(new HostArray(new Float32Array(64), [1, 8, 8, 1]));
  const bare = new TrainLearner(model, DataLoaders.from(images, images, { batchSize: 1 }), {
    cbs: [new DeviceCB(), new EDMCB({ conditions: { classes: 2 } })],
  });
  await assertRejects(() => bare.fit(1), Error, "no classes behind its images");
});
