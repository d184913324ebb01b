/** DDPM's variances, against the lesson's sampler and the paper of the learned one. */
import { assertEquals, assertRejects } from "@std/assert";
import {
  diffusion,
  Generator,
  linearSchedule,
  Module,
  respace,
  sample,
  type Tensor,
  tf,
} from "../../../../mod.ts";
import { assertClose, numbers, random } from "../../../support.ts";

/** A model of noise that is a formula. */
class Formula extends Module<[Tensor, number], Tensor> {
  constructor(readonly f: (x: Tensor, t: number) => Tensor) {
    super();
  }
  override forward(x: Tensor, t: number): Tensor {
    return this.f(x, t);
  }
}

Deno.test("fixed variances: the lesson's sampler, draw for draw, on its schedule", async () => {
  const model = new Formula((x, t) => tf.mul(tf.tanh(x), t / 1000));
  for (const variance of ["fixed_small", "fixed_large"] as const) {
    const schedule = respace(linearSchedule(), 10, { variance }), xT = random([2, 4, 4, 1], 3);
    const lesson = await sample(model, [2, 4, 4, 1], { schedule, xT, generator: new Generator(2) });
    const ours: ArrayLike<number>[] = [];
    await diffusion.sample(diffusion.denoiser(model), [2, 4, 4, 1], {
      levels: diffusion.levels(diffusion.vp(schedule), 10),
      sampler: diffusion.ddpm({ variance }),
      xT,
      generator: new Generator(2),
      clip: [-1, 1],
      onStep: async ({ x }) => void ours.push(await x.data()),
    });
    assertEquals(ours.length, 10);
    for (const [i, image] of lesson.entries()) {
      await assertClose(ours[i], image.data, 1e-5, `${variance}, step ${i}`);
    }
  }
});

Deno.test("learned_range: log σ² lies between log β̃ and log β where the network says (eq. 15)", async () => {
  const v = [-1, 0, 0.5, 1];
  const model = new Formula((x) => tf.concat([tf.mul(x, 0.5), tf.tensor(v, [1, 2, 2, 1])], 3));
  const process = diffusion.vp(linearSchedule()), at = process.at(500), to = process.at(400);
  const x = random([1, 2, 2, 1], 1), z = random([1, 2, 2, 1], 2);
  const draw = (learnedRange: boolean) =>
    diffusion.sample(diffusion.denoiser(model, { learnedRange }), [1, 2, 2, 1], {
      levels: [at, to],
      sampler: diffusion.ddpm({ variance: "learned_range" }),
      xT: x,
      noise: () => tf.clone(z),
    });
  const { data } = await draw(true);
  const ᾱ = at.α ** 2, ᾱ_prev = to.α ** 2, β = 1 - ᾱ / ᾱ_prev, β̃ = (1 - ᾱ_prev) / (1 - ᾱ) * β;
  const [noise, values] = [await numbers(z), await numbers(x)];
  const expected = values.map((value, i) => {
    const x̂0 = (value - at.σ * 0.5 * value) / at.α, share = (v[i] + 1) / 2;
    const μ = to.α * β / (1 - ᾱ) * x̂0 + Math.sqrt(1 - β) * (1 - ᾱ_prev) / (1 - ᾱ) * value;
    return μ + noise[i] * Math.exp((share * Math.log(β) + (1 - share) * Math.log(β̃)) / 2);
  });
  await assertClose(data, expected, 1e-5);
  const narrow = new Formula((x) => tf.mul(x, 0.5));
  const without = diffusion.sample(diffusion.denoiser(narrow), [1, 2, 2, 1], {
    levels: [at, to],
    sampler: diffusion.ddpm({ variance: "learned_range" }),
  });
  await assertRejects(() => without, RangeError, "learned_range takes x̂₀ of 2 channels");
  // A network with a range is drawn with by the samplers that use none, too.
  await assertRejects(() => draw(false), RangeError, "the model gives [1,2,2,2]");
});
