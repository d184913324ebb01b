/** The lesson's classifiers: sizes, cost, what they learn; summary and activation statistics on them. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  ActivationStats,
  AdamW,
  type Callback,
  DataLoaders,
  DDPMCB,
  DeviceCB,
  Dropout,
  Dropout2d,
  F,
  Flatten,
  GeneralRelu,
  HooksCallback,
  HostArray,
  initWeights,
  Linear,
  type Module,
  resnet,
  Sequential,
  setSeed,
  showImages,
  type Tensor,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { assertClose, numbers, random, wasmOnly } from "../support.ts";

/** n images of 28×28 in two classes: bright above or bright below. */
async function halves(n: number, seed: number) {
  const noise = await numbers(random([n, 28, 28, 1], seed));
  const labels = Int32Array.from({ length: n }, (_, i) => i % 2);
  const images = Float32Array.from(noise, (v, i) => {
    const image = Math.floor(i / 784), top = i % 784 < 392;
    return 0.3 * v + (top === (labels[image] === 0) ? 1 : 0);
  });
  return { images: new HostArray(images, [n, 28, 28, 1]), labels: new HostArray(labels, [n]) };
}

async function learner(model: Module, cbs: Callback[] = []): Promise<TrainLearner> {
  const dls = DataLoaders.from(await halves(32, 1), await halves(16, 2), { batchSize: 16 });
  return new TrainLearner(model, dls, {
    lossFunc: F.crossEntropy,
    lr: 3e-3,
    optFunc: (params, lr) => new AdamW(params, { lr }),
    cbs: [new DeviceCB(), ...cbs],
  });
}

/** Parameters and running statistics, as one text: a million numbers are too many to tell a difference of. */
async function snapshot(model: Module): Promise<string> {
  return (await Promise.all(Object.values(model.stateDict()).map(numbers))).join();
}

for (
  const [name, make, parameters, mflop] of [
    ["getModel", resnet.getModel, 4_907_588, null],
    ["getModel2", resnet.getModel2, 4_907_588, 33.0],
    ["getModel3", resnet.getModel3, 1_231_428, 18.3],
    ["getModel4", resnet.getModel4, 1_224_948, 13.3],
  ] as const
) {
  Deno.test(`${name}: miniai's parameters${mflop ? " and MFLOP" : ""}, by learn.summary`, async () => {
    const lines: string[] = [];
    const learn = await learner(make());
    const rows = await learn.summary((l) => lines.push(l));
    const total = (of: (r: typeof rows[number]) => number) => rows.reduce((s, r) => s + of(r), 0);
    assertEquals(total((r) => r.parameters), parameters);
    if (mflop) assertEquals(total((r) => r.mflop).toFixed(1), mflop.toFixed(1));
    assertEquals([rows[0].input, rows.at(-1)!.output], [[16, 28, 28, 1], [16, 10]]);
    assertMatch(lines.at(-1)!, new RegExp(`^total\\s+${parameters.toLocaleString("en")}`));
  });
}

Deno.test("getDropModel has both dropouts in their places; without a rate it is getModel", () => {
  const { layers } = resnet.getDropModel(0.1);
  assert(layers[1] instanceof Dropout2d && layers[1].p === 0.1);
  assert(layers.at(-3) instanceof Dropout && !(layers.at(-3) instanceof Dropout2d));
  assert(layers.at(-2) instanceof Linear);
  assertEquals(resnet.getDropModel(0).layers.length, layers.length - 2);
});

Deno.test("norm null leaves no norm, after the linear layer neither; act null no activation", () => {
  const kinds = (model: Module) => [...model.namedModules()].map(([, m]) => m.constructor.name);
  const plain = resnet.getModel4({ norm: null });
  assert(!kinds(plain).some((name) => name.startsWith("BatchNorm")), kinds(plain).join());
  assert((plain.layers.at(-1) as Linear).bias !== null);
  assert(!kinds(new resnet.ResBlock(2, 2, { act: null })).includes("GeneralRelu"));
});

Deno.test("ResBlock by hand: act(convs(x) + idconv(pool(x)))", async () => {
  const block = new resnet.ResBlock(3, 5, { stride: 2 }), x = random([2, 7, 7, 3], 4);
  const sum = tf.add(block.convs.call(x), block.idconv!.call(F.averagePool(x))) as Tensor;
  await assertClose(block.call(x), F.generalRelu(sum, 0.1, 0.4), 1e-5);
  assertEquals(block.call(x).shape, [2, 4, 4, 5]);
  const same = new resnet.ResBlock(4, 4);
  assertEquals([same.idconv, same.pool], [null, null]);
  assertEquals(resnet.conv(1, 8, { stride: 1, act: null }).layers.length, 1);
});

Deno.test({
  name: "a classifier learns two classes in some steps",
  ...wasmOnly,
  async fn() {
    setSeed(3);
    const model = resnet.getModel4();
    initWeights(model, 0.1);
    const learn = await learner(model);
    await learn.fit(20);
    const [preds, targets] = await learn.capturePreds();
    const right = Array.from(targets.data).filter((label, i) => {
      const row = Array.from(preds.data.subarray(10 * i, 10 * i + 10));
      return row.indexOf(Math.max(...row)) === label;
    });
    assert(right.length >= 14, `${right.length} of 16`);
  },
});

