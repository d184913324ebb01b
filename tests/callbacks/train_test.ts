/** TrainCB. */
import { assertEquals, assertThrows } from "@std/assert";
import { type Learner, TrainCB } from "../../mod.ts";
import "../support.ts";

Deno.test("TrainCB: the first nInp elements go to the model, the rest to the loss", () => {
  const seen: unknown[] = [];
  const learn = {
    batch: [1, 2, 3, 4],
    model: { call: (...xs: unknown[]) => (seen.push(xs), "preds") },
    lossFunc: (...xs: unknown[]) => (seen.push(xs), "loss"),
  } as unknown as Learner;
  const cb = new TrainCB(2);
  cb.predict(learn);
  cb.getLoss(learn);
  assertEquals(seen, [[1, 2], ["preds", 3, 4]]);
  assertEquals([learn.preds, learn.loss as unknown], ["preds", "loss"]);
});

Deno.test("TrainCB takes a positive whole number of inputs", () => {
  for (const nInp of [0, -1, 1.5, NaN]) {
    assertThrows(
      () => new TrainCB(nInp),
      RangeError,
      `TrainCB: nInp is a positive whole number, not ${nInp}`,
    );
  }
});
