/** BatchTransformCB. */
import { assertEquals } from "@std/assert";
import { BatchTransformCB, Callback, type Learner, tf } from "../../mod.ts";
import { numbers } from "../support.ts";
import { line } from "./lines.ts";

Deno.test("BatchTransformCB changes what the model sees, where it is on", async () => {
  for (const [onTrain, onVal] of [[true, true], [true, false], [false, true]]) {
    const sums: Record<string, number[]> = { train: [], eval: [] };
    class Watch extends Callback {
      override order = 50;
      override async beforeBatch(learn: Learner) {
        sums[learn.training ? "train" : "eval"].push(...await numbers(tf.sum(tf.abs(learn.batch[0]))));
      }
    }
    const zero = new BatchTransformCB(([x, y]) => [tf.mul(x, 0), y], { onTrain, onVal });
    await (await line([zero, new Watch()])).fit(1);
    assertEquals([sums.train.every((s) => s === 0), sums.eval.every((s) => s === 0)], [onTrain, onVal]);
  }
});
