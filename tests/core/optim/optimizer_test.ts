/** What optimisers have in common: groups, state, settings. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Adam, type Optimizer, type OptimizerState, Parameter, SGD, tf } from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";
import { start } from "./steps.ts";

Deno.test("each group has its own learning rate, readable and settable", async () => {
  const a = new Parameter(tf.tensor1d([1])), b = new Parameter(tf.tensor1d([1]));
  const opt = new SGD([{ params: [a], lr: 0.1 }, { params: [b], lr: 0 }], { lr: 1 });
  assertEquals(opt.paramGroups.map((g) => g.lr), [0.1, 0]);
  for (const p of [a, b]) p.setGrad(tf.tensor1d([1]));
  opt.step();
  await assertClose(tf.concat([a, b]), [0.9, 1], 1e-6);
  opt.paramGroups[1].lr = 0.5;
  opt.step();
  await assertClose(tf.concat([a, b]), [0.8, 0.5], 1e-6);
});

Deno.test("no parameters, one given twice and a state of other shapes are named", () => {
  const refused = (make: () => unknown, message: string) => assertThrows(make, Error, message);
  const p = start();
  refused(() => new SGD([], { lr: 1 }), "at least one parameter");
  refused(() => new SGD([p, p], { lr: 1 }), "is given twice");
  refused(() => new SGD([{ params: [p], lr: 1 }, { params: [p], lr: 1 }], { lr: 1 }), "is given twice");
  const other = new Adam([new Parameter(tf.zeros([3]))]);
  const state = new Adam([start()]).state();
  assertThrows(
    () => other.loadState({ ...state, tensors: { "0.exp_avg": tf.zeros([7]) } }),
    Error,
    "has shape [7], the parameter [3]",
  );
});

Deno.test("loading a state replaces all of the own; one of other parameters is refused", async () => {
  for (
    const make of [(p: Parameter[]) => new Adam(p), (p: Parameter[]) => new SGD(p, { lr: 1, momentum: 0.9 })]
  ) {
    const p = start(), opt = make([p]), fresh = make([start()]);
    p.setGrad(tf.ones(p.shape));
    opt.step();
    const name = Object.keys(opt.state().tensors)[0];
    const before = await numbers(opt.state().tensors[name]);
    opt.loadState(opt.state());
    assertEquals(await numbers(opt.state().tensors[name]), before);
    assertThrows(
      () => make([start(), start()]).loadState(opt.state()),
      Error,
      "The state is of 1 parameters",
    );
    opt.loadState(fresh.state());
    const after = opt.state();
    assert((await Promise.all(Object.values(after.tensors).map(numbers))).flat().every((v) => v === 0));
    assertEquals([after.step, after.steps], [0, [0]]);
    const { steps: _, ...old } = { ...opt.state(), step: 3 };
    opt.loadState(old);
    assertEquals(opt.state().steps, [3]);
  }
});

Deno.test("a gradient of another shape is refused with both shapes, and nothing is moved", async () => {
  const makes = [(p: Parameter[]) => new Adam(p), (p: Parameter[]) => new SGD(p, { lr: 1, momentum: 0.9 })];
  for (const make of makes) {
    const a = new Parameter(tf.zeros([2, 3])), b = new Parameter(tf.zeros([2, 3]));
    const opt = make([a, b]);
    a.setGrad(tf.ones([2, 3]));
    b.grad = tf.ones([3]);
    assertThrows(() => opt.step(), Error, "the gradient of parameter 1 has shape [3], the parameter [2,3]");
    assertEquals([await numbers(a), opt.state().steps], [[0, 0, 0, 0, 0, 0], [0, 0]]);
    assertThrows(() => b.setGrad(tf.ones([1])), Error, "has shape [1], the parameter [2,3]");
  }
});

Deno.test("a state of another optimiser, of other groups or without counts is refused, and nothing is changed", async () => {
  const two = () => [new Parameter(tf.tensor1d([1, 2])), new Parameter(tf.tensor1d([3, 4]))];
  const moved = <T extends Optimizer>(opt: T): T => {
    for (const { params } of opt.paramGroups) for (const p of params) p.setGrad(tf.ones(p.shape));
    opt.step();
    return opt;
  };
  const sgd = (momentum: number) => moved(new SGD(two(), { lr: 0.5, momentum })).state();
  const adam = () => moved(new Adam(two(), { lr: 0.1 })).state();
  const apart = () => {
    const [a, b] = two();
    return moved(new Adam([{ params: [a], lr: 1 }, { params: [b] }])).state();
  };
  const { "0.exp_avg": _, ...half } = adam().tensors;
  const cases: [state: OptimizerState, message: string][] = [
    [sgd(0.9), 'has an option "momentum", which Adam has not'],
    [
      { ...sgd(0.9), groups: adam().groups },
      "keeps momentum_buffer for parameter 0, Adam exp_avg and exp_avg_sq",
    ],
    [apart(), "has 2 parameter groups, this optimiser 1"],
    [{ ...adam(), sizes: [1] }, "group 0 has 1 parameters, this optimiser's 2"],
    [{ ...adam(), tensors: half }, "keeps exp_avg_sq for parameter 0, Adam exp_avg and exp_avg_sq"],
    [{ ...adam(), tensors: { ...adam().tensors, exp_avg: tf.zeros([2]) } }, "has a tensor exp_avg, but"],
    [{ ...adam(), step: NaN }, "A count of steps is a whole number from 0 on, not NaN"],
    [{ ...adam(), steps: [1, -3] }, "not -3"],
    [{ ...adam(), groups: [{ lr: NaN }] }, "Adam: lr is a number of at least 0, not NaN"],
  ];
  for (const [state, message] of cases) {
    const own = new Adam(two(), { lr: 0.1 }), before = own.state();
    assertThrows(() => own.loadState(state), Error, message);
    assertEquals(own.state(), before);
  }
  const own = new SGD(two(), { lr: 0.1, momentum: 0.9 });
  assertThrows(() => own.loadState(adam()), Error, 'an option "betas", which SGD has not');
  own.loadState(sgd(0.5));
  assertEquals([own.paramGroups[0].lr, own.paramGroups[0].momentum, own.state().step], [0.5, 0.5, 1]);
  own.loadState({ ...sgd(0.5), groups: [{ lr: 0.2, momentum: undefined }] });
  assertEquals([own.paramGroups[0].lr, own.paramGroups[0].momentum], [0.2, 0.5]);
  assertEquals(await numbers(own.state().tensors["1.momentum_buffer"]), [1, 1]);
});

Deno.test("a group takes the optimiser's options for those that it leaves out; there is always a rate", () => {
  const group = { params: [start()], lr: undefined, weightDecay: undefined };
  assertEquals(new SGD([group], { lr: 0.5, weightDecay: 0.1 }).paramGroups[0].lr, 0.5);
  assertEquals(new SGD([group], { lr: 0.5, weightDecay: 0.1 }).paramGroups[0].weightDecay, 0.1);
  for (const lr of [undefined, null, NaN, "1"]) {
    assertThrows(
      () => new SGD([start()], { lr: lr as never }),
      RangeError,
      `SGD: lr is a number of at least 0, not ${lr}`,
    );
  }
});
