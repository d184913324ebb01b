/** EMACB. */
import { assertEquals, assertThrows } from "@std/assert";
import { Callback, EMACB, HooksCallback, type Learner, type Linear } from "../../mod.ts";
import { assertClose, numbers } from "../support.ts";
import { line, weights } from "./lines.ts";

Deno.test("EMACB: the average by hand, used in evaluation, put back for training, applied at the end", async () => {
  const ema = new EMACB(0.8), seen: number[][] = [];
  class Watch extends Callback {
    override order = 200;
    override async afterStep(learn: Learner) {
      seen.push(await weights(learn));
    }
  }
  let evaluated = Promise.resolve<number[]>([]);
  const look = new HooksCallback(({ module }) => {
    evaluated = numbers((module as Linear).weight);
  }, { onTrain: false, onValid: true });
  const learn = await line([ema, look, new Watch()]);
  let average = await weights(learn);
  await learn.fit(1);
  for (const w of seen) average = average.map((a, i) => 0.8 * a + 0.2 * w[i]);
  await assertClose(await evaluated, average, 1e-5);
  assertEquals(await weights(learn), seen.at(-1));
  ema.apply();
  await assertClose(await weights(learn), average, 1e-5);
  ema.dispose();
  assertThrows(() => new EMACB(1), RangeError, "not 1");
});
