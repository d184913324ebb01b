/** Power-function averages, and those of other lengths after training. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  averageFactors,
  type AveragePlace,
  Callback,
  type Learner,
  mixAverages,
  PowerEMACB,
  powerOf,
  tf,
} from "../../mod.ts";
import { assertClose } from "../support.ts";
import { line, weights } from "./lines.ts";

Deno.test("γ by the length: the paper's two, and its definition", () => {
  assertAlmostEquals(powerOf(0.05), 16.97, 5e-3);
  assertAlmostEquals(powerOf(0.1), 6.94, 5e-3);
  for (const length of [1e-3, 0.02, 0.2, 0.28]) {
    const γ = powerOf(length);
    assertAlmostEquals(Math.sqrt((γ + 1) / ((γ + 2) ** 2 * (γ + 3))), length, 1e-9);
  }
  for (const length of [0, 0.29, NaN]) assertThrows(() => powerOf(length), RangeError, `not ${length}`);
});

/** How much the weights of each step count in the average of so many. */
function profile({ steps, length }: AveragePlace): number[] {
  const γ = powerOf(length), counts = new Array<number>(steps).fill(0);
  let left = 1; // of what a step put in, after the steps that followed
  for (let t = steps; t >= 1; t--) {
    const decay = (1 - 1 / t) ** (γ + 1);
    counts[t - 1] = left * (1 - decay);
    left *= decay;
  }
  return counts;
}

Deno.test("the average is that of its profile", async () => {
  const seen: number[][] = [], ema = new PowerEMACB(0.15);
  class Watch extends Callback {
    override order = 200;
    override async afterStep(learn: Learner) {
      seen.push(await weights(learn));
    }
  }
  const learn = await line([ema, new Watch()]);
  await learn.fit(3);
  const counts = profile({ steps: seen.length, length: 0.15 });
  assertEquals(ema.moves, seen.length);
  assertAlmostEquals(counts.reduce((a, b) => a + b), 1, 1e-12);
  const expected = seen[0].map((_, i) => seen.reduce((sum, w, t) => sum + counts[t] * w[i], 0));
  ema.apply();
  await assertClose(await weights(learn), expected, 1e-5);
  ema.dispose();
  assertThrows(() => ema.moves = -1, RangeError, "PowerEMACB(0.15): moves is a whole number");
});

/** Two lengths, saved at several steps of 2,000. */
const SAVED: AveragePlace[] = [500, 1000, 1500, 2000].flatMap((steps) =>
  [0.05, 0.1].map((length) => ({ steps, length }))
);

Deno.test("a saved average is itself; another length is near its own profile", () => {
  averageFactors(SAVED, { steps: 2000, length: 0.1 }).forEach((factor, i) => {
    assertAlmostEquals(factor, i === SAVED.length - 1 ? 1 : 0, 1e-6);
  });
  for (const length of [0.04, 0.07, 0.13]) {
    const wanted = { steps: 2000, length }, factors = averageFactors(SAVED, wanted);
    const mixed = new Array<number>(2000).fill(0);
    SAVED.forEach((place, i) => profile(place).forEach((count, t) => mixed[t] += factors[i] * count));
    const right = profile(wanted);
    const norm = (x: number[]) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
    const off = norm(right.map((v, t) => v - mixed[t])) / norm(right);
    const alone = norm(right.map((v, t) => v - profile(SAVED.at(-1)!)[t])) / norm(right);
    assertAlmostEquals(factors.reduce((a, b) => a + b), 1, 1e-9);
    assert(off < 0.1 && off < alone / 2, `length ${length}: off by ${off}, without mixing ${alone}`);
  }
});

Deno.test("state dicts are mixed by the factors", async () => {
  const saved = SAVED.map((place, i) => ({ ...place, weights: { w: tf.tensor1d([i, i * i]) } }));
  const wanted = { steps: 2000, length: 0.07 }, factors = averageFactors(SAVED, wanted);
  const sum = (f: (i: number) => number) => factors.reduce((total, factor, i) => total + factor * f(i), 0);
  await assertClose(mixAverages(saved, wanted).w, [sum((i) => i), sum((i) => i * i)], 1e-4);
});

Deno.test("what cannot be mixed is refused", () => {
  const wanted = { steps: 10, length: 0.1 };
  assertThrows(() => averageFactors([], wanted), RangeError, "no saved average");
  assertThrows(() => averageFactors([wanted, wanted], wanted), RangeError, "alike");
  assertThrows(() => averageFactors([{ steps: 0, length: 0.1 }], wanted), RangeError, "not 0");
});
