/** Schedules of β against reference numbers (tests/golden/schedules.safetensors) and their definitions. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeSafetensors, diffusion, linearSchedule, type Schedule } from "../../../mod.ts";
import { assertClose } from "../../support.ts";

const { cosineSchedule, scaledLinearSchedule, sigmoidSchedule, zeroTerminalSnr } = diffusion;

const { tensors: golden } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/schedules.safetensors", import.meta.url)),
);

Deno.test("golden: β of the cosine schedule", async () => {
  await assertClose(cosineSchedule().β, golden["cosine.beta"].data, 1e-6);
});

Deno.test("cosine: ᾱ is f(t)/f(0) of the paper until β is capped", () => {
  const { ᾱ, β } = cosineSchedule({ nSteps: 200 });
  const f = (t: number) => Math.cos((t / 200 + 0.008) / 1.008 * Math.PI / 2) ** 2;
  for (let t = 0; t < 199; t++) assert(Math.abs(ᾱ[t] * f(0) / f(t + 1) - 1) < 1e-9, `step ${t}`);
  assertEquals([β[199], cosineSchedule({ nSteps: 200, betaMax: 0.5 }).β[199]], [0.999, 0.5]);
});

Deno.test("scaled-linear and sigmoid: β from the first to the last, the middle where each says", () => {
  const options = { nSteps: 101, betaMin: 0.01, betaMax: 0.09 };
  const linear = linearSchedule(options).β, scaled = scaledLinearSchedule(options).β;
  const close = (a: number, b: number) => assert(Math.abs(a - b) < 1e-12, `${a}, not ${b}`);
  close(scaled[0], linear[0]);
  close(scaled[100], linear[100]);
  close(scaled[50], 0.04); // ((0.1 + 0.3)/2)²
  const sigmoid = sigmoidSchedule(options).β;
  close(sigmoid[50], 0.05);
  close(sigmoid[0] - 0.01, 0.08 / (1 + Math.exp(6)));
  close(sigmoid[100] - 0.01, 0.08 / (1 + Math.exp(-6)));
});

Deno.test("zeroTerminalSnr: √ᾱ keeps its first and its shape, and ends at 0 (algorithm 1)", () => {
  for (const schedule of [linearSchedule(), scaledLinearSchedule(), cosineSchedule()]) {
    const { ᾱ, β, σ } = zeroTerminalSnr(schedule), T = ᾱ.length;
    const [first, last] = [Math.sqrt(schedule.ᾱ[0]), Math.sqrt(schedule.ᾱ[T - 1])];
    for (let t = 0; t < T - 1; t++) {
      const expected = (Math.sqrt(schedule.ᾱ[t]) - last) * first / (first - last);
      assert(Math.abs(Math.sqrt(ᾱ[t]) - expected) < 1e-9, `step ${t}: ${Math.sqrt(ᾱ[t])}, not ${expected}`);
    }
    assertEquals([β[T - 1], diffusion.vp(zeroTerminalSnr(schedule)).at(T - 1)], [1, { α: 0, σ: 1, t: 999 }]);
    assert(σ.every((v) => v >= 0 && v <= 1));
  }
});

Deno.test("options that no schedule has are refused by name", () => {
  const wrong: [make: () => Schedule, message: string][] = [
    [() => cosineSchedule({ nSteps: 0 }), "cosineSchedule: nSteps is a whole number of at least 1, not 0"],
    [() => cosineSchedule({ nSteps: 1.5 }), "not 1.5"],
    [() => cosineSchedule({ offset: -1 }), "offset is at least 0, not -1"],
    [() => cosineSchedule({ betaMax: 1.1 }), "betaMax is over 0 and at most 1, not 1.1"],
    [
      () => scaledLinearSchedule({ betaMin: 0 }),
      "scaledLinearSchedule: 0 < betaMin ≤ betaMax < 1, not 0 and 0.02",
    ],
    [
      () => sigmoidSchedule({ betaMin: 0.03 }),
      "sigmoidSchedule: 0 < betaMin ≤ betaMax < 1, not 0.03 and 0.02",
    ],
    [() => sigmoidSchedule({ nSteps: NaN }), "not NaN"],
    [() => zeroTerminalSnr(linearSchedule({ nSteps: 1 })), "at least 2 steps, not 1"],
  ];
  for (const [make, message] of wrong) assertThrows(make, RangeError, message);
  for (const make of [cosineSchedule, scaledLinearSchedule, sigmoidSchedule]) {
    assertEquals(make({ nSteps: undefined, variance: undefined }), make());
    assertEquals(make({ nSteps: 7, variance: "fixed_small" }).variance, "fixed_small");
    assertEquals(make({ nSteps: 1 }).nSteps, 1);
  }
});
