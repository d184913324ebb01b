/** Optimisers and schedules against PyTorch's numbers (tests/golden/make_torch.py). */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Adam,
  AdamW,
  OneCycleLR,
  type Optimizer,
  Parameter,
  type ParamGroup,
  SGD,
  Tape,
  tf,
} from "../../mod.ts";
import torch from "../golden/torch.json" with { type: "json" };
import { assertClose, numbers } from "../support.ts";

/** Steps down Σ i·(p−a)² as the reference did. */
function descend(p: Parameter, opt: Optimizer, steps: number): void {
  for (let i = 0; i < steps; i++) {
    tf.tidy(() => {
      const tape = new Tape();
      tape.start();
      const square = tf.square(tf.sub(p, tf.tensor1d(torch.target)));
      const loss = tf.sum(tf.mul(square, tf.tensor1d([1, 2, 3, 4, 5, 6, 7])));
      tape.stop();
      tape.backward(loss);
      opt.step();
      opt.zeroGrad();
    });
  }
}

const start = () => new Parameter(tf.tensor1d(torch.start));
const OPTIMIZERS: Record<string, [(p: Parameter[]) => Optimizer, number[]]> = {
  "SGD": [(p) => new SGD(p, { lr: 0.05 }), torch["opt.sgd"]],
  "SGD with momentum and decay": [
    (p) => new SGD(p, { lr: 0.05, momentum: 0.9, weightDecay: 0.01 }),
    torch["opt.sgd.momentum"],
  ],
  "Adam, eps 1e-5": [(p) => new Adam(p, { lr: 0.02, eps: 1e-5 }), torch["opt.adam"]],
  "Adam with L2 and other betas": [
    (p) => new Adam(p, { lr: 0.02, betas: [0.8, 0.99], weightDecay: 0.1 }),
    torch["opt.adam.l2"],
  ],
  "AdamW": [(p) => new AdamW(p, { lr: 0.02, weightDecay: 0.1 }), torch["opt.adamw"]],
};
for (const [name, [make, expected]] of Object.entries(OPTIMIZERS)) {
  Deno.test(`${name}: twelve steps of PyTorch`, async () => {
    const p = start();
    descend(p, make([p]), 12);
    await assertClose(p, expected, 1e-5);
  });
  Deno.test(`${name}: goes on from its saved state`, async () => {
    const p = start(), q = start();
    const a = make([p]), b = make([q]);
    descend(p, a, 5);
    q.assign(tf.clone(p));
    const { tensors, ...rest } = a.state();
    const copies = Object.fromEntries(Object.entries(tensors).map(([k, t]) => [k, tf.add(t, 0)]));
    b.loadState({ ...JSON.parse(JSON.stringify(rest)), tensors: copies });
    descend(p, a, 7);
    descend(q, b, 7);
    assertEquals(await numbers(q), await numbers(p));
  });
}

Deno.test("Adam over a long parameter equals Adam over its pieces", async () => {
  const values = Float32Array.from({ length: 40_003 }, (_, i) => Math.sin(i));
  const long = new Parameter(tf.tensor1d(values));
  const pieces = [values.slice(0, 7), values.slice(7)].map((v) => new Parameter(tf.tensor1d(v)));
  for (const p of [long, ...pieces]) p.setGrad(tf.mul(p, 0.3));
  new Adam([long], { lr: 0.1 }).step();
  new Adam(pieces, { lr: 0.1 }).step();
  await assertClose(long, tf.concat(pieces), 1e-6);
});

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

Deno.test("OneCycleLR: PyTorch's rate and momentum at every step, Adam and SGD", () => {
  for (
    const [make, expected] of [
      [(p: Parameter[]) => new Adam(p, { lr: 1 }), torch["onecycle.adam"]],
      [(p: Parameter[]) => new SGD(p, { lr: 1, momentum: 0.9 }), torch["onecycle.sgd"]],
    ] as const
  ) {
    const opt = make([start()]);
    const schedule = new OneCycleLR(opt, { maxLr: 5e-3, totalSteps: 37 });
    for (const [lr, momentum] of expected) {
      const group = opt.paramGroups[0];
      const got = group.betas ? group.betas[0] : group.momentum!;
      assert(
        Math.abs(group.lr - lr) < 1e-9 && Math.abs(got - momentum) < 1e-9,
        `${group.lr}, ${got} at ${schedule.stepNum}`,
      );
      schedule.step();
    }
    assertThrows(() => schedule.step(), Error, "a cycle of 37 steps is over");
  }
});

