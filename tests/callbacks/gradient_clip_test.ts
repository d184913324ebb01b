/** GradientClipCB. */
import { assert, assertEquals } from "@std/assert";
import { Callback, GradientClipCB, type Linear, tf } from "../../mod.ts";
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

Deno.test("GradientClipCB: gradients of up to 1e37 have a finite norm and are clipped to it", async () => {
  for (const size of [1e18, 1e25, 1e37]) {
    const clip = new GradientClipCB(0.5);
    const learn = await line([clip], { lr: 1, batchSize: 24 });
    const before = await weights(learn);
    class Enlarge extends Callback {
      override afterBackward(): void {
        for (const p of learn.model.parameters()) p.setGrad(tf.fill(p.shape, size));
      }
    }
    await learn.fit(1, { valid: false, cbs: [new Enlarge()] });
    const parts = learn.model.parameterCount();
    assert(Math.abs(await clip.norm() / (size * Math.sqrt(parts)) - 1) < 1e-5, `${await clip.norm()}`);
    const change = (await weights(learn)).map((w, i) => before[i] - w);
    for (const by of change) assert(Math.abs(by - 0.5 / Math.sqrt(parts)) < 1e-5, `a step of ${by}`);
  }
});
