/** LRFinderCB and learn.lrFind. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  BatchSchedCB,
  DeviceCB,
  Dropout,
  EMACB,
  Generator,
  Linear,
  LRFinderCB,
  OneCycleLR,
  Sequential,
  TrainLearner,
} from "../../mod.ts";
import { line, quiet, sums, weights } from "./lines.ts";

Deno.test("LRFinderCB raises the rate by gamma until the loss explodes, and suggests one before that", async () => {
  const finder = new LRFinderCB({ gamma: 2 });
  const learn = await line([]);
  await learn.fit(50, { lr: 1e-4, cbs: [finder] });
  const { lrs, losses } = finder;
  lrs.forEach((lr, i) => assert(Math.abs(lr / (1e-4 * 2 ** i) - 1) < 1e-6, `rate ${i}: ${lr}`));
  assert(losses.at(-1)! > 3 * Math.min(...losses), `${losses}`);
  assert(lrs.length < 40, `${lrs.length} batches`);
  assert(finder.suggestion! > 1e-4 && finder.suggestion! < lrs.at(-1)!);
  assertMatch(await finder.plot(), /^<svg/);
  assertThrows(() => new LRFinderCB({ gamma: 1 }), RangeError, "gamma is a number over 1, not 1");
  assertThrows(() => new LRFinderCB({ gamma: Infinity }), RangeError, "gamma is a finite number over 1");
  for (
    const [name, value] of [["startLr", 0], ["startLr", NaN], ["maxEpochs", 0], ["maxEpochs", 1.5]] as const
  ) {
    const run = () => learn.lrFind({ [name]: value, log: () => {} });
    await assertRejects(run, RangeError, `lrFind: ${name} is a`);
    await assertRejects(run, RangeError, `not ${value}`);
  }
});

Deno.test("learn.lrFind writes the plot and prints the suggestion", async () => {
  const path = await Deno.makeTempFile({ suffix: ".svg" });
  const lines: string[] = [];
  const found = await (await line([], { batchSize: 24 })).lrFind({
    gamma: 2,
    startLr: 1e-4,
    maxEpochs: 50,
    path,
    log: (l) => lines.push(l),
  });
  assertMatch(lines.join(), /^Suggested lr: \d\.\de-?\d/);
  assertMatch(await Deno.readTextFile(path), /^<svg/);
  assert(found.lrs.length > 5);
  await Deno.remove(path);
});

Deno.test("learn.lrFind leaves schedules, records, weights and the order of the data as they were", async () => {
  const metrics = quiet();
  const sched = new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 0.1, totalSteps }));
  const learn = await line([metrics, sched, new EMACB(0.5)]), before = await weights(learn);
  await learn.fit(1, { train: false });
  const { opt } = learn, order = learn.dls.train.state!();
  const { lrs } = await learn.lrFind({ startLr: 1e-3, gamma: 2, log: () => {} });
  lrs.forEach((lr, i) => assert(Math.abs(lr / (1e-3 * 2 ** i) - 1) < 1e-6, `rate ${i}: ${lr}`));
  assertEquals([await weights(learn), learn.opt, metrics.rows.length], [before, opt, 1]);
  assertEquals(learn.dls.train.state!(), order);
});

Deno.test("learn.lrFind leaves each module's mode and a dropout's own generator as they were", async () => {
  const dropout = new Dropout(0.5, new Generator(4)), first = new Linear(3, 3);
  const model = new Sequential(first, dropout, new Linear(3, 1)), { state } = dropout.generator;
  first.eval();
  await new TrainLearner(model, await sums(), { cbs: [new DeviceCB()] }).lrFind({ log: () => {} });
  assertEquals([model, first, dropout].map((m) => m.training), [true, false, true]);
  assertEquals(dropout.generator.state, state);
});
