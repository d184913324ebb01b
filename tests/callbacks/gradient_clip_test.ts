/** GradientClipCB. */
import { assert, assertEquals } from "@std/assert";
import { GradientClipCB, type Linear } from "../../mod.ts";
import { numbers } from "../support.ts";
import { line, weights } from "./lines.ts";

Deno.test("GradientClipCB: the step has the gradient's direction and at most that norm", async () => {
  const clip = new GradientClipCB(0.01);
  const learn = await line([clip], { lr: 1, batchSize: 24 });
  const all = async () => [...await weights(learn), ...await numbers((learn.model as Linear).bias!)];
  const before = await all();
  await learn.fit(1, { valid: false });
  const change = (await all()).map((w, i) => before[i] - w);
  assert(Math.abs(Math.hypot(...change) - 0.01) < 1e-6, `norm ${Math.hypot(...change)}`);
  assert(await clip.norm() > 1, `norm before ${await clip.norm()}`);
  const loose = await line([new GradientClipCB(1e6)]), free = await line([]);
  await loose.fit(1);
  await free.fit(1);
  assertEquals(await weights(loose), await weights(free));
});
