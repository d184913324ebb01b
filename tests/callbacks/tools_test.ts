/** miniai's further callbacks: each test fails when the callback's effect is taken away. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  AccumulateGradCB,
  BatchNorm1d,
  BatchTransformCB,
  Callback,
  CapturePreds,
  type DataLoader,
  DataLoaders,
  DeviceCB,
  Dropout,
  EarlyStoppingCB,
  EMACB,
  EpochSchedCB,
  F,
  flipBatch,
  GradientClipCB,
  HooksCallback,
  HostArray,
  type Learner,
  Linear,
  LRFinderCB,
  MetricsCB,
  Module,
  OneCycleLR,
  Sequential,
  SGD,
  type Tensor,
  TerminateOnNaNCB,
  TestTimeDropoutCB,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { assertClose, numbers, random } from "../support.ts";

/** Twenty-four points of y = Σx to train on, eight to evaluate on. */
async function loaders(batchSize = 8): Promise<DataLoaders> {
  const set = async (n: number, seed: number) => {
    const x = Float32Array.from(await numbers(random([n, 3], seed)));
    const y = Float32Array.from({ length: n }, (_, i) => x[3 * i] + x[3 * i + 1] + x[3 * i + 2]);
    return { images: new HostArray(x, [n, 3]), labels: new HostArray(y, [n, 1]) };
  };
  return DataLoaders.from(await set(24, 1), await set(8, 2), { batchSize, shuffle: false });
}

/** A learner of a straight line; `scale` sets its weights. */
async function line(cbs: Callback[], { lr = 0.05, batchSize = 8 } = {}): Promise<TrainLearner> {
  const model = new Linear(3, 1);
  model.weight.assign(tf.tensor2d([[0.5, -0.5, 2]]));
  model.bias!.assign(tf.tensor1d([0.25]));
  return new TrainLearner(model, await loaders(batchSize), {
    lr,
    optFunc: (params, lr) => new SGD(params, { lr }),
    cbs: [new DeviceCB(), ...cbs],
  });
}
const weights = (learn: Learner) => numbers((learn.model as Linear).weight);
const quiet = () => Object.assign(new MetricsCB(), { log: () => {} });

Deno.test("LRFinderCB raises the rate by gamma until the loss explodes, and suggests one before that", async () => {
  const finder = new LRFinderCB({ gamma: 2 });
  const learn = await line([]);
  await learn.fit(50, { lr: 1e-4, cbs: [finder] });
  const { lrs, losses } = finder;
  lrs.forEach((lr, i) => assert(Math.abs(lr / (1e-4 * 2 ** i) - 1) < 1e-6, `rate ${i}: ${lr}`));
  assert(losses.at(-1)! > 3 * Math.min(...losses), `${losses}`);
  assert(lrs.length < 40, `${lrs.length} batches`);
  assert(finder.suggestion! > 1e-4 && finder.suggestion! < lrs.at(-1)!);
  assertMatch(await finder.plot(), /^<svg/);
  assertThrows(() => new LRFinderCB({ gamma: 1 }), RangeError, "gamma must be over 1, not 1");
});

Deno.test("learn.lrFind writes the plot and prints the suggestion", async () => {
  const path = await Deno.makeTempFile({ suffix: ".svg" });
  const lines: string[] = [];
  const found = await (await line([], { batchSize: 24 })).lrFind({
    gamma: 2,
    startLr: 1e-4,
    maxEpochs: 50,
    path,
    log: (l) => lines.push(l),
  });
  assertMatch(lines.join(), /^Suggested lr: \d\.\de-?\d/);
  assertMatch(await Deno.readTextFile(path), /^<svg/);
  assert(found.lrs.length > 5);
  await Deno.remove(path);
});

Deno.test("AccumulateGradCB: two batches of 8 and their rest are one of 16 and one of 8", async () => {
  const small = await line([new AccumulateGradCB(2)]), large = await line([], { batchSize: 16 });
  await small.fit(2, { valid: false });
  await large.fit(2, { valid: false });
  await assertClose(await weights(small), await weights(large), 1e-5);
  // Taken off again: the next fit steps every batch.
  const plain = await line([]);
  small.cbs = small.cbs.slice(0, 1);
  plain.model.loadStateDict(small.model.stateDict());
  await small.fit(1, { valid: false });
  await plain.fit(1, { valid: false });
  await assertClose(await weights(small), await weights(plain), 1e-6);
  assertThrows(() => new AccumulateGradCB(0), RangeError, "not 0");
});

