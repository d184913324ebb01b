/** AccumulateGradCB. */
import { assertThrows } from "@std/assert";
import { AccumulateGradCB } from "../../mod.ts";
import { assertClose } from "../support.ts";
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
