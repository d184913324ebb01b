/** OneCycleLR. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Adam, OneCycleLR, type Parameter, SGD } from "../../../mod.ts";
import torch from "../../golden/torch.json" with { type: "json" };
import "../../support.ts";
import { start } from "./steps.ts";

Deno.test("OneCycleLR: PyTorch's rate and momentum at every step, Adam and SGD", () => {
  for (
    const [make, expected] of [
      [(p: Parameter[]) => new Adam(p, { lr: 1 }), torch["onecycle.adam"]],
      [(p: Parameter[]) => new SGD(p, { lr: 1, momentum: 0.9 }), torch["onecycle.sgd"]],
    ] as const
  ) {
    const opt = make([start()]);
    const schedule = new OneCycleLR(opt, { maxLr: 5e-3, totalSteps: 37 });
    for (const [lr, momentum] of expected) {
      const group = opt.paramGroups[0];
      const got = group.betas ? group.betas[0] : group.momentum!;
      assert(
        Math.abs(group.lr - lr) < 1e-9 && Math.abs(got - momentum) < 1e-9,
        `${group.lr}, ${got} at ${schedule.stepNum}`,
      );
      schedule.step();
    }
    assertThrows(() => schedule.step(), Error, "a cycle of 37 steps is over");
  }
});

Deno.test("OneCycleLR gives finite numbers for every legal combination of options", () => {
  let schedules = 0;
  for (const totalSteps of [1, 2, 3, 4, 5, 10, 37]) {
    for (const pctStart of [0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9, 1]) {
      for (const cycleMomentum of [true, false]) {
        const opt = new Adam([start()], { lr: 1 });
        const schedule = new OneCycleLR(opt, { maxLr: 0.5, totalSteps, pctStart, cycleMomentum });
        const rates = [opt.paramGroups[0].lr];
        for (let i = 0; i < totalSteps; i++) {
          schedule.step();
          rates.push(opt.paramGroups[0].lr);
          assert(
            opt.paramGroups[0].betas!.every((beta) => beta >= 0 && beta < 1),
            `${totalSteps}, ${pctStart}`,
          );
        }
        assert(rates.every((lr) => lr >= 0 && lr <= 0.5), `${totalSteps} steps, ${pctStart}: ${rates}`);
        schedules++;
      }
    }
  }
  assertEquals(schedules, 112);
  const opt = new Adam([start()]), short = new OneCycleLR(opt, { maxLr: 1, totalSteps: 10, pctStart: 0.1 });
  assertEquals([short.at(0).lr, short.at(9).lr < 1e-4], [1, true]);
});

Deno.test("OneCycleLR: settings that give no cycle are named, and one left undefined has its default", () => {
  const sgd = new SGD([start()], { lr: 1 });
  assertThrows(() => new OneCycleLR(sgd, { maxLr: 1, totalSteps: 0 }), RangeError, "not 0");
  assertThrows(() => new OneCycleLR(sgd, { maxLr: 1, totalSteps: 5, pctStart: 2 }), RangeError, "not 2");
  const refused = (make: () => unknown, message: string) => assertThrows(make, Error, message);
  const opt = new Adam([start()]);
  const cycle = (options: object) => () => new OneCycleLR(opt, { maxLr: 1, totalSteps: 5, ...options });
  for (const name of ["maxLr", "divFactor", "finalDivFactor", "baseMomentum", "maxMomentum"]) {
    refused(cycle({ [name]: -1 }), name);
    refused(cycle({ [name]: NaN }), name);
  }
  refused(() => cycle({})().stepNum = 6, "a step is a whole number from 0 to 5, not 6");
  assertEquals(cycle({ pctStart: undefined, divFactor: undefined })().options, cycle({})().options);
});
