/** MetricsCB and its metrics. */
import { assertEquals } from "@std/assert";
import { Accuracy, Callback, DeviceCB, type Learner, Linear, tf, TrainLearner } from "../../mod.ts";
import { assertClose, numbers } from "../support.ts";
import { line, points, quiet } from "./lines.ts";

Deno.test("MetricsCB: losses weighted by batch size, a row for each half of an epoch", async () => {
  const model = new Linear(3, 1), dls = await points();
  const metrics = quiet();
  const losses: [number, number][] = [];
  class Watch extends Callback {
    override async afterBatch(learn: Learner) {
      if (learn.training) losses.push([(await numbers(learn.loss))[0], learn.batch[0].shape[0]]);
    }
  }
  await new TrainLearner(model, dls, { lr: 0.01, cbs: [new DeviceCB(), metrics, new Watch()] }).fit(1);
  assertEquals(losses.map(([, n]) => n), [4, 4, 4, 4, 4, 2]);
  const mean = losses.reduce((s, [l, n]) => s + l * n, 0) / 22;
  assertEquals(metrics.rows.map((r) => [r.epoch, r.train]), [[0, "train"], [0, "eval"]]);
  await assertClose([metrics.rows[0].loss], [mean], 1e-5);
});

Deno.test("Accuracy: the share of rows whose largest logit is the label, over all batches", async () => {
  const accuracy = new Accuracy();
  accuracy.update(tf.tensor2d([[1, 2], [3, 0], [0, 1]]), tf.tensor1d([1, 0, 0], "int32"));
  accuracy.update(tf.tensor2d([[5, 2]]), tf.tensor1d([0], "int32"));
  assertEquals(await accuracy.compute(), 0.75);
  accuracy.reset();
  accuracy.update(tf.tensor2d([[5, 2]]), tf.tensor1d([1], "int32"));
  assertEquals(await accuracy.compute(), 0);
});

Deno.test("MetricsCB has a row for each pass of each fit, also of equal epochs", async () => {
  const metrics = quiet(), learn = await line([metrics]);
  await learn.fit(1);
  await learn.fit(1, { train: false });
  for (let i = 0; i < 3; i++) await learn.fit(1, { valid: false });
  assertEquals(metrics.rows.map((row) => row.train), ["train", "eval", "eval", "train", "train", "train"]);
});
