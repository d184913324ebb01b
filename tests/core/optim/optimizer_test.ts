/** What optimisers have in common: groups, state, settings. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Adam, Parameter, SGD, tf } from "../../../mod.ts";
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
