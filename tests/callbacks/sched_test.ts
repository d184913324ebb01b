/** BatchSchedCB and EpochSchedCB. */
import { assert, assertEquals } from "@std/assert";
import {
  Adam,
  BatchSchedCB,
  Callback,
  DeviceCB,
  EpochSchedCB,
  type Learner,
  Linear,
  OneCycleLR,
  RecorderCB,
  TrainLearner,
} from "../../mod.ts";
import { line, points } from "./lines.ts";

Deno.test("BatchSchedCB and RecorderCB: the schedule's rates, batch by batch", async () => {
  const recorder = new RecorderCB({ lr: (l) => l.opt!.paramGroups[0].lr, loss: (l) => l.loss });
  const schedule = (opt: Adam, totalSteps: number) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps });
  await new TrainLearner(new Linear(3, 1), await points(), {
    cbs: [new DeviceCB(), new BatchSchedCB(schedule as never), Object.assign(recorder, { order: -1 })],
    optFunc: (params, lr) => new Adam(params, { lr }),
  }).fit(2);
  const reference = new OneCycleLR(new Adam(new Linear(1, 1).parameters()), { maxLr: 0.1, totalSteps: 12 });
  assertEquals(recorder.values.lr, Array.from({ length: 12 }, (_, i) => reference.at(i).lr));
  assertEquals(recorder.values.loss.length, 12);
  assert(recorder.values.loss.every((v) => v > 0));
  assert(Object.values(await recorder.plot()).every((svg) => svg.startsWith("<svg")));
});

Deno.test("EpochSchedCB steps once a training epoch", async () => {
  const rates: number[] = [];
  class Watch extends Callback {
    override beforeBatch(learn: Learner) {
      if (learn.training) rates.push(learn.opt!.paramGroups[0].lr);
    }
  }
  const make = (totalSteps: number) => {
    assertEquals(totalSteps, 4);
    return totalSteps;
  };
  const sched = new EpochSchedCB((opt, n) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps: make(n) }));
  await (await line([sched, new Watch()])).fit(4);
  assertEquals(rates.length, 12);
  assertEquals(new Set(rates).size, 4);
  for (let i = 0; i < 12; i += 3) assertEquals(new Set(rates.slice(i, i + 3)).size, 1);
});
