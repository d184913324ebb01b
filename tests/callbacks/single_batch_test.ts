/** SingleBatchCB. */
import { assertEquals } from "@std/assert";
import { Callback, type Learner, SingleBatchCB } from "../../mod.ts";
import "../support.ts";
import { line } from "./lines.ts";

Deno.test("SingleBatchCB: one batch of training, and the fit is over", async () => {
  const seen: string[] = [];
  class See extends Callback {
    override afterBatch(learn: Learner) {
      seen.push(`${learn.epoch} ${learn.training ? "train" : "valid"} ${learn.iter}`);
    }
  }
  await (await line([new See(), new SingleBatchCB()], { batchSize: 2 })).fit(2);
  assertEquals(seen, ["0 train 0"]);
});
