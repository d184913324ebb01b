/** Modules: names, state, modes, hooks. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  BatchNorm1d,
  Dropout,
  Linear,
  Module,
  nn,
  Parameter,
  ReLU,
  Sequential,
  type Tensor,
  tf,
} from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";

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

Deno.test("a model's own state loads into it, any number of times", () => {
  const model = new Pair(), state = model.stateDict();
  for (let i = 0; i < 3; i++) assertEquals(model.loadStateDict(state), { missing: [], unexpected: [] });
  assertEquals(model.norm.running_mean.value.isDisposed, false);
});

Deno.test("modules are found in plain objects and maps, by their keys", () => {
  class Parts extends Module<[Tensor], Tensor> {
    heads = { first: new Linear(2, 2, { bias: false }), more: [new Linear(2, 2, { bias: false })] };
    table = new Map([["a", new Linear(2, 2, { bias: false })]]);
    loop: Record<string, unknown> = {};
    override forward(x: Tensor): Tensor {
      return this.heads.first.call(x);
    }
  }
  const parts = new Parts();
  parts.loop.self = parts.loop;
  const names = ["heads.first.weight", "heads.more.0.weight", "table.a.weight"];
  assertEquals(Object.keys(parts.stateDict()), names);
});

Deno.test("a module that is twice in another is one of its children once", () => {
  const twice = new ReLU();
  assertEquals(new Sequential(twice, twice, new ReLU()).children().map(([name]) => name), ["0", "2"]);
});

Deno.test("a state of the model's own tensors under other names is copied as it was", async () => {
  class Two extends Module<[], void> {
    a = new Parameter(tf.scalar(1));
    b = new Parameter(tf.scalar(2));
    c = new nn.Buffer(tf.scalar(3));
    d = new nn.Buffer(tf.scalar(2 ** 24 + 1, "int32"));
    override forward(): void {}
  }
  const model = new Two(), { a, b, c, d } = model.stateDict();
  model.loadStateDict({ a: b, b: c, c: a, d });
  const all = async () => await Promise.all(Object.values(model.stateDict()).map(numbers));
  assertEquals(await all(), [[2], [3], [1], [2 ** 24 + 1]]);
  model.loadStateDict({ d: tf.scalar(2 ** 24 + 3, "int32") }, false);
  assertEquals([await all(), model.d.value.dtype], [[[2], [3], [1], [2 ** 24 + 3]], "int32"]);
});

Deno.test("a state with a freed tensor changes nothing; one that inherits names does not have them", async () => {
  const model = new Linear(1, 1), before = await numbers(model.weight), bias = tf.zeros([1]);
  bias.dispose();
  assertThrows(() => model.loadStateDict({ weight: tf.zeros([1, 1]), bias }), Error, "bias has been freed");
  assertEquals(await numbers(model.weight), before);
  const inherited = Object.create({ weight: tf.zeros([1, 1]), bias: tf.zeros([1]) });
  assertThrows(() => model.loadStateDict(inherited), Error, "missing: weight, bias");
});

Deno.test("dispose frees all that a model holds, gradients too", () => {
  const before = tf.memory().numTensors, model = new Sequential(new Pair(), new Linear(2, 1));
  for (const p of model.parameters()) p.setGrad(tf.zeros(p.shape));
  model.dispose();
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("forward is at once: a promise is refused", () => {
  class Later extends Module<[], Promise<void>> {
    override async forward(): Promise<void> {
      await Promise.resolve();
    }
  }
  assertThrows(() => new Later().call(), Error, "Later.forward gives a promise");
});
