/** Schedules against reference numbers (tests/golden/schedules.safetensors). */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeSafetensors, linearSchedule, respace } from "../../../mod.ts";
import { assertClose } from "../../support.ts";

const { tensors: golden } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/schedules.safetensors", import.meta.url)),
);

Deno.test("golden: β and ᾱ of the linear schedule", async () => {
  const { β, ᾱ, α, σ } = linearSchedule();
  await assertClose(β, golden.beta.data, 1e-6);
  for (const [t, expected] of golden.alphabar.data.entries()) {
    assert(Math.abs(ᾱ[t] / expected - 1) < 1e-4, `ᾱ[${t}] = ${ᾱ[t]}, not ${expected}`);
  }
  assertEquals([α[3], σ[3]], [1 - β[3], Math.sqrt(β[3])]);
});

Deno.test("respace: the same ᾱ at fewer steps", () => {
  const full = linearSchedule(), half = respace(full, 100);
  assertEquals([half.timesteps[0], half.timesteps[99], half.nSteps], [9, 999, 100]);
  half.timesteps.forEach((t, i) => assert(Math.abs(half.ᾱ[i] / full.ᾱ[t] - 1) < 1e-12));
  assertEquals(respace(full, 1000), full);
});

Deno.test("schedules that are none say why", () => {
  assertThrows(() => linearSchedule({ nSteps: 0 }), RangeError, "not 0");
  assertThrows(() => linearSchedule({ betaMin: 0 }), RangeError, "not 0 and 0.02");
  assertThrows(() => respace(linearSchedule({ nSteps: 10 }), 11), RangeError, "not 11");
});
