/** Classifier-free guidance: one call for both, its scale, its interval. */
import { assertEquals, assertThrows } from "@std/assert";
import { diffusion, tf } from "../../../mod.ts";
import { assertClose, numbers, random } from "../../support.ts";

const { guided } = diffusion;
const AT = { α: 0.6, σ: 0.8, t: 700 };

/** x̂₀ that says which class was told, and to which x; and what it was called with. */
function spy() {
  const calls: number[][] = [];
  const denoise: diffusion.ClassDenoise = (x, _, classes) => {
    calls.push(Array.from(classes!.shape).concat(x.shape));
    return tf.tidy(() => tf.add(tf.mul(x, 2), tf.reshape(tf.cast(classes!, "float32"), [-1, 1, 1, 1])));
  };
  return { calls, denoise };
}

Deno.test("guided: D(x) + scale·(D(x; c) − D(x)), asked once of a batch of twice the images", async () => {
  const x = random([2, 2, 2, 1], 1), classes = tf.tensor1d([3, 5], "int32"), values = await numbers(x);
  const expected = (scale: number) => values.map((v, i) => 2 * v + 10 + scale * ((i < 4 ? 3 : 5) - 10));
  for (const [scale, n] of [[2, 4], [0.5, 4], [1, 2], [0, 2]]) {
    const { calls, denoise } = spy(), before = tf.memory().numTensors;
    const x̂0 = guided(denoise, classes, { scale, none: 10 })(x, AT);
    assertEquals([calls, tf.memory().numTensors], [[[n, n, 2, 2, 1]], before + 1]);
    await assertClose(x̂0, expected(scale), 1e-6, `scale ${scale}`);
    x̂0.dispose();
  }
});

Deno.test("interval: guidance acts above its low and up to its high σ/α, elsewhere the class is told alone", async () => {
  const x = random([1, 2, 2, 1], 1), classes = tf.tensor1d([3], "int32"), values = await numbers(x);
  const { calls, denoise } = spy();
  const inside = guided(denoise, classes, { scale: 3, none: 10, interval: [0.5, 2] });
  for (const [ratio, acts] of [[0.4, false], [0.5, false], [0.51, true], [2, true], [2.1, false]] as const) {
    calls.length = 0;
    const x̂0 = inside(x, { α: 0.5, σ: 0.5 * ratio, t: 0 });
    assertEquals(calls[0][0], acts ? 2 : 1, `σ/α ${ratio}`);
    await assertClose(x̂0, values.map((v) => 2 * v + (acts ? 10 - 21 : 3)), 1e-6);
  }
});

Deno.test("guided samples go on from what a class is: x̂₀ beyond it, whatever the sampler", async () => {
  // Images of class c are c everywhere; of any class 5.
  const denoise: diffusion.ClassDenoise = (x, { α, σ }, classes) =>
    tf.tidy(() => {
      const told = tf.reshape(tf.cast(classes!, "float32"), [-1, 1, 1, 1]);
      const mean = tf.where(tf.equal(told, 10), tf.fill(told.shape, 5), told);
      const gain = α / (α * α + σ * σ); // pixels of variance 1 about it
      return tf.add(mean, tf.mul(tf.sub(x, tf.mul(mean, α)), gain));
    });
  const levels = diffusion.levels(diffusion.ve({ sigmaMax: 20 }), 12, { spacing: "karras" });
  const classes = tf.tensor1d([3, 7], "int32");
  for (const sampler of [diffusion.heun(), diffusion.dpmSolver(), diffusion.uniPc()]) {
    const of = async (scale: number) => {
      const model = guided(denoise, classes, { scale, none: 10 });
      const xT = tf.zeros([2, 4, 4, 1]),
        drawn = await diffusion.sample(model, [2, 4, 4, 1], { levels, sampler, xT });
      xT.dispose();
      return [drawn.data[0], drawn.data[16]];
    };
    const [[a, b], [c, d]] = [await of(1), await of(2)];
    assertEquals([a < 5 && b > 5, c < a && d > b], [true, true]);
  }
});

Deno.test("options and classes that are none are refused by name", () => {
  const { denoise } = spy(), classes = tf.tensor1d([3], "int32");
  const make = (options: Partial<diffusion.GuidanceOptions>) => () =>
    guided(denoise, classes, { scale: 2, none: 10, ...options });
  assertThrows(make({ scale: NaN }), RangeError, "guided: scale is a number, not NaN");
  assertThrows(make({ none: 0.5 }), RangeError, "guided: none is a class's number, not 0.5");
  assertThrows(
    make({ interval: [2, 1] }),
    RangeError,
    "guided: interval is a range [low, high] of σ/α, not [2, 1]",
  );
  assertThrows(
    () => make({})()(tf.zeros([2, 1, 1, 1]), AT),
    RangeError,
    "classes of the shape [1] for 2 images",
  );
});
