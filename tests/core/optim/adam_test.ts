/** Adam and AdamW. */
import { assertEquals, assertThrows } from "@std/assert";
import { Adam, AdamW, Parameter, tf } from "../../../mod.ts";
import torch from "../../golden/torch.json" with { type: "json" };
import { assertClose, numbers } from "../../support.ts";
import { start, testSteps } from "./steps.ts";

testSteps("Adam, eps 1e-5", (p) => new Adam(p, { lr: 0.02, eps: 1e-5 }), torch["opt.adam"]);
testSteps(
  "Adam with L2 and other betas",
  (p) => new Adam(p, { lr: 0.02, betas: [0.8, 0.99], weightDecay: 0.1 }),
  torch["opt.adam.l2"],
);
testSteps("AdamW", (p) => new AdamW(p, { lr: 0.02, weightDecay: 0.1 }), torch["opt.adamw"]);

Deno.test("Adam over a long parameter equals Adam over its pieces", async () => {
  const values = Float32Array.from({ length: 40_003 }, (_, i) => Math.sin(i));
  const long = new Parameter(tf.tensor1d(values));
  const pieces = [values.slice(0, 7), values.slice(7)].map((v) => new Parameter(tf.tensor1d(v)));
  for (const p of [long, ...pieces]) p.setGrad(tf.mul(p, 0.3));
  new Adam([long], { lr: 0.1 }).step();
  new Adam(pieces, { lr: 0.1 }).step();
  await assertClose(long, tf.concat(pieces), 1e-6);
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

Deno.test("Adam: settings that give no step are named, and one left undefined has its default", () => {
  const refused = (make: () => unknown, message: string) => assertThrows(make, Error, message);
  const p = start();
  refused(() => new Adam([p], { betas: [1, 0.999] }), "each of the two betas lies in [0, 1), not 1,0.999");
  refused(() => new Adam([p], { betas: [0.9, -0.1] }), "lies in [0, 1)");
  refused(() => new Adam([p], { eps: -1 }), "eps is a number above 0, not -1");
  refused(() => new Adam([p], { eps: 0 }), "eps is a number above 0, not 0");
  refused(() => new Adam([p], { eps: 1e-50 }), "eps is a number above 0, not 1e-50");
  refused(
    () => new AdamW([p], { weightDecay: NaN }),
    "AdamW: weightDecay is a number of at least 0, not NaN",
  );
  assertThrows(() => new Adam([start()], { lr: -1 }), RangeError, "not -1");
  const unset = { weightDecay: undefined, betas: undefined, eps: undefined, lr: undefined };
  assertEquals(new AdamW([start()], unset).paramGroups[0].weightDecay, 0.01);
  const group = { params: [start()], ...unset };
  assertEquals(new Adam([group], { lr: 0.5 }).paramGroups[0].lr, 0.5);
});
