/** CapturePreds and learn.capturePreds. */
import { assertEquals, assertThrows } from "@std/assert";
import { CapturePreds, type DataLoader } from "../../mod.ts";
import { assertClose, numbers } from "../support.ts";
import { line, weights } from "./lines.ts";

Deno.test("CapturePreds and learn.capturePreds: every prediction and target in order, nothing trained", async () => {
  const learn = await line([], { batchSize: 3 });
  const before = await weights(learn);
  const [preds, targets] = await learn.capturePreds();
  assertEquals([preds.shape, targets.shape], [[8, 1], [8, 1]]);
  const [images, labels] = await (learn.dls.valid as DataLoader).dataset.items(
    Int32Array.from({ length: 8 }, (_, i) => i),
  );
  await assertClose(preds.data, await numbers(learn.model.call(images.toTensor())), 1e-5);
  assertEquals(Array.from(targets.data), Array.from(labels.data));
  assertEquals([await weights(learn), learn.cbs.length], [before, 1]);
  assertThrows(() => new CapturePreds().all, Error, "no batch");
});
