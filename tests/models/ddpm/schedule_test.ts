/** Schedules against reference numbers (tests/golden/schedules.safetensors). */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { betaSchedule, decodeSafetensors, linearSchedule, respace, type Variance } from "../../../mod.ts";
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

Deno.test("variance: β by default, β̃ where respaced or asked for (paper, section 3.2)", () => {
  const full = linearSchedule({ nSteps: 100 }),
    small = linearSchedule({ nSteps: 100, variance: "fixed_small" });
  const posterior = ({ β, ᾱ }: typeof full, t: number) =>
    Math.sqrt(β[t] * (1 - (t ? ᾱ[t - 1] : 1)) / (1 - ᾱ[t]));
  for (let t = 0; t < 100; t++) {
    assertEquals([full.σ[t], small.σ[t]], [Math.sqrt(full.β[t]), posterior(full, t)]);
  }
  const few = respace(full, 10);
  assertEquals([...few.σ], Array.from(few.σ, (_, t) => posterior(few, t)));
  assertEquals(
    [full, few, respace(full, 100), respace(small, 100), respace(full, 10, { variance: "fixed_large" })]
      .map((s) => s.variance),
    ["fixed_large", "fixed_small", "fixed_large", "fixed_small", "fixed_large"],
  );
  assertEquals(respace(full, 10, { variance: undefined }), few);
  assertThrows(
    () => linearSchedule({ variance: "learned" as Variance }),
    RangeError,
    "fixed_large or fixed_small, not learned",
  );
});

Deno.test("every number of every schedule is finite, ᾱ that underflows included", () => {
  for (const nSteps of [1, 2, 999, 1000, 5000]) {
    for (const [betaMin, betaMax] of [[1e-4, 0.02], [1e-9, 1e-9], [1e-4, 0.999], [0.999, 0.999]]) {
      for (const variance of ["fixed_large", "fixed_small"] as const) {
        const full = linearSchedule({ nSteps, betaMin, betaMax, variance });
        for (const n of new Set([1, Math.ceil(nSteps / 20), nSteps])) {
          const { β, α, ᾱ, σ } = respace(full, n, { variance });
          for (const [name, numbers] of Object.entries({ β, α, ᾱ, σ })) {
            assert(
              numbers.every((v) => v >= 0 && v <= 1),
              `${name} of ${nSteps}, ${n} steps to ${betaMax}: ${numbers}`,
            );
          }
          assert(ᾱ.every((v) => Math.fround(1 / Math.sqrt(v)) < Infinity));
        }
      }
    }
  }
});

Deno.test("β that leaves ᾱ at 1 is refused", () => {
  for (const variance of ["fixed_large", "fixed_small"] as Variance[]) {
    assertThrows(
      () => linearSchedule({ betaMin: 1e-17, betaMax: 1e-16, variance }),
      RangeError,
      "1e-17, is too small",
    );
    assert(linearSchedule({ betaMin: 1e-15, betaMax: 1e-15, variance }).σ.every(Number.isFinite));
  }
});

Deno.test("betaSchedule: the schedule of one's own β; others are refused", () => {
  const { β, ᾱ } = linearSchedule({ nSteps: 20 });
  assertEquals(betaSchedule(β), linearSchedule({ nSteps: 20 }));
  assertEquals([...betaSchedule(β.map((b, t) => t < 19 ? b : 1)).ᾱ], [...ᾱ.subarray(0, 19), 1e-60]);
  for (const wrong of [0, -0.1, 1.1, NaN]) {
    assertThrows(() => betaSchedule(Float64Array.of(0.1, wrong)), RangeError, `at most 1, not ${wrong}`);
  }
  assertThrows(() => betaSchedule(new Float64Array()), RangeError, "at least one step");
  const timesteps = Int32Array.of(1);
  assertThrows(() => betaSchedule(β, { timesteps }), RangeError, "1 timesteps for 20 steps");
});
