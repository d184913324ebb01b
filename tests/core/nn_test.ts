/** Modules and layers: names, state, modes, hooks, initial values, statistics. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Dropout2d,
  Flatten,
  GeneralRelu,
  Generator,
  GroupNorm,
  init,
  initWeights,
  Linear,
  lsuvInit,
  Module,
  ReLU,
  Sequential,
  SiLU,
  type Tensor,
  tf,
  Upsample,
} from "../../mod.ts";
import torch from "../golden/torch.json" with { type: "json" };
import { assertClose, assertTensor, checkGradients, numbers, random } from "../support.ts";

class Pair extends Module<[Tensor], Tensor> {
  parts = [new Linear(2, 2), new Linear(2, 2, { bias: false })];
  norm = new BatchNorm1d(2);
  override forward(x: Tensor): Tensor {
    return this.norm.call(this.parts[1].call(this.parts[0].call(x)));
  }
}

Deno.test("parameters, buffers and modules are named by their path", () => {
  const model = new Sequential(new Pair(), new Linear(2, 1));
  assertEquals([...model.namedParameters()].map(([n]) => n), [
    ...["0.parts.0.weight", "0.parts.0.bias", "0.parts.1.weight", "0.norm.weight", "0.norm.bias"],
    ...["1.weight", "1.bias"],
  ]);
  assertEquals([...model.namedBuffers()].map(([n]) => n), ["0.norm.running_mean", "0.norm.running_var"]);
  assertEquals([...model.namedModules()].map(([n]) => n), ["", "0", "0.parts.0", "0.parts.1", "0.norm", "1"]);
  assertEquals(model.parameterCount(), 4 + 2 + 4 + 2 + 2 + 2 + 1);
});

Deno.test("a shared parameter is counted once", () => {
  const layer = new Linear(3, 3);
  assertEquals(new Sequential(layer, layer).parameterCount(), 12);
});

Deno.test("train, eval and apply reach every module", () => {
  const model = new Sequential(new Pair(), new Dropout(0.3));
  model.eval();
  const modes: boolean[] = [];
  model.apply((m) => modes.push(m.training));
  assertEquals(modes, [false, false, false, false, false, false]);
  assert(model.train().training && model.layers[1].training);
});

Deno.test("forward hooks see input and output, may replace it, and can be removed", async () => {
  const layer = new ReLU();
  const seen: number[] = [];
  const remove = layer.registerForwardHook((_m, [x], y) => {
    seen.push(x.size, y.size);
    return tf.add(y, 1);
  });
  assertEquals(await numbers(layer.call(tf.tensor1d([-1, 2]))), [1, 3]);
  remove();
  assertEquals(await numbers(layer.call(tf.tensor1d([-1, 2]))), [0, 2]);
  assertEquals(seen, [2, 2]);
});

Deno.test("loadStateDict copies, and names every misfit before it changes anything", async () => {
  const a = new Pair(), b = new Pair();
  b.loadStateDict(a.stateDict());
  await assertClose(b.parts[0].weight, a.parts[0].weight, 0);
  a.parts[0].weight.assign(tf.zeros([2, 2]));
  assert((await numbers(b.parts[0].weight)).some((v) => v !== 0), "the copy follows its source");
  const before = await numbers(b.parts[0].weight);
  const { "parts.0.bias": _, ...rest } = a.stateDict();
  const wrong = { ...rest, "parts.1.weight": tf.zeros([3, 2]), extra: tf.zeros([1]) };
  const error = assertThrows(() => b.loadStateDict(wrong), Error);
  for (
    const part of [
      "parts.1.weight has shape [3,2], the model wants [2,2]",
      "missing: parts.0.bias",
      "not in the model: extra",
    ]
  ) {
    assert(error.message.includes(part), `${error.message} lacks: ${part}`);
  }
  assertEquals(await numbers(b.parts[0].weight), before);
  assertEquals(b.loadStateDict({ extra: tf.zeros([1]) }, false).unexpected, ["extra"]);
});

const LAYERS: [string, () => Module<[Tensor], Tensor>, number[]][] = [
  ["Linear", () => new Linear(5, 3), [4, 5]],
  ["Conv2d", () => new Conv2d(3, 4, 3, { padding: 1, stride: 2 }), [2, 7, 7, 3]],
  ["GroupNorm", () => new GroupNorm(2, 6), [2, 4, 3, 6]],
  ["BatchNorm1d", () => new BatchNorm1d(3), [6, 3]],
  ["BatchNorm2d", () => new BatchNorm2d(3), [2, 4, 3, 3]],
  ["SiLU", () => new SiLU(), [3, 4]],
  ["Flatten", () => new Flatten(), [2, 3, 2, 2]],
  ["Upsample", () => new Upsample(2), [1, 2, 3, 2]],
];
for (const [name, make, shape] of LAYERS) {
  Deno.test(`${name}: gradient, and nothing left behind by a call`, async () => {
    const layer = make();
    const x = random(shape, 3);
    await checkGradients((x) => layer.call(x), [x]);
    tf.tidy(() => void layer.call(x));
    const before = tf.memory().numTensors;
    tf.tidy(() => void layer.call(x));
    assertEquals(tf.memory().numTensors, before);
  });
}

Deno.test("batch norm: PyTorch's outputs and running statistics", async () => {
  const layer = new BatchNorm2d(3);
  const x = tf.tensor4d(torch["bn.x"], [4, 5, 5, 3]);
  await assertTensor(layer.call(x), [4, 5, 5, 3], torch["bn.train"]);
  await assertClose(layer.running_mean.value, torch["bn.mean"]);
  await assertClose(layer.running_var.value, torch["bn.var"]);
  layer.eval();
  await assertTensor(layer.call(x), [4, 5, 5, 3], torch["bn.eval"]);
  await assertClose(layer.running_mean.value, torch["bn.mean"]);
  assertThrows(() => layer.call(tf.zeros([2, 3])), Error, "takes [N,H,W,C], not [2,3]");
});

Deno.test("dropout zeroes single elements at its rate and keeps the mean; off in eval and at p = 0", async () => {
  const x = tf.ones([200, 250]);
  const layer = new Dropout(0.3, new Generator(1));
  const out = await numbers(layer.call(x));
  const zeros = out.filter((v) => v === 0).length / out.length;
  assert(Math.abs(zeros - 0.3) < 0.01, `${zeros} dropped`);
  assert(out.every((v) => v === 0 || Math.abs(v - 1 / 0.7) < 1e-5));
  assertEquals(await numbers(layer.eval().call(x)), await numbers(x));
  assertEquals(await numbers(new Dropout(0).call(x)), await numbers(x));
  for (const p of [-0.1, 1, NaN]) assertThrows(() => new Dropout(p), RangeError, String(p));
});

Deno.test("dropout2d zeroes whole channels of an image", async () => {
  const out = await numbers(new Dropout2d(0.4, new Generator(2)).call(tf.ones([50, 4, 5, 20])));
  let dropped = 0;
  for (let n = 0; n < 50; n++) {
    for (let c = 0; c < 20; c++) {
      const values = new Set(Array.from({ length: 20 }, (_, p) => out[(n * 20 + p) * 20 + c]));
      assertEquals(values.size, 1);
      if (values.has(0)) dropped++;
    }
  }
  assert(Math.abs(dropped / 1000 - 0.4) < 0.06, `${dropped} of 1000`);
});

Deno.test("flatten orders as PyTorch: channels before pixels", async () => {
  const x = tf.tensor4d([1, 10, 2, 20], [1, 1, 2, 2]);
  assertEquals(await numbers(new Flatten().call(x)), [1, 2, 10, 20]);
});

Deno.test("initialisers: bounds, spread, orthogonality", async () => {
  const g = () => new Generator(8);
  const spread = async (x: Tensor) => Math.sqrt((await numbers(x)).reduce((s, v) => s + v * v, 0) / x.size);
  const conv = new Conv2d(16, 32, 3, { generator: g() });
  const bound = 1 / Math.sqrt(9 * 16);
  const weights = await numbers(conv.weight);
  assert(weights.every((v) => Math.abs(v) <= bound) && Math.max(...weights) > 0.98 * bound);
  assert((await numbers(conv.bias!)).every((v) => Math.abs(v) <= bound));
  const close = (a: number, b: number) => assert(Math.abs(a / b - 1) < 0.03, `${a} is not ${b}`);
  close(await spread(init.kaimingNormal([3, 3, 16, 64], 0, g())), Math.sqrt(2 / 144));
  close(await spread(init.kaimingNormal([64, 300], 0.1, g())), Math.sqrt(2 / 1.01 / 300));
  close(await spread(init.kaimingUniform([3, 3, 16, 64], 0, g())), Math.sqrt(2 / 144));
  for (const [rows, columns] of [[5, 12], [12, 5]]) {
    const q = init.orthogonal([rows, columns], 1, g());
    const gram = rows < columns ? tf.matMul(q, q, false, true) : tf.matMul(q, q, true);
    await assertClose(gram, tf.eye(Math.min(rows, columns)), 1e-5);
  }
  const filter = tf.reshape(init.orthogonal([3, 3, 8, 8], 2, g()), [72, 8]);
  await assertClose(tf.matMul(filter, filter, true), tf.mul(tf.eye(8), 4), 1e-5);
});

Deno.test("initWeights: Kaiming's spread with a leak for convolutions, nothing else touched", async () => {
  const conv = new Conv2d(32, 64, 3), linear = new Linear(50, 50);
  const before = await numbers(linear.weight);
  initWeights(new Sequential(conv, linear), 0.1);
  const w = await numbers(conv.weight);
  const std = Math.sqrt(w.reduce((s, v) => s + v * v, 0) / w.length);
  assert(Math.abs(std / Math.sqrt(2 / (1.01 * 32 * 9)) - 1) < 0.03, `${std}`);
  assertEquals(await numbers(linear.weight), before);
});

Deno.test("lsuvInit: mean 0 and deviation 1 after every activation, in order", async () => {
  const convs = [new Conv2d(1, 8, 3), new Conv2d(8, 8, 3)];
  const acts = [0, 1].map(() => new GeneralRelu({ leak: 0.1, sub: 0.4 }));
  const model = new Sequential(convs[0], acts[0], convs[1], acts[1]);
  const x = random([6, 12, 12, 1], 3);
  await lsuvInit(model, x, [[convs[0], acts[0]], [convs[1], acts[1]]]);
  for (const upTo of [2, 4]) {
    const y = await numbers(model.layers.slice(0, upTo).reduce((y, m) => m.call(y), x as Tensor));
    const mean = y.reduce((s, v) => s + v, 0) / y.length;
    const std = Math.sqrt(y.reduce((s, v) => s + (v - mean) ** 2, 0) / y.length);
    assert(Math.abs(mean) < 2e-3 && Math.abs(std - 1) < 2e-3, `${mean} ${std}`);
  }
  await assertRejects(
    () => lsuvInit(model, x, [[new Conv2d(1, 1, 1, { bias: false }), acts[0]]]),
    Error,
    "no bias",
  );
  await assertRejects(() => lsuvInit(model, x, [[convs[0], new ReLU()]]), Error, "was not run");
});

Deno.test("wrong sizes are named", () => {
  assertThrows(() => new GroupNorm(32, 16), Error, "16 channels do not divide into 32 groups");
  assertThrows(() => new Linear(0, 3), RangeError, "inFeatures must be a positive whole number, not 0");
  assertThrows(
    () => new Linear(4, 3).call(tf.zeros([2, 5])),
    Error,
    "linear takes 4 features, not a tensor of shape [2,5]",
  );
  assertThrows(
    () => new Conv2d(3, 4, 3).call(tf.zeros([1, 3, 8, 8])),
    Error,
    "conv2d got 8 channels for a filter of 3",
  );
});
