/** EarlyStoppingCB. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EarlyStoppingCB } from "../../mod.ts";
import { line, quiet } from "./lines.ts";

Deno.test("EarlyStoppingCB ends after `patience` epochs without improvement", async () => {
  const stopper = new EarlyStoppingCB({ patience: 2, minDelta: 10 }), metrics = quiet();
  await (await line([metrics, stopper])).fit(20);
  assertEquals(metrics.rows.at(-1)!.epoch, 3); // the first is an improvement on nothing, then three are not
  const lively = quiet();
  await (await line([lively, new EarlyStoppingCB({ patience: 2 })])).fit(6);
  assertEquals(lively.rows.at(-1)!.epoch, 5);
  // A second fit with the same callbacks forgives as many epochs again.
  const again = quiet(), learn = await line([again, new EarlyStoppingCB({ patience: 1, minDelta: 10 })]);
  await learn.fit(20);
  await learn.fit(20);
  assertEquals(again.rows.filter((r) => r.train === "eval").map((r) => r.epoch), [0, 1, 2, 0, 1, 2]);
  const alone = await line([new EarlyStoppingCB()]);
  await assertRejects(() => alone.fit(1), Error, "there is no MetricsCB");
  const wrong = await line([quiet(), new EarlyStoppingCB({ metric: "accuracy" })]);
  await assertRejects(() => wrong.fit(1), Error, 'no metric "accuracy"; there are');
});

Deno.test("EarlyStoppingCB: exactly minDelta counts", async () => {
  const values = [0, 4, 0, 3, 0, 2.5]; // of training and evaluation
  const metrics = quiet({ step: { reset() {}, update() {}, compute: () => values.shift()! } });
  const stopper = new EarlyStoppingCB({ metric: "step", minDelta: 1, patience: 0 });
  await (await line([metrics, stopper])).fit(9);
  assertEquals([stopper.best, metrics.rows.filter((row) => row.train === "eval").length], [3, 3]);
});

Deno.test("EarlyStoppingCB refuses another mode, patience or minDelta", () => {
  const wrong = [{ patience: -1 }, { patience: 1.5 }, { patience: NaN }, { minDelta: -1 }, { minDelta: NaN }];
  for (const options of wrong) {
    const [[name, value]] = Object.entries(options);
    assertThrows(() => new EarlyStoppingCB(options), RangeError, `EarlyStoppingCB: ${name} is`);
    assertThrows(() => new EarlyStoppingCB(options), RangeError, `not ${value}`);
  }
  assertThrows(
    () => new EarlyStoppingCB({ mode: "mean" as "min" }),
    RangeError,
    'mode is "min" or "max", not mean',
  );
});
