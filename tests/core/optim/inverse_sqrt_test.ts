/** InverseSqrtLR. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { InverseSqrtLR, Linear, SGD } from "../../../mod.ts";
import "../../support.ts";

const optimizer = () => new SGD(new Linear(1, 1).parameters(), { lr: 1 });

Deno.test("the rate rises, stays, then falls as one over the root of the step", () => {
  const opt = optimizer(), sched = new InverseSqrtLR(opt, { maxLr: 0.8, warmup: 4, flat: 10 });
  const rates: number[] = [];
  for (let i = 0; i < 41; i++) {
    rates.push(opt.paramGroups[0].lr);
    sched.step();
  }
  [0.2, 0.4, 0.6, 0.8, 0.8].forEach((rate, i) => assertAlmostEquals(rates[i], rate));
  assertAlmostEquals(rates[10], 0.8);
  assertAlmostEquals(rates[40], 0.4);
  const again = optimizer(), resumed = new InverseSqrtLR(again, { maxLr: 0.8, warmup: 4, flat: 10 });
  resumed.stepNum = 25;
  assertEquals(again.paramGroups[0].lr, rates[25]);
  assertEquals(new InverseSqrtLR(optimizer(), { maxLr: 0.1 }).options, {
    maxLr: 0.1,
    warmup: 0,
    flat: 10_000,
  });
});

Deno.test("options out of their range are named", () => {
  for (const [name, value] of Object.entries({ maxLr: -1, warmup: 1.5, flat: 0 })) {
    const make = () => new InverseSqrtLR(optimizer(), { maxLr: 1, [name]: value });
    assertThrows(make, RangeError, `${name} is`);
  }
  const sched = new InverseSqrtLR(optimizer(), { maxLr: 1 });
  assertThrows(() => sched.stepNum = -1, RangeError, "not -1");
});
