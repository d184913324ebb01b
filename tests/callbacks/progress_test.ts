/** ProgressCB. */
import { assertEquals, assertMatch } from "@std/assert";
import { DeviceCB, Linear, MetricsCB, type MetricsRow, ProgressCB, TrainLearner } from "../../mod.ts";
import { script } from "../support.ts";
import { line, points, quiet } from "./lines.ts";

Deno.test("ProgressCB: a table row for each half of an epoch, to three decimals", async () => {
  const lines: string[] = [];
  const metrics = new MetricsCB();
  await new TrainLearner(new Linear(3, 1), await points(), {
    lr: 0.01,
    cbs: [new DeviceCB(), metrics, new ProgressCB((line) => lines.push(line))],
  }).fit(2);
  assertEquals(lines.length, 5);
  assertEquals(lines[0].trim().split(/\s+/), ["epoch", "train", "loss", "items/s"]);
  assertEquals(lines[1].trim().split(/\s+/).slice(0, 3), ["1", "train", metrics.rows[0].loss.toFixed(3)]);
  assertEquals(lines[4].trim().split(/\s+/), ["2", "eval", metrics.rows[3].loss.toFixed(3)]);
});

Deno.test("ProgressCB of one fit gives the rows of the next back", async () => {
  const mine: MetricsRow[] = [], lines: string[] = [];
  const metrics = Object.assign(quiet(), { log: (row: MetricsRow) => mine.push(row) });
  const learn = await line([metrics]);
  await learn.fit(1, { cbs: [new ProgressCB((line) => lines.push(line))] });
  assertEquals([lines.length, mine.length], [3, 0]);
  await learn.fit(1);
  assertEquals([lines.length, mine.length], [3, 2]);
});

Deno.test("the bar says the loss once it is known, and nothing before", async () => {
  const { code, err } = await script(`await d.useDevice("wasm", { log: null });
    const x = new d.HostArray(Float32Array.of(0, 1, 2, 3), [4, 1]), data = new d.ArrayDataset(x, x);
    const loader = d.DataLoaders.from(data, data, { batchSize: 4 });
    const cbs = [new d.DeviceCB(), new d.ProgressCB(() => {})];
    await new d.TrainLearner(new d.Linear(1, 1), loader, { cbs }).fit(1, { valid: false });`);
  assertEquals(code, 0, err);
  assertMatch(err, /^epoch 1\/1 train 1\/1, 0s left {2}[\d.]+ items\/s/m);
});

Deno.test("in an evaluation the bar says the mean of the batches so far", async () => {
  const { code, err } = await script(`await d.useDevice("wasm", { log: null });
    const x = new d.HostArray(Float32Array.of(0, 0, 0, 3), [4, 1]), data = new d.ArrayDataset(x, x);
    const loader = d.DataLoaders.from(data, data, { batchSize: 1, evalBatchSize: 1 });
    const model = new d.Linear(1, 1);
    model.weight.assign(d.tf.zeros(model.weight.shape));
    model.bias.assign(d.tf.zeros(model.bias.shape));
    const slow = new class extends d.Callback {
      beforeBatch() { return new Promise((resolve) => setTimeout(resolve, 300)); }
    };
    const cbs = [new d.DeviceCB(), slow, new d.ProgressCB(() => {})];
    await new d.TrainLearner(model, loader, { cbs }).fit(1, { train: false });`);
  assertEquals(code, 0, err);
  assertMatch(err, /^epoch 1\/1 eval {2}4\/4, 0s left {2}loss 2\.2500/m);
});
