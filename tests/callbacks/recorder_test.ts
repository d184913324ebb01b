/** RecorderCB. */
import { assertEquals, assertRejects } from "@std/assert";
import { type Linear, RecorderCB, tf } from "../../mod.ts";
import "../support.ts";
import { line } from "./lines.ts";

Deno.test("RecorderCB: numbers and scalars of each training batch, none of evaluation; nothing leaks", async () => {
  const recorder = new RecorderCB({
    lr: (learn) => learn.opt!.paramGroups[0].lr,
    loss: (learn) => learn.loss,
    iter: (learn) => learn.iter,
  });
  const learn = await line([recorder]);
  await learn.fit(1);
  const tensors = tf.memory().numTensors;
  await learn.fit(2);
  assertEquals(tf.memory().numTensors, tensors);
  assertEquals(recorder.values.lr, Array(9).fill(0.05));
  assertEquals(recorder.values.iter, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
  assertEquals(recorder.values.loss.length, 9);
  const [first, last] = [recorder.values.loss[0], recorder.values.loss.at(-1)!];
  assertEquals(last < first, true);
});

Deno.test("RecorderCB: flush has what is still on the device; a checkpoint's values go on", async () => {
  const recorder = new RecorderCB({ loss: (learn) => learn.loss }), again = new RecorderCB({ loss: () => 7 });
  await (await line([recorder])).fit(1);
  await recorder.flush();
  again.loadState(await recorder.state());
  await (await line([again])).fit(1);
  assertEquals(again.values.loss, [...recorder.values.loss, 7, 7, 7]);
});

Deno.test("RecorderCB records numbers and tensors of one; a larger one is named", async () => {
  const learn = await line([]);
  const recorder = new RecorderCB({ weights: ({ model }) => (model as Linear).weight });
  const fit = () => learn.fit(1, { cbs: [recorder] });
  await assertRejects(fit, Error, `RecorderCB: "weights" is a tensor of shape [1,3], not of one number`);
});