Deno.test("predict: mean probabilities, confidence and spread over passes, by hand", () => {
  const pass = (...v: number[]) => new HostArray(Float32Array.from(v, Math.log), [2, 2]);
  const { probabilities, predicted, confidence, spread } = resnet.predict([
    pass(0.9, 0.1, 0.4, 0.6),
    pass(0.5, 0.5, 0.2, 0.8),
  ]);
  const near = (a: ArrayLike<number>, b: number[]) =>
    b.forEach((v, i) => assert(Math.abs(a[i] - v) < 1e-6, `${a[i]}`));
  near(probabilities.data, [0.7, 0.3, 0.3, 0.7]);
  assertEquals(Array.from(predicted), [0, 1]);
  near(confidence, [0.7, 0.7]);
  near(spread, [0.2, 0.1]);
  assertThrows(() => resnet.predict([]), Error, "one pass at least");
  assertThrows(
    () => resnet.predict([pass(1, 1, 1, 1), new HostArray(new Float32Array(2), [1, 2])]),
    Error,
    "differ",
  );
});

Deno.test("confusion, accuracy by class, calibration", () => {
  const labels = [0, 0, 1, 1, 1, 2], predicted = Int32Array.of(0, 1, 1, 1, 2, 2);
  const matrix = resnet.confusionMatrix(predicted, labels, 3);
  assertEquals(matrix, [[1, 1, 0], [0, 2, 1], [0, 0, 1]]);
  assertEquals(resnet.classAccuracy(matrix), [1 / 2, 2 / 3, 1]);
  const confidence = Float32Array.of(0.5, 0.25, 0.75, 1, 0.375, 0.875);
  const [low, high] = resnet.calibration({ predicted, confidence }, labels, 2);
  assertEquals(low, { confidence: 0.375, accuracy: 1 / 3, count: 3 });
  assertEquals(high, { confidence: 0.875, accuracy: 1, count: 3 });
});

Deno.test("testTimeDropout: passes differ, their spread is above 0; without dropout it is 0", async () => {
  const spread = async (model: Module) => {
    const [prediction, targets] = await resnet.testTimeDropout(await learner(model), 3);
    assertEquals([prediction.predicted.length, targets.shape], [16, [16]]);
    return Math.max(...prediction.spread);
  };
  const small = (...layers: Module<[Tensor], Tensor>[]) =>
    new Sequential(new Flatten(), ...layers, new Linear(784, 10));
  assert(await spread(small(new Dropout(0.4))) > 1e-3);
  assert(await spread(small()) < 1e-6);
});

Deno.test("showImages and learn.showImageBatch: an image and a title each; nothing is learnt", async () => {
  const images = new HostArray(new Float32Array(3 * 5 * 4), [3, 5, 4, 1]);
  const svg = showImages(images, { titles: ["a<b", "c", "d"], columns: 2, scale: 10 });
  assertEquals(svg.match(/<image /g)!.length, 3);
  assertMatch(svg, />a&lt;b<\/text>/);
  assertMatch(svg, /^<svg [^>]*width="98" height="150"/);
  assertThrows(() => showImages(images, { titles: ["one"] }), Error, "1 titles for 3 images");
  const model = resnet.getModel4(), before = await snapshot(model);
  const shown = await (await learner(model)).showImageBatch({ n: 5, classes: ["above", "below"] });
  assertEquals(shown.match(/>(above|below)<\/text>/g)!.length, 5);
  assert(await snapshot(model) === before, "the model has changed");
  const noised = await (await learner(model, [new DDPMCB()])).showImageBatch();
  assertEquals([noised.match(/<image /g)!.length, noised.includes("<text")], [16, false]);
  const large = new HostArray(Float32Array.from({ length: 400 * 400 }, Math.random), [1, 400, 400, 1]);
  assertMatch(showImages(large), /^<svg/);
});

Deno.test("HooksCallback looks in training alone unless told, and lets go", async () => {
  const seen: string[] = [];
  const hook = (onValid: boolean) =>
    new HooksCallback(({ name, learn }) => seen.push(`${name} ${learn.training}`), {
      modFilter: (m) => m instanceof Linear,
      onValid,
    });
  const learn = await learner(resnet.getModel4());
  await learn.fit(1, { cbs: [hook(false)] });
  assertEquals(seen, ["6 true", "6 true"]);
  await learn.fit(1, { cbs: [hook(true)] });
  assertEquals(seen.slice(2), ["6 true", "6 true", "6 false"]);
  await learn.fit(1);
  assertEquals(seen.length, 5);
});

Deno.test("ActivationStats: mean, spread and histogram of every batch, as numbers and pictures", async () => {
  const outputs: number[][] = [];
  const stats = new ActivationStats({ modFilter: (m) => m instanceof GeneralRelu });
  const watch = new HooksCallback(({ name, output }) => {
    if (name === "0.2") outputs.push(Array.from((output as Tensor).dataSync()));
  });
  const learn = await learner(resnet.getModel4());
  await learn.fit(1, { cbs: [stats, ...(tf.getBackend() === "wasm" ? [watch] : [])] });
  assertEquals(stats.stats.size, stats.modules.length);
  const { means, stds, histograms } = stats.stats.get("0.2")!;
  assertEquals([means.length, stds.length, histograms.length], [2, 2, 2]);
  outputs.forEach((out, b) => {
    const mean = out.reduce((s, v) => s + v, 0) / out.length;
    const std = Math.sqrt(out.reduce((s, v) => s + (v - mean) ** 2, 0) / out.length);
    assert(Math.abs(means[b] - mean) < 1e-4 && Math.abs(stds[b] - std) < 1e-4);
    assertEquals(histograms[b].reduce((a, c) => a + c, 0), out.length);
    assertEquals(histograms[b][1], out.filter((v) => Math.abs(v) >= 0.25 && Math.abs(v) < 0.5).length);
  });
  const picture = stats.colorDim(1);
  assert(picture.width > 2 && picture.height > 40);
  assertMatch(await stats.deadChart(), /^<svg/);
  assertMatch((await stats.plotStats()).means, /^<svg/);
  assertThrows(() => new ActivationStats().colorDim(), Error, "no activations yet");
});
