/** What a network may say of a noisy image: conversions there and back, against their equations by hand. */
import { assert, assertThrows } from "@std/assert";
import { diffusion, type Tensor, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const { mix, parametrisation } = diffusion;

const NAMES: diffusion.Prediction[] = ["epsilon", "sample", "v_prediction", "flow_prediction", "edm"];

/** Levels of a process that preserves variance, of one whose variance grows, of a flow, and of none of them. */
const LEVELS = [
  { α: 0.6, σ: 0.8 },
  { α: 0.999, σ: Math.sqrt(1 - 0.999 ** 2) },
  { α: 1, σ: 20 },
  { α: 1, σ: 0.02 },
  { α: 0.3, σ: 0.7 },
  { α: 2, σ: 0.5 },
];

/** What each name means (the equations of its paper), a number at a time. */
const MEANING: Record<diffusion.Prediction, (x0: number, ε: number, α: number, σ: number) => number> = {
  epsilon: (_, ε) => ε,
  sample: (x0) => x0,
  v_prediction: (x0, ε, α, σ) => α * ε - σ * x0,
  flow_prediction: (x0, ε) => ε - x0,
  edm(x0, ε, α, σ) {
    const s = σ / α, total = s * s + 0.25;
    return (x0 - 0.25 / total * (x0 + s * ε)) / (s * 0.5 / Math.sqrt(total));
  },
};

Deno.test("each parametrisation says what its paper says, and gives x₀ back", async () => {
  const x0 = random([2, 3, 3, 1], 1), ε = random([2, 3, 3, 1], 2);
  const [image, noise] = [await numbers(x0), await numbers(ε)];
  for (const at of LEVELS) {
    const x = mix(x0, ε, at);
    for (const name of NAMES) {
      const { toSample, fromSample } = parametrisation(name), what = `${name} at ${at.α}, ${at.σ}`;
      const said = fromSample(x, x0, at);
      const meant = image.map((v, i) => MEANING[name](v, noise[i], at.α, at.σ));
      // float32: x holds x₀ with a share of rounding of the larger of both
      const tolerance = 3e-7 * (at.α + at.σ) * (1 / at.α + 1 / at.σ);
      await assertClose(said, meant, tolerance, what);
      await assertClose(toSample(x, said, at), image, tolerance, `x₀ of ${what}`);
    }
  }
});

Deno.test("a level for each image gives each what it gives alone", async () => {
  const x = random([3, 2, 2, 1], 1), y = random([3, 2, 2, 1], 2);
  const levels = LEVELS.slice(2, 5);
  const column = (of: (at: { α: number; σ: number }) => number) => tf.tensor(levels.map(of), [3, 1, 1, 1]);
  const at = { α: column(({ α }) => α), σ: column(({ σ }) => σ) };
  for (const name of NAMES) {
    const { toSample, fromSample, input } = parametrisation(name);
    for (const convert of [toSample, fromSample]) {
      const together = await numbers(convert(x, y, at));
      for (const [i, level] of levels.entries()) {
        const alone = convert(tf.slice(x, i, 1), tf.slice(y, i, 1), level);
        await assertClose(together.slice(4 * i, 4 * i + 4), alone, 1e-6, `${name} ${i}`);
      }
    }
    const given = input?.(x, at);
    if (!given) continue;
    for (const [i, level] of levels.entries()) {
      const alone = input!(tf.slice(x, i, 1), level);
      for (const k of [0, 1]) await assertClose(tf.slice(given[k] as Tensor, i, 1), alone[k], 1e-6);
    }
  }
});

Deno.test("preconditioning: input, output and target of variance 1 at every level, told ln σ/4 (Karras, table 1)", async () => {
  for (const σ of [0.002, 0.1, 0.5, 3, 80]) {
    for (const σ_data of [0.5, 1]) {
      const c = diffusion.preconditioning(σ, σ_data);
      const [skip, out, scale, noise] = await Promise.all(
        [c.skip, c.out, c.in, c.noise].map(async (x) => (await x.data())[0]),
      );
      const close = (a: number, b: number) =>
        assert(Math.abs(a - b) < 1e-5 * Math.max(1, Math.abs(b)), `${a} ${b}`);
      close(scale ** 2 * (σ ** 2 + σ_data ** 2), 1); // of the input
      close(((1 - skip) ** 2 * σ_data ** 2 + skip ** 2 * σ ** 2) / out ** 2, 1); // of the target
      close(noise, Math.log(σ) / 4);
    }
  }
});

Deno.test("names and numbers that are none are refused by name", () => {
  const wrong = () => parametrisation("v" as diffusion.Prediction);
  assertThrows(wrong, RangeError, "prediction is epsilon, sample, v_prediction, flow_prediction, edm, not v");
  assertThrows(() => parametrisation("edm", 0), RangeError, "sigmaData is over 0, not 0");
  assertThrows(() => parametrisation("constructor" as diffusion.Prediction), RangeError, "not constructor");
});

Deno.test("conversions leave their result alone behind", () => {
  const x = random([1, 2, 2, 1], 1), y = random([1, 2, 2, 1], 2), at = LEVELS[0];
  for (const name of NAMES) {
    const before = tf.memory().numTensors, { toSample, fromSample, input } = parametrisation(name);
    tf.dispose([toSample(x, y, at), fromSample(x, y, at), input?.(x, at) ?? []]);
    assert(tf.memory().numTensors === before, name);
  }
});
