/** TestTimeDropoutCB. */
import { assert, assertEquals } from "@std/assert";
import {
  BatchNorm1d,
  type Callback,
  DeviceCB,
  Dropout,
  F,
  Generator,
  Linear,
  Module,
  Sequential,
  setSeed,
  type Tensor,
  TestTimeDropoutCB,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { numbers } from "../support.ts";
import { sums } from "./lines.ts";

Deno.test("TestTimeDropoutCB: every kind of dropout is on in evaluation, batch norm is not", async () => {
  /** Written from scratch, as in the lesson. */
  class MyDropout extends Module<[Tensor], Tensor> {
    override forward(x: Tensor) {
      return this.training ? F.dropout(x, 0.5) : tf.clone(x);
    }
  }
  for (const layer of [new Dropout(0.5), new MyDropout()]) {
    const norm = new BatchNorm1d(3);
    const model = new Sequential(norm, layer, new Linear(3, 1));
    const learn = new TrainLearner(model, await sums(), { cbs: [new DeviceCB()], optFunc: null });
    const pass = async (cbs: Callback[]) => Array.from((await learn.capturePreds(cbs))[0].data);
    assertEquals(await pass([]), await pass([]));
    const [a, b] = [await pass([new TestTimeDropoutCB()]), await pass([new TestTimeDropoutCB()])];
    assert(a.some((v, i) => v !== b[i]), "two passes are alike");
    assertEquals(await numbers(norm.running_mean.value), [0, 0, 0]);
    assert(layer.training && norm.training, "the mode is another one after the fit");
    assertEquals(await pass([]), await pass([]));
  }
});

Deno.test("TestTimeDropoutCB: training draws the same whether it is evaluated or not", async () => {
  for (const own of [false, true]) {
    const train = async (valid: boolean) => {
      setSeed(7);
      const model = new Sequential(
        new Linear(3, 8),
        own ? new Dropout(0.5, new Generator(2)) : new Dropout(0.5),
        new Linear(8, 1),
      );
      const cbs = [new DeviceCB(), new TestTimeDropoutCB()];
      await new TrainLearner(model, await sums(), { cbs }).fit(3, { valid });
      return await numbers(model.parameters()[0]);
    };
    assertEquals(await train(true), await train(false));
  }
});
