/** Modules and layers: names, state, modes, hooks, initial values, statistics. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Dropout2d,
  F,
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
    "0.parts.0.weight",
    "0.parts.0.bias",
    "0.parts.1.weight",
    "0.norm.weight",
    "0.norm.bias",
    "1.weight",
    "1.bias",
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
  for (const p of [-0.1, 1.1, NaN]) assertThrows(() => new Dropout(p), RangeError, String(p));
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
    "Linear: x has shape [2,5], the weight of shape [3,4] takes […,4]",
  );
  assertThrows(
    () => new Conv2d(3, 4, 3).call(tf.zeros([1, 3, 8, 8])),
    Error,
    "Conv2d: x has 8 channels, the filter takes 3",
  );
});

Deno.test("a layer replaced by its place is the one that computes, counts and is trained", () => {
  const model = new Sequential(new Linear(2, 4), new SiLU(), new Linear(4, 10));
  model[2] = new Linear(4, 3);
  assertEquals(model.call(tf.ones([1, 2])).shape, [1, 3]);
  assertEquals(model.stateDict()["2.weight"].shape, [3, 4]);
  assertEquals(model.layers, [model[0], model[1], model[2]]);
  model[3] = new Linear(3, 1);
  assertEquals(model.call(tf.ones([1, 2])).shape, [1, 1]);
});

Deno.test("modules in nested arrays are found; a shared one is counted, hooked and visited once", () => {
  const shared = new Linear(2, 2);
  class Nested extends Module<[Tensor], Tensor> {
    blocks = [[new Linear(2, 3), [shared]], [new Linear(3, 2)]];
    last = shared;
    override forward(x: Tensor): Tensor {
      return shared.call(x);
    }
  }
  const model = new Nested();
  const names = [...model.namedModules()].map(([name]) => name);
  assertEquals(names, ["", "blocks.0.0", "blocks.0.1.0", "blocks.1.0"]);
  assertEquals(model.parameterCount(), 9 + 6 + 8);
  assertEquals(Object.keys(model.stateDict()).length, 6);
  const visited: Module[] = [];
  model.apply((m) => visited.push(m));
  assertEquals([visited.length, new Set(visited).size, visited.at(-1)], [4, 4, model]);
});

Deno.test("layers name options that give no layer", () => {
  const refused: [make: () => unknown, message: string][] = [
    [() => new Conv2d(1, 1, 3, { padding: 0.5 }), "padding must be a whole number of at least 0, not 0.5"],
    [() => new Conv2d(1, 1, 3, { padding: "same" as never }), "not same"],
    [() => new Conv2d(1, 1, 3, { stride: 1.5 }), "stride must be a positive whole number, not 1.5"],
    [() => new GroupNorm(1, 4, { eps: -1 }), "eps is a number of at least 0, not -1"],
    [() => new GroupNorm(-2, 4), "a whole number of at least 1, not -2"],
    [() => new BatchNorm2d(4, { momentum: 2 }), "momentum is a number from 0 to 1, not 2"],
    [() => new GeneralRelu({ leak: NaN }), "leak"],
    [() => new GeneralRelu({ maxV: NaN }), "maxV"],
    [() => new Dropout(-1), "lies in [0, 1], not -1"],
    [
      () => new Dropout2d(0.5).call(tf.ones([3, 4])),
      "Dropout2d takes [N,H,W,C], not a tensor of shape [3,4]",
    ],
    [() => F.dropout(tf.ones([3, 4]), 0.5, [2]), "has no axis 2"],
    [() => F.dropout(tf.ones([3]), NaN), "not NaN"],
  ];
  for (const [make, message] of refused) assertThrows(make, Error, message);
});

Deno.test("dropout of everything gives zeros", async () => {
  assertEquals(await numbers(new Dropout(1).call(tf.ones([4]))), [0, 0, 0, 0]);
});

Deno.test("whole numbers and truth values are numbers where that is meant, and refused by name elsewhere", async () => {
  const bytes = tf.tensor4d([0, 255, 3, 7], [1, 2, 2, 1], "int32"), ones = tf.ones([1, 1, 1, 1]);
  assertEquals(await numbers(F.conv2d(bytes, ones)), [0, 255, 3, 7]);
  assertEquals(await numbers(F.averagePool(bytes)), [66.25]);
  assertEquals((await numbers(F.upsampleNearest(bytes))).slice(0, 4), [0, 0, 255, 255]);
  const line = tf.tensor2d([[1, 2]], [1, 2], "int32");
  assertEquals(await numbers(F.linear(line, tf.ones([1, 2]))), [3]);
  assertEquals(await numbers(F.mseLoss(tf.tensor1d([1, 0.5]), tf.tensor1d([true, false], "bool"))), [0.125]);
  assertEquals(await numbers(F.mseLoss(line, tf.ones([1, 2]))), [0.5]);
  for (const f of [F.silu, F.generalRelu, (x: Tensor) => F.groupNorm(x, 1, tf.ones([1]), tf.zeros([1]))]) {
    assertThrows(() => f(bytes), TypeError, "x is of int32, not float32; cast it");
  }
  assertThrows(() => F.conv2d(ones, tf.cast(ones, "int32")), TypeError, "Conv2d: filter is of int32");
  const q = tf.ones([1, 2, 4]);
  assertThrows(() => F.attention(q, q, tf.cast(q, "bool"), 2), TypeError, "Attention: v is of bool");
});
