/** The tape: phases apart from each other, accumulation, freeing, errors. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Adam,
  Conv2d,
  F,
  grad,
  GroupNorm,
  Linear,
  noGrad,
  Parameter,
  Sequential,
  SiLU,
  Tape,
  tf,
} from "../../../mod.ts";
import { checkGradients, numbers, random } from "../../support.ts";

const scalarLoss = (p: Parameter) => tf.sum(tf.square(p));

Deno.test("backward adds to grad, which can be read, scaled and cleared between phases", async () => {
  const p = new Parameter(tf.tensor1d([1, 2, 3]));
  for (let i = 1; i <= 2; i++) {
    const tape = new Tape();
    tape.start();
    const loss = scalarLoss(p);
    tape.stop();
    tape.backward(loss);
    assertEquals(await numbers(p.grad!), [2 * i, 4 * i, 6 * i]);
  }
  p.setGrad(tf.mul(p.grad!, 0.5));
  assertEquals(await numbers(p.grad!), [2, 4, 6]);
  p.zeroGrad();
  assertEquals(p.grad, null);
});

Deno.test("a parameter used twice gets both gradients; one not required gets none", async () => {
  const p = new Parameter(tf.tensor1d([2])), frozen = new Parameter(tf.tensor1d([5]));
  frozen.requiresGrad = false;
  const tape = new Tape();
  tape.start();
  const loss = tf.sum(tf.add(tf.mul(p, p), tf.mul(p, frozen)));
  tape.backward(loss);
  assertEquals(await numbers(p.grad!), [9]);
  assertEquals(frozen.grad, null);
});

Deno.test("only what depends on a parameter is recorded", () => {
  const p = new Parameter(tf.tensor1d([1]));
  const tape = new Tape();
  tape.start();
  tf.exp(tf.tensor1d([1]));
  assertEquals(tape.length, 0);
  tf.exp(p);
  noGrad(() => tf.exp(p));
  assertEquals(tape.length, 1);
  tape.stop();
  tf.exp(p);
  assertEquals(tape.length, 1);
  tape.clear();
});

Deno.test("a model's gradient against differences, all layers together", async () => {
  const model = new Sequential(
    new Conv2d(3, 8, 3, { padding: 1 }),
    new GroupNorm(4, 8, { silu: true }),
    new Conv2d(8, 2, 1),
    new SiLU(),
  );
  await checkGradients((x) => model.call(x), [random([2, 5, 5, 3], 1)]);
});

Deno.test("errors say what is wrong", () => {
  const p = new Parameter(tf.tensor1d([1, 2]));
  const record = (f: () => tf.Tensor) => {
    const tape = new Tape();
    tape.start();
    try {
      tape.backward(f());
    } finally {
      tape.stop();
      tape.clear();
    }
  };
  assertThrows(() => record(() => tf.square(p)), Error, "scalar loss, not one of shape [2]");
  assertThrows(() => record(() => tf.sum(tf.tensor1d([1]))), Error, "does not depend on any parameter");
  assertThrows(() => record(() => tf.sum(tf.cumsum(p))), Error, "The kernel Cumsum has no gradient");
  const tape = new Tape();
  tape.start();
  assertThrows(() => tape.start(), Error, "recording already");
  tape.stop();
});

Deno.test("tf.customGrad is honoured", async () => {
  const f = tf.customGrad((x) => ({ value: tf.square(x as tf.Tensor), gradFunc: (dy) => tf.mul(dy, 10) }));
  const [dx] = grad((x) => tf.sum(f(x)), [tf.tensor1d([3, 4])]);
  assertEquals(await numbers(dx), [10, 10]);
});

Deno.test("activations go as the backward pass uses them", () => {
  const layers = Array.from({ length: 12 }, () => new Linear(32, 32));
  const model = new Sequential(...layers.flatMap((l) => [l, new SiLU()]));
  tf.tidy(() => {
    const tape = new Tape();
    const x = random([64, 32]);
    tape.start();
    const loss = tf.mean(model.call(x));
    tape.stop();
    const forward = tf.memory().numBytes;
    tape.backward(loss);
    const saved = 24 * 64 * 32 * 4, gradients = model.parameterCount() * 4;
    assert(
      forward - tf.memory().numBytes > saved - gradients - 64 * 32 * 4,
      "activations outlive the backward pass",
    );
    assertEquals(tape.length, 0);
  });
  model.dispose();
});

Deno.test("twenty steps leave exactly parameters and optimiser state", () => {
  const model = new Sequential(
    new Conv2d(1, 8, 3, { padding: 1 }),
    new GroupNorm(2, 8, { silu: true }),
    new Conv2d(8, 1, 3, { padding: 1 }),
  );
  const opt = new Adam(model.parameters());
  const counts: string[] = [];
  for (let i = 0; i < 20; i++) {
    tf.tidy(() => {
      const tape = new Tape();
      tape.start();
      const loss = F.mseLoss(model.call(random([3, 8, 8, 1], i)), random([3, 8, 8, 1], 50 + i));
      tape.stop();
      tape.backward(loss);
      opt.step();
      opt.zeroGrad();
    });
    const { numTensors, numBytes, numDataBuffers } = tf.memory();
    counts.push([numTensors, numBytes, numDataBuffers].join());
  }
  assertEquals(new Set(counts.slice(1)).size, 1, `tensors, bytes, buffers: ${counts}`);
});

Deno.test("the gradient of a parameter is given by grad, and its own stays as it is", async () => {
  const p = new Parameter(tf.tensor1d([1, 2, 3])), frozen = new Parameter(tf.tensor1d([4, 5, 6]));
  frozen.requiresGrad = false;
  const [dp, df, none] = grad((p, f) => tf.sum(tf.mul(tf.square(p), f)), [p, frozen, tf.zeros([2])]);
  assertEquals(await numbers(dp), [8, 20, 36]);
  assertEquals(await numbers(df), [1, 4, 9]);
  assertEquals(await numbers(none), [0, 0]);
  assertEquals([p.grad, frozen.grad], [null, null]);
});

Deno.test("after an error in the backward pass the tape is empty and nothing is left", () => {
  const p = new Parameter(tf.tensor1d([1, 2]));
  const failing: (() => tf.Tensor)[] = [
    () => tf.square(p),
    () => tf.sum(tf.cumsum(tf.square(p))),
    () => tf.add(tf.sum(tf.square(p)), tf.sum(tf.cumsum(p))),
  ];
  for (const [i, f] of failing.entries()) {
    const run = () => {
      const tape = new Tape();
      tape.start();
      const loss = tf.tidy(f);
      assertThrows(() => tape.backward(loss), Error);
      assertEquals(tape.length, 0);
      loss.dispose();
      return tf.memory().numTensors;
    };
    run(); // makes the constant that a backward pass begins with
    assertEquals(run(), run(), `case ${i}`);
  }
  const tape = new Tape();
  tape.start();
  const y = tf.square(p);
  assertThrows(() => tape.backward(y, tf.ones([3])), Error, "the seed has shape [3], the loss [2]");
});

Deno.test("noGrad refuses a function of a promise", () => {
  assertThrows(() => noGrad(() => Promise.resolve(1)), Error, "noGrad takes a function that returns at once");
  assertThrows(() => noGrad(() => Promise.reject(new Error())), Error, "noGrad takes");
});

Deno.test("tf.grad, variableGrads and tfjs's optimisers work on the device", async () => {
  assertEquals(await numbers(tf.grad((x) => tf.square(x))(tf.scalar(3))), [6]);
  const x = random([2, 6, 6, 4], 1), gamma = tf.ones([4]), beta = tf.zeros([4]);
  const f = (x: tf.Tensor) => tf.sum(tf.mul(F.groupNorm(x, 2, gamma, beta), x)) as tf.Scalar;
  assertEquals(await numbers(tf.grad(f)(x)), await numbers(grad(f, [x])[0]));
  const w = tf.variable(tf.tensor1d([1, 2, 3])), loss = () => tf.sum(tf.square(w)) as tf.Scalar;
  assertEquals(await numbers(tf.variableGrads(loss).grads[w.name]), [2, 4, 6]);
  tf.train.sgd(0.5).minimize(loss);
  assertEquals(await numbers(w), [0, 0, 0]);
});

Deno.test("a parameter owns its memory: assign frees the old, takes over the new, and copies what is another's", async () => {
  const p = new Parameter(tf.zeros([100])), q = new Parameter(tf.ones([100]));
  const held = () => [tf.memory().numTensors, tf.memory().numBytes, tf.memory().numDataBuffers];
  const before = held();
  for (let i = 0; i < 3; i++) p.assign(tf.fill([100], i));
  assertEquals(held(), before);
  p.assign(q);
  const shared = tf.fill([100], 7), twin = tf.clone(shared);
  const r = new Parameter(twin);
  for (const own of [p, q, r]) own.setGrad(tf.ones([100]));
  new Adam([p, r], { lr: 0.5 }).step(); // in place
  assertEquals((await numbers(p))[0].toFixed(3), "0.500");
  assertEquals([(await numbers(q))[0], (await numbers(shared))[0]], [1, 7]);
  assertThrows(() => p.assign(tf.zeros([3])), Error, "the value is float32 [3], the parameter float32 [100]");
});
