/** AccumulateGradCB. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  AccumulateGradCB,
  Callback,
  CancelBatchException,
  DeviceCB,
  type Learner,
  type Linear,
  type Tensor,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { assertClose, numbers } from "../support.ts";
import { line, weights } from "./lines.ts";

Deno.test("AccumulateGradCB: two batches of 8 and their rest are one of 16 and one of 8", async () => {
  const small = await line([new AccumulateGradCB(2)]), large = await line([], { batchSize: 16 });
  await small.fit(2, { valid: false });
  await large.fit(2, { valid: false });
  await assertClose(await weights(small), await weights(large), 1e-5);
  // Taken off again: the next fit steps every batch.
  const plain = await line([]);
  small.cbs = small.cbs.slice(0, 1);
  plain.model.loadStateDict(small.model.stateDict());
  await small.fit(1, { valid: false });
  await plain.fit(1, { valid: false });
  await assertClose(await weights(small), await weights(plain), 1e-6);
  assertThrows(() => new AccumulateGradCB(0), RangeError, "not 0");
});

Deno.test("a cancelled batch is not in the mean; a last one costs no step and leaves no gradient", async () => {
  /** The gradient of each step, where the batch's is its number + 1. */
  const steps = async (cancel: Partial<Record<"beforeBatch" | "afterBackward" | "afterStep", number>>) => {
    const seen: Tensor[] = [];
    class Look extends Callback {
      override beforeFit(learn: Learner) {
        learn.current.wrap("step", (step) => () => {
          seen.push(tf.keep(tf.clone((learn.model as Linear).bias!.grad!)));
          return step();
        });
      }
      override beforeBatch({ iter }: Learner) {
        if (iter === cancel.beforeBatch) throw new CancelBatchException();
      }
      override afterBackward({ iter }: Learner) {
        if (iter === cancel.afterBackward) throw new CancelBatchException();
      }
      override afterStep({ iter }: Learner) {
        if (iter === cancel.afterStep) throw new CancelBatchException();
      }
    }
    const { model, dls } = await line([], { batchSize: 6 });
    const learn: Learner = new TrainLearner(model, dls, {
      lr: 0,
      lossFunc: (preds) => tf.mul(tf.mean(preds), learn.iter + 1),
      cbs: [new DeviceCB(), Object.assign(new Look(), { order: -1 }), new AccumulateGradCB(2)],
    });
    await learn.fit(1, { valid: false });
    assertEquals(model.parameters().filter((p) => p.grad), []);
    const read = await Promise.all(seen.map(numbers));
    tf.dispose(seen);
    return read.map(([v]) => Math.round(v * 1e4) / 1e4);
  };
  assertEquals(await steps({}), [1.5, 3.5]);
  assertEquals(await steps({ afterBackward: 0 }), [2.5, 4]);
  assertEquals(await steps({ afterBackward: 1 }), [2, 4]);
  assertEquals(await steps({ afterStep: 0 }), [1.5, 3.5]);
  assertEquals(await steps({ afterStep: 1 }), [1.5, 3.5]);
  assertEquals(await steps({ beforeBatch: 1 }), [2, 4]);
  assertEquals(await steps({ beforeBatch: 3 }), [1.5, 3]);
  assertEquals(await steps({ afterBackward: 3 }), [1.5, 3]);
});
