/** TerminateOnNaNCB. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  DeviceCB,
  Learner,
  Linear,
  Module,
  Sequential,
  type Tensor,
  TerminateOnNaNCB,
  tf,
  TrainCB,
  TrainLearner,
} from "../../mod.ts";
import { line, quiet, sums } from "./lines.ts";

Deno.test("TerminateOnNaNCB stops, naming the batch and the layer", async () => {
  class Explode extends Module<[Tensor], Tensor> {
    override forward(x: Tensor) {
      return tf.div(x, 0);
    }
  }
  const said: string[] = [];
  const guard = new TerminateOnNaNCB((l) => said.push(l));
  const model = new Sequential(new Linear(3, 3), new Explode(), new Linear(3, 1));
  const metrics = quiet();
  const learn = new TrainLearner(model, await sums(), { cbs: [new DeviceCB(), metrics, guard] });
  await learn.fit(3);
  assertEquals(metrics.rows.length, 0);
  assertMatch(said[0], /^The loss is (NaN|Infinity) in epoch 0, training batch 0: .* that of 1 \(Explode\)$/);
  assertEquals(guard.problem, said[0]);
  const sound = new TerminateOnNaNCB();
  await (await line([sound])).fit(1);
  assertEquals(sound.problem, undefined);
});

Deno.test("TerminateOnNaNCB with a model of several inputs", async () => {
  class Two extends Module<[Tensor, Tensor], Tensor> {
    readonly linear = new Linear(3, 1);
    override forward(x: Tensor, y: Tensor) {
      return this.linear.call(tf.div(tf.mul(x, tf.sum(y)), 0));
    }
  }
  const guard = new TerminateOnNaNCB(() => {}), train = new TrainCB(2);
  const learn = new Learner(new Two(), await sums(), {
    lossFunc: (preds) => tf.mean(preds),
    cbs: [new DeviceCB(), train, guard],
  });
  await learn.fit(1);
  assertMatch(guard.problem!, /that of linear \(Linear\)$/);
});
