/** Layers: gradients, statistics, dropout, wrong options. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AvgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Dropout2d,
  F,
  Flatten,
  GeneralRelu,
  Generator,
  GlobalAvgPool,
  GroupNorm,
  Linear,
  type Module,
  Sequential,
  SiLU,
  type Tensor,
  tf,
  Upsample,
} from "../../../mod.ts";
import torch from "../../golden/torch.json" with { type: "json" };
import { assertClose, assertTensor, checkGradients, numbers, random } from "../../support.ts";

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

Deno.test("dropout of everything gives zeros", async () => {
  assertEquals(await numbers(new Dropout(1).call(tf.ones([4]))), [0, 0, 0, 0]);
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

Deno.test("a layer replaced by its place is the one that computes, counts and is trained", () => {
  const model = new Sequential(new Linear(2, 4), new SiLU(), new Linear(4, 10));
  model[2] = new Linear(4, 3);
  assertEquals(model.call(tf.ones([1, 2])).shape, [1, 3]);
  assertEquals(model.stateDict()["2.weight"].shape, [3, 4]);
  assertEquals(model.layers, [model[0], model[1], model[2]]);
  model[3] = new Linear(3, 1);
  assertEquals(model.call(tf.ones([1, 2])).shape, [1, 1]);
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

Deno.test("layers name options that give no layer", () => {
  const refused: [make: () => unknown, message: string][] = [
    [() => new Conv2d(1, 1, 3, { padding: 0.5 }), "padding must be a whole number of at least 0, not 0.5"],
    [() => new Conv2d(1, 1, 3, { padding: "same" as never }), "not same"],
    [() => new Conv2d(1, 1, 3, { stride: 1.5 }), "stride must be a positive whole number, not 1.5"],
    [() => new GroupNorm(1, 4, { eps: -1 }), "GroupNorm: eps is a number above 0, such as 1e-5, not -1"],
    [() => new GroupNorm(1, 4, { eps: 0 }), "GroupNorm: eps is a number above 0, such as 1e-5, not 0"],
    [() => new BatchNorm2d(4, { eps: 1e-60 }), "BatchNorm: eps is a number above 0, such as 1e-5, not 1e-60"],
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

Deno.test("layers of images refuse what is none, which would come out in a wrong shape", () => {
  for (const layer of [new GlobalAvgPool(), new AvgPool2d(2), new Upsample(2), new Dropout2d(0.5)]) {
    assertThrows(() => layer.call(tf.ones([2, 3, 4])), Error, "[N,H,W,C]");
  }
  assertThrows(() => new Flatten().call(tf.scalar(1)), Error, "not a single number");
  assertEquals(new Flatten().call(tf.ones([3])).shape, [3, 1]);
});

Deno.test("dropout takes whole numbers as float32 at every rate", () => {
  for (const p of [0, 0.5, 1]) {
    assertEquals(F.dropout(tf.tensor1d([1, 2], "int32"), p).dtype, "float32");
  }
});
