/** Optimisers and their schedules step by step against PyTorch (tests/golden/make_layers.py). */
import { assert, assertEquals } from "@std/assert";
import { Adam, AdamW, OneCycleLR, type OneCycleOptions, Parameter, SGD, Tape, tf } from "../../../mod.ts";
import golden from "../../golden/layers.json" with { type: "json" };
import { assertClose, numbers } from "../../support.ts";

const [[, start], [, target]] = [golden.start, golden.target];

/** PyTorch's names of options as ours. */
function renamed(options: object): Record<string, unknown> {
  const camel = (name: string) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]));
}

const MAKES: Record<string, (params: Parameter[], options: never) => Adam | SGD> = {
  SGD: (params, options) => new SGD(params, options),
  Adam: (params, options) => new Adam(params, options),
  AdamW: (params, options) => new AdamW(params, options),
};

for (const { kind, options, cycle, steps, rate } of golden.optimisers) {
  const named = `${kind} ${JSON.stringify(options)}${cycle ? `, cycle ${JSON.stringify(cycle)}` : ""}`;
  Deno.test(`${named}: twelve steps of PyTorch`, async () => {
    const p = new Parameter(tf.tensor1d(start)), unused = new Parameter(tf.tensor1d(start));
    const opt = MAKES[kind]([p, unused], renamed(options) as never);
    const schedule = cycle && new OneCycleLR(opt, renamed(cycle) as unknown as OneCycleOptions);
    for (const expected of steps) {
      const tape = new Tape();
      tape.start();
      const loss = tf.sum(tf.pow(tf.sub(p, target), 4));
      tape.stop();
      tape.backward(loss);
      opt.step();
      opt.zeroGrad();
      await assertClose(p, expected, 2e-5, named);
      schedule?.step();
    }
    const { lr } = opt.paramGroups[0];
    assert(Math.abs(lr / rate - 1) < 1e-6, `the rate at the end is ${lr}, not ${rate}`);
    assertEquals(await numbers(unused), await numbers(tf.tensor1d(start)));
  });
}