Deno.test("GradientClipCB: the step has the gradient's direction and at most that norm", async () => {
  const clip = new GradientClipCB(0.01);
  const learn = await line([clip], { lr: 1, batchSize: 24 });
  const all = async () => [...await weights(learn), ...await numbers((learn.model as Linear).bias!)];
  const before = await all();
  await learn.fit(1, { valid: false });
  const change = (await all()).map((w, i) => before[i] - w);
  assert(Math.abs(Math.hypot(...change) - 0.01) < 1e-6, `norm ${Math.hypot(...change)}`);
  assert(await clip.norm() > 1, `norm before ${await clip.norm()}`);
  const loose = await line([new GradientClipCB(1e6)]), free = await line([]);
  await loose.fit(1);
  await free.fit(1);
  assertEquals(await weights(loose), await weights(free));
});

Deno.test("EarlyStoppingCB ends after `patience` epochs without improvement", async () => {
  const stopper = new EarlyStoppingCB({ patience: 2, minDelta: 10 }), metrics = quiet();
  await (await line([metrics, stopper])).fit(20);
  assertEquals(metrics.rows.at(-1)!.epoch, 3); // the first is an improvement on nothing, then three are not
  const lively = quiet();
  await (await line([lively, new EarlyStoppingCB({ patience: 2 })])).fit(6);
  assertEquals(lively.rows.at(-1)!.epoch, 5);
  // A second fit with the same callbacks forgives as many epochs again.
  const again = quiet(), learn = await line([again, new EarlyStoppingCB({ patience: 1, minDelta: 10 })]);
  await learn.fit(20);
  await learn.fit(20);
  assertEquals(again.rows.filter((r) => r.train === "eval").map((r) => r.epoch), [0, 1, 2, 0, 1, 2]);
  const alone = await line([new EarlyStoppingCB()]);
  await assertRejects(() => alone.fit(1), Error, "there is no MetricsCB");
  const wrong = await line([quiet(), new EarlyStoppingCB({ metric: "accuracy" })]);
  await assertRejects(() => wrong.fit(1), Error, 'no metric "accuracy"; there are');
});

Deno.test("EMACB: the average by hand, used in evaluation, put back for training, applied at the end", async () => {
  const ema = new EMACB(0.8), seen: number[][] = [];
  class Watch extends Callback {
    override order = 200;
    override async afterStep(learn: Learner) {
      seen.push(await weights(learn));
    }
  }
  let evaluated = Promise.resolve<number[]>([]);
  const look = new HooksCallback(({ module }) => {
    evaluated = numbers((module as Linear).weight);
  }, { onTrain: false, onValid: true });
  const learn = await line([ema, look, new Watch()]);
  let average = await weights(learn);
  await learn.fit(1);
  for (const w of seen) average = average.map((a, i) => 0.8 * a + 0.2 * w[i]);
  await assertClose(await evaluated, average, 1e-5);
  assertEquals(await weights(learn), seen.at(-1));
  ema.apply();
  await assertClose(await weights(learn), average, 1e-5);
  ema.dispose();
  assertThrows(() => new EMACB(1), RangeError, "not 1");
});

Deno.test("TerminateOnNaNCB stops, naming the batch and the layer", async () => {
  class Explode extends Module<[Tensor], Tensor> {
    override forward(x: Tensor) {
      return tf.div(x, 0);
    }
  }
  const said: string[] = [];
  const guard = new TerminateOnNaNCB((l) => said.push(l));
  const model = new Sequential(new Linear(3, 3), new Explode(), new Linear(3, 1));
  const metrics = quiet();
  const learn = new TrainLearner(model, await loaders(), { cbs: [new DeviceCB(), metrics, guard] });
  await learn.fit(3);
  assertEquals(metrics.rows.length, 0);
  assertMatch(said[0], /^The loss is (NaN|Infinity) in epoch 0, training batch 0: .* that of 1 \(Explode\)$/);
  assertEquals(guard.problem, said[0]);
  const sound = new TerminateOnNaNCB();
  await (await line([sound])).fit(1);
  assertEquals(sound.problem, undefined);
});