Deno.test("wrong settings are named", () => {
  assertThrows(() => new SGD([], { lr: 1 }), Error, "at least one parameter");
  assertThrows(() => new Adam([start()], { lr: -1 }), RangeError, "not -1");
  const opt = new SGD([start()], { lr: 1 });
  assertThrows(() => new OneCycleLR(opt, { maxLr: 1, totalSteps: 0 }), RangeError, "not 0");
  assertThrows(() => new OneCycleLR(opt, { maxLr: 1, totalSteps: 5, pctStart: 2 }), RangeError, "not 2");
  const other = new Adam([new Parameter(tf.zeros([3]))]);
  const state = new Adam([start()]).state();
  assertThrows(
    () => other.loadState({ ...state, tensors: { "0.exp_avg": tf.zeros([7]) } }),
    Error,
    "has shape [7], the parameter [3]",
  );
});

Deno.test("OneCycleLR gives finite numbers for every legal combination of options", () => {
  let schedules = 0;
  for (const totalSteps of [1, 2, 3, 4, 5, 10, 37]) {
    for (const pctStart of [0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9, 1]) {
      for (const cycleMomentum of [true, false]) {
        const opt = new Adam([start()], { lr: 1 });
        const schedule = new OneCycleLR(opt, { maxLr: 0.5, totalSteps, pctStart, cycleMomentum });
        const rates = [opt.paramGroups[0].lr];
        for (let i = 0; i < totalSteps; i++) {
          schedule.step();
          rates.push(opt.paramGroups[0].lr);
          assert(
            opt.paramGroups[0].betas!.every((beta) => beta >= 0 && beta < 1),
            `${totalSteps}, ${pctStart}`,
          );
        }
        assert(rates.every((lr) => lr >= 0 && lr <= 0.5), `${totalSteps} steps, ${pctStart}: ${rates}`);
        schedules++;
      }
    }
  }
  assertEquals(schedules, 112);
  const opt = new Adam([start()]), short = new OneCycleLR(opt, { maxLr: 1, totalSteps: 10, pctStart: 0.1 });
  assertEquals([short.at(0).lr, short.at(9).lr < 1e-4], [1, true]);
});

Deno.test("settings that give no step are named, and one left undefined has its default", () => {
  const refused = (make: () => unknown, message: string) => assertThrows(make, Error, message);
  const p = start();
  refused(() => new Adam([p], { betas: [1, 0.999] }), "lies in [0, 1), not 1,0.999");
  refused(() => new Adam([p], { betas: [0.9, -0.1] }), "lies in [0, 1)");
  refused(() => new Adam([p], { eps: -1 }), "Eps is at least 0, not -1");
  refused(() => new AdamW([p], { weightDecay: NaN }), "WeightDecay is at least 0, not NaN");
  refused(() => new SGD([p], { lr: 1, momentum: -1 }), "Momentum is at least 0, not -1");
  refused(() => new SGD([p], { lr: Infinity }), "A learning rate is at least 0, not Infinity");
  refused(() => new SGD([p, p], { lr: 1 }), "is given twice");
  refused(() => new SGD([{ params: [p], lr: 1 }, { params: [p], lr: 1 }], { lr: 1 }), "is given twice");
  refused(() => new SGD([{ params: [p], lr: 1, betas: [0, 0] }], { lr: 1 }), 'SGD has no option "betas"');
  const opt = new Adam([p]);
  const cycle = (options: object) => () => new OneCycleLR(opt, { maxLr: 1, totalSteps: 5, ...options });
  for (const name of ["maxLr", "divFactor", "finalDivFactor", "baseMomentum", "maxMomentum"]) {
    refused(cycle({ [name]: -1 }), name);
    refused(cycle({ [name]: NaN }), name);
  }
  refused(() => cycle({})().stepNum = 6, "a step is a whole number from 0 to 5, not 6");
  const unset = { weightDecay: undefined, betas: undefined, eps: undefined, lr: undefined };
  assertEquals(new AdamW([start()], unset).paramGroups[0].weightDecay, 0.01);
  const group = { params: [start()], ...unset } as unknown as ParamGroup;
  assertEquals(new Adam([group], { lr: 0.5 }).paramGroups[0].lr, 0.5);
  assertEquals(cycle({ pctStart: undefined, divFactor: undefined })().options, cycle({})().options);
});

Deno.test("Adam corrects bias by each parameter's own steps, also after its state is loaded", async () => {
  const [a, b, c] = [0, 1, 2].map(() => new Parameter(tf.tensor1d([1])));
  const both = new Adam([a, b], { lr: 0.1 }), alone = new Adam([c], { lr: 0.1 });
  const move = (opt: Adam, ...ps: Parameter[]) => {
    for (const p of ps) p.setGrad(tf.tensor1d([0.3]));
    opt.step();
    opt.zeroGrad();
  };
  for (let i = 0; i < 5; i++) move(both, a);
  move(both, a, b);
  move(alone, c);
  assertEquals(await numbers(b), await numbers(c));
  assertEquals(both.state().steps, [6, 1]);
  const other = new Adam([a, b], { lr: 0.1 });
  other.loadState(both.state());
  move(other, b);
  move(alone, c);
  assertEquals(await numbers(b), await numbers(c));
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
