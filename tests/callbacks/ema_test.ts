/** EMACB. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  AccumulateGradCB,
  Callback,
  copyOf,
  EMACB,
  HooksCallback,
  type Learner,
  type Linear,
} from "../../mod.ts";
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
  seen.forEach((w, n) => {
    const decay = Math.min(0.8, (1 + n) / (10 + n));
    average = average.map((a, i) => decay * a + (1 - decay) * w[i]);
  });
  await assertClose(await evaluated, average, 1e-5);
  assertEquals(await weights(learn), seen.at(-1));
  ema.apply();
  await assertClose(await weights(learn), average, 1e-5);
  ema.dispose();
  assertThrows(() => new EMACB(1), RangeError, "not 1");
});

Deno.test("EMACB is of the model that is trained; it moves once a step; apply is taken back by restore", async () => {
  const ema = new EMACB(0.5);
  const other = await line([ema]), learn = await line([ema, new AccumulateGradCB(3)]);
  await other.fit(1);
  const [before, start] = [await weights(other), await weights(learn)];
  await learn.fit(1); // one step
  const own = await weights(learn);
  ema.apply();
  ema.apply();
  await assertClose(await weights(learn), start.map((w, i) => 0.1 * w + 0.9 * own[i]), 1e-5);
  ema.restore();
  assertEquals([await weights(learn), await weights(other)], [own, before]);
  ema.dispose();
});

Deno.test("an average is not applied while a fit trains, nor taken back; it lends itself", async () => {
  const ema = new EMACB(0.5), lent: number[][] = [], own: number[][] = [];
  class Look extends Callback {
    override order = 200;
    override async afterStep(learn: Learner) {
      const { weight } = learn.model as Linear, read = () => weight.data();
      assertThrows(() => ema.apply(), Error, "EMACB(0.5).apply: a fit is training these weights");
      assertThrows(() => ema.restore(), Error, "EMACB(0.5).restore: a fit is training these weights");
      own.push(await weights(learn));
      const copy = ema.withAverage(() => copyOf(weight));
      lent.push(await numbers(copy));
      copy.dispose();
      assertEquals(Array.from(await read()), own.at(-1));
    }
  }
  const learn = await line([ema, new Look()]);
  let average = await weights(learn);
  await learn.fit(1, { valid: false });
  for (const [n, w] of own.entries()) {
    const decay = Math.min(0.5, (1 + n) / (10 + n));
    average = average.map((a, i) => decay * a + (1 - decay) * w[i]);
    await assertClose(lent[n], average, 1e-5);
  }
  ema.apply();
  ema.restore();
  assertEquals(await weights(learn), own.at(-1));
  ema.dispose();
});
