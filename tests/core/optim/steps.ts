/** Steps of optimisers against PyTorch's (tests/golden/make_torch.py), which tests share. */
import { assertEquals } from "@std/assert";
import { type Optimizer, Parameter, Tape, tf } from "../../../mod.ts";
import torch from "../../golden/torch.json" with { type: "json" };
import { assertClose, numbers } from "../../support.ts";

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

/** Where {@link descend} begins. */
export const start = (): Parameter => new Parameter(tf.tensor1d(torch.start));

/** Declares the tests that every optimiser passes. */
export function testSteps(name: string, make: (p: Parameter[]) => Optimizer, expected: number[]): void {
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