Deno.test("BatchTransformCB changes what the model sees, where it is on", async () => {
  for (const [onTrain, onVal] of [[true, true], [true, false], [false, true]]) {
    const sums: Record<string, number[]> = { train: [], eval: [] };
    class Watch extends Callback {
      override order = 50;
      override async beforeBatch(learn: Learner) {
        sums[learn.training ? "train" : "eval"].push(...await numbers(tf.sum(tf.abs(learn.batch[0]))));
      }
    }
    const zero = new BatchTransformCB(([x, y]) => [tf.mul(x, 0), y], { onTrain, onVal });
    await (await line([zero, new Watch()])).fit(1);
    assertEquals([sums.train.every((s) => s === 0), sums.eval.every((s) => s === 0)], [onTrain, onVal]);
  }
});

Deno.test("CapturePreds and learn.capturePreds: every prediction and target in order, nothing trained", async () => {
  const learn = await line([], { batchSize: 3 });
  const before = await weights(learn);
  const [preds, targets] = await learn.capturePreds();
  assertEquals([preds.shape, targets.shape], [[8, 1], [8, 1]]);
  const [images, labels] = await (learn.dls.valid as DataLoader).dataset.items(
    Int32Array.from({ length: 8 }, (_, i) => i),
  );
  await assertClose(preds.data, await numbers(learn.model.call(images.toTensor())), 1e-5);
  assertEquals(Array.from(targets.data), Array.from(labels.data));
  assertEquals([await weights(learn), learn.cbs.length], [before, 1]);
  assertThrows(() => new CapturePreds().all, Error, "no batch");
});

Deno.test("learn.tta: the mean of the predictions with and without the changes", async () => {
  const learn = await line([]);
  const [plain] = await learn.capturePreds();
  const negate = ([x, y]: Tensor[]) => [tf.neg(x), y], zero = ([x, y]: Tensor[]) => [tf.mul(x, 0), y];
  const [mean, targets] = await learn.tta(negate, zero);
  // of x, −x and 0 a line gives b on average
  mean.data.forEach((v) => assert(Math.abs(v - 0.25) < 1e-5, `${v}`));
  assertEquals([mean.shape, targets.shape], [plain.shape, [8, 1]]);
  const flipped = flipBatch([tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 2, 3, 1]), 7]);
  assertEquals([await numbers(flipped[0]), flipped[1]], [[3, 2, 1, 6, 5, 4], 7]);
});

Deno.test("TestTimeDropoutCB: every kind of dropout is on in evaluation, batch norm is not", async () => {
  /** Written from scratch, as in the lesson. */
  class MyDropout extends Module<[Tensor], Tensor> {
    override forward(x: Tensor) {
      return this.training ? F.dropout(x, 0.5) : tf.clone(x);
    }
  }
  for (const layer of [new Dropout(0.5), new MyDropout()]) {
    const norm = new BatchNorm1d(3);
    const model = new Sequential(norm, layer, new Linear(3, 1));
    const learn = new TrainLearner(model, await loaders(), { cbs: [new DeviceCB()], optFunc: null });
    const pass = async (cbs: Callback[]) => Array.from((await learn.capturePreds(cbs))[0].data);
    assertEquals(await pass([]), await pass([]));
    const [a, b] = [await pass([new TestTimeDropoutCB()]), await pass([new TestTimeDropoutCB()])];
    assert(a.some((v, i) => v !== b[i]), "two passes are alike");
    assertEquals(await numbers(norm.running_mean.value), [0, 0, 0]);
    assert(layer.training && norm.training, "the mode is another one after the fit");
    assertEquals(await pass([]), await pass([]));
  }
});

Deno.test("EpochSchedCB steps once a training epoch", async () => {
  const rates: number[] = [];
  class Watch extends Callback {
    override beforeBatch(learn: Learner) {
      if (learn.training) rates.push(learn.opt!.paramGroups[0].lr);
    }
  }
  const make = (totalSteps: number) => {
    assertEquals(totalSteps, 4);
    return totalSteps;
  };
  const sched = new EpochSchedCB((opt, n) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps: make(n) }));
  await (await line([sched, new Watch()])).fit(4);
  assertEquals(rates.length, 12);
  assertEquals(new Set(rates).size, 4);
  for (let i = 0; i < 12; i += 3) assertEquals(new Set(rates.slice(i, i + 3)).size, 1);
});
