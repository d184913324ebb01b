/** Initial weights of a whole model. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Conv2d,
  GeneralRelu,
  initWeights,
  Linear,
  lsuvInit,
  ReLU,
  Sequential,
  type Tensor,
  tf,
} from "../../../mod.ts";
import { numbers, random } from "../../support.ts";

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

Deno.test("lsuvInit runs the model maxTries times at most, and leaves no tensor and no hook", async () => {
  const layer = new Linear(3, 3), act = new ReLU(), model = new Sequential(layer, act), x = random([8, 3]);
  let runs = 0;
  layer.registerForwardHook(() => void runs++);
  const before = tf.memory().numTensors;
  for (const maxTries of [1, 3]) {
    runs = 0;
    const pairs: Parameters<typeof lsuvInit>[2] = [[layer, act]];
    const tried = lsuvInit(model, x, pairs, { tolerance: 1e-12, maxTries });
    await assertRejects(() => tried, Error, `after ${maxTries} tries`);
    assertEquals([runs, tf.memory().numTensors], [maxTries, before]);
  }
});
