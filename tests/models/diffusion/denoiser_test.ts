/** x̂₀ by a network: its inputs, its mode, its shapes. */
import { assertEquals, assertThrows } from "@std/assert";
import { diffusion, Dropout, Module, type Tensor, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const { denoiser } = diffusion;

/** A network that is a formula, with dropout that evaluation mode turns off. */
class Formula extends Module<[Tensor, Tensor | number, Tensor?], Tensor | { sample: Tensor }> {
  drop = new Dropout(0.5);
  modes: boolean[] = [];
  constructor(readonly f: (x: Tensor, t: Tensor | number, classes?: Tensor) => Tensor, readonly bare = true) {
    super();
  }
  override forward(x: Tensor, t: Tensor | number, classes?: Tensor): Tensor | { sample: Tensor } {
    this.modes.push(this.drop.training);
    const y = this.drop.call(this.f(x, t, classes));
    return this.bare ? y : { sample: y };
  }
}

const AT = { α: 0.6, σ: 0.8, t: 700 };

Deno.test("the network is called with x, t and classes, in evaluation mode; x̂₀ is what it says", async () => {
  const x = random([2, 2, 2, 1]), classes = tf.tensor1d([1, 3], "int32");
  const seen: unknown[][] = [];
  for (const bare of [true, false]) {
    const model = new Formula((...given) => {
      seen.push(given);
      return tf.mul(given[0], 0.5);
    }, bare);
    const x̂0 = denoiser(model)(x, AT, classes);
    await assertClose(x̂0, (await numbers(x)).map((v) => (v - 0.8 * 0.5 * v) / 0.6), 1e-6);
    assertEquals([model.modes, model.drop.training, model.training], [[false], true, true]);
    diffusion.ofClasses(denoiser(model), classes)(x, AT);
    denoiser(model)(x, AT);
  }
  assertEquals(seen.map(([a, t, c]) => [a === x, t, c === classes]), [
    [true, 700, true],
    [true, 700, true],
    [true, 700, false],
    [true, 700, true],
    [true, 700, true],
    [true, 700, false],
  ]);
});

Deno.test("a network of edm sees c_in·x/α and ln(σ/α)/4, whatever the scale of x", async () => {
  const x = random([2, 2, 2, 1]);
  const model = new Formula((x, t) => tf.add(tf.mul(x, 0.3), t as Tensor));
  const denoise = denoiser(model, { prediction: "edm", sigmaData: 0.7 });
  const s = 0.8 / 0.6, total = s * s + 0.49;
  const expected = (await numbers(x)).map((v) => {
    const F = 0.3 * (v / 0.6) / Math.sqrt(total) + Math.log(s) / 4;
    return 0.49 / total * (v / 0.6) + s * 0.7 / Math.sqrt(total) * F;
  });
  await assertClose(denoise(x, AT), expected, 1e-5);
  await assertClose(denoise(tf.div(x, 0.6), { α: 1, σ: s, t: s }), expected, 1e-5);
});

Deno.test("learnedRange: the second half of the channels follows x̂₀ as it is", async () => {
  const x = random([2, 2, 2, 3]);
  const model = new Formula((x) => tf.concat([tf.mul(x, 0.5), tf.mul(x, 7)], 3));
  const both = denoiser(model, { learnedRange: true })(x, AT);
  assertEquals(both.shape, [2, 2, 2, 6]);
  const values = await numbers(x);
  await assertClose(tf.slice(both, [0, 0, 0, 0], [2, 2, 2, 3]), values.map((v) => (v - 0.4 * v) / 0.6), 1e-6);
  await assertClose(tf.slice(both, [0, 0, 0, 3], [2, 2, 2, 3]), values.map((v) => 7 * v), 1e-6);
});

Deno.test("other shapes are refused, nothing is left behind and the mode is put back", () => {
  const wide = new Formula((x) => tf.concat([x, x], 3)), narrow = new Formula((x) => tf.mul(x, 2));
  const x = random([2, 2, 2, 1]);
  denoiser(narrow, { prediction: "edm" })(x, AT).dispose(); // its constants stay
  const before = tf.memory().numTensors;
  assertThrows(
    () => denoiser(wide)(x, AT),
    RangeError,
    "gives [2,2,2,2] for images of [2,2,2,1], not [2,2,2,1]",
  );
  const ranged = denoiser(narrow, { learnedRange: true });
  assertThrows(() => ranged(x, AT), RangeError, "gives [2,2,2,1] for images of [2,2,2,1], not [2,2,2,2]");
  assertThrows(
    () => denoiser(narrow, { prediction: "noise" as diffusion.Prediction }),
    RangeError,
    "not noise",
  );
  denoiser(narrow)(x, AT).dispose();
  denoiser(narrow, { prediction: "edm" })(x, AT).dispose();
  assertEquals([tf.memory().numTensors, wide.drop.training, narrow.drop.training], [before, true, true]);
});
