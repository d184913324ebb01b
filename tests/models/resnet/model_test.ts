/** The lesson's classifiers: sizes, cost, what they learn. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Dropout, Dropout2d, initWeights, Linear, type Module, resnet, setSeed, tf } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { imageLearner } from "../../images.ts";

for (
  const [name, make, parameters, mflop] of [
    ["getModel", resnet.getModel, 4_907_588, null],
    ["getModel2", resnet.getModel2, 4_907_588, 33.0],
    ["getModel3", resnet.getModel3, 1_231_428, 18.3],
    ["getModel4", resnet.getModel4, 1_224_948, 13.3],
  ] as const
) {
  Deno.test(`${name}: miniai's parameters${mflop ? " and MFLOP" : ""}, by learn.summary`, async () => {
    const lines: string[] = [];
    const learn = await imageLearner(make());
    const rows = await learn.summary((l) => lines.push(l));
    const total = (of: (r: typeof rows[number]) => number) => rows.reduce((s, r) => s + of(r), 0);
    assertEquals(total((r) => r.parameters), parameters);
    if (mflop) assertEquals(total((r) => r.mflop).toFixed(1), mflop.toFixed(1));
    assertEquals([rows[0].input, rows.at(-1)!.output], [[16, 28, 28, 1], [16, 10]]);
    assertMatch(lines.at(-1)!, new RegExp(`^total\\s+${parameters.toLocaleString("en")}`));
  });
}

Deno.test("getDropModel has both dropouts in their places; without a rate it is getModel", () => {
  const { layers } = resnet.getDropModel(0.1);
  assert(layers[1] instanceof Dropout2d && layers[1].p === 0.1);
  assert(layers.at(-3) instanceof Dropout && !(layers.at(-3) instanceof Dropout2d));
  assert(layers.at(-2) instanceof Linear);
  assertEquals(resnet.getDropModel(0).layers.length, layers.length - 2);
});

Deno.test("norm null leaves no norm, after the linear layer neither; act null no activation", () => {
  const kinds = (model: Module) => [...model.namedModules()].map(([, m]) => m.constructor.name);
  const drop = (options: resnet.ModelOptions) => resnet.getDropModel(0.1, options);
  for (const make of [resnet.getModel, resnet.getModel2, resnet.getModel3, resnet.getModel4, drop]) {
    const plain = make({ norm: null });
    assert(!kinds(plain).some((name) => name.startsWith("BatchNorm")), kinds(plain).join());
    assert((plain.layers.at(-1) as Linear).bias !== null);
    assertEquals(plain.eval().call(tf.zeros([2, 28, 28, 1])).shape, [2, 10]);
  }
  assert(!kinds(new resnet.ResBlock(2, 2, { act: null })).includes("GeneralRelu"));
});

Deno.test({
  name: "a classifier learns two classes in some steps",
  ...wasmOnly,
  async fn() {
    setSeed(3);
    const model = resnet.getModel4();
    initWeights(model, 0.1);
    const learn = await imageLearner(model);
    await learn.fit(20);
    const [preds, targets] = await learn.capturePreds();
    const right = Array.from(targets.data).filter((label, i) => {
      const row = Array.from(preds.data.subarray(10 * i, 10 * i + 10));
      return row.indexOf(Math.max(...row)) === label;
    });
    assert(right.length >= 14, `${right.length} of 16`);
  },
});
