/** The loop: watching, cancelling, freeing, its noise, and what it refuses. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  diffusion,
  Dropout,
  Generator,
  linearSchedule,
  Module,
  type Tensor,
  tf,
  UNet,
} from "../../../mod.ts";
import { assertClose, numbers, random, wasmOnly } from "../../support.ts";
import { TINY } from "../../tiny.ts";

const { sample, walk } = diffusion;
const process = diffusion.vp(linearSchedule());
const levels = diffusion.levels(process, 5);

/** Every sampler, each of what it does. */
const SAMPLERS: Record<string, diffusion.Sampler> = {
  "ddpm": diffusion.ddpm(),
  "ddpm, fixed_large": diffusion.ddpm({ variance: "fixed_large" }),
  "ddim": diffusion.ddim(),
  "ddim of η 1": diffusion.ddim({ eta: 1 }),
  "euler": diffusion.euler(),
  "eulerAncestral": diffusion.eulerAncestral(),
  "heun": diffusion.heun(),
  "heun along flow": diffusion.heun({ along: "flow" }),
  "midpoint": diffusion.midpoint(diffusion.flow()),
  "lms": diffusion.lms(),
  "pndm": diffusion.pndm(),
  "dpmSolver": diffusion.dpmSolver(),
  "dpmSolver of order 3": diffusion.dpmSolver({ order: 3 }),
  "dpmSolverSde": diffusion.dpmSolverSde(),
  "uniPc": diffusion.uniPc(),
  "uniPc of order 3, bh1": diffusion.uniPc({ order: 3, variant: "bh1" }),
};

/** x̂₀ that is a formula. */
const formula: diffusion.Denoise = (x, { α }) => tf.tidy(() => tf.mul(tf.tanh(x), α));

Deno.test("every sampler leaves nothing: at its end, cancelled, broken off, or failed", async () => {
  const x = random([1, 4, 4, 1], 1), levels = diffusion.levels(process, 9);
  for (const [name, sampler] of Object.entries(SAMPLERS)) {
    const before = tf.memory().numTensors;
    await sample(formula, [1, 4, 4, 1], { levels, sampler });
    assertEquals(tf.memory().numTensors, before, `${name}, at its end`);
    const controller = new AbortController(), reason = new Error("enough");
    const cancelled = sample(formula, [1, 4, 4, 1], {
      levels,
      sampler,
      xT: x,
      signal: controller.signal,
      onStep: ({ i }) => i === 4 ? controller.abort(reason) : undefined,
    });
    assertEquals(await cancelled.catch((error) => error), reason);
    assertEquals(tf.memory().numTensors, before, `${name}, cancelled`);
    for await (const step of walk(formula, x, { levels, sampler })) if (step.i === 5) break;
    assertEquals(tf.memory().numTensors, before, `${name}, broken off`);
    let calls = 0;
    const failing: diffusion.Denoise = (x, at) => {
      if (++calls === 6) throw new Error("no x̂₀");
      return formula(x, at);
    };
    await assertRejects(() => sample(failing, [1, 4, 4, 1], { levels, sampler }), Error, "no x̂₀");
    assertEquals(tf.memory().numTensors, before, `${name}, failed`);
  }
  assertEquals((await x.data()).length, 16); // the caller's, not freed
});

Deno.test("every sampler: an image depends on the seed and its index alone, and one sampler serves two at once", async () => {
  for (const [name, sampler] of Object.entries(SAMPLERS)) {
    const draw = async (n: number, seed = 9) =>
      (await sample(formula, [n, 3, 3, 1], { levels, sampler, generator: new Generator(seed) })).data;
    const [four, other] = await Promise.all([draw(4), draw(4, 2)]);
    assert(four.slice(0, 9).join() !== four.slice(9, 18).join() && four.join() !== other.join(), name);
    await assertClose(await draw(2), four.slice(0, 18), 1e-5, name);
    assertEquals(await draw(4), four, name);
  }
});

Deno.test("every sampler draws with a network on either device, in evaluation mode", async () => {
  class Dropping extends Module<[Tensor, number], Tensor> {
    unet = new UNet(TINY);
    drop = new Dropout(0.3);
    override forward(x: Tensor, t: number): Tensor {
      return this.drop.call(this.unet.call(x, t));
    }
  }
  const model = new Dropping();
  const ε = () => diffusion.denoiser(model);
  for (const [name, sampler] of Object.entries(SAMPLERS)) {
    const levels = diffusion.levels(process, 3);
    const options = { levels, sampler: name === "midpoint" ? diffusion.midpoint(process) : sampler };
    const draw = () => sample(ε(), [1, 8, 8, 1], { ...options, clip: [0, 1], generator: new Generator(1) });
    const [a, b] = [await draw(), await draw()];
    assertEquals(a, b, name); // no dropout
    assert(a.data.every((v) => v >= -0.01 && v <= 1.01), `${name}: ${a.data}`);
  }
  assertEquals([model.training, model.drop.training], [true, true]);
});

Deno.test("walk: x and x̂₀ of every step, at its level; sample gives the last", async () => {
  const xT = random([1, 2, 2, 1], 3), seen: diffusion.Walked[] = [], read: number[][][] = [];
  const options = { levels, sampler: diffusion.ddim() };
  for await (const step of walk(formula, xT, options)) {
    seen.push(step);
    read.push([await numbers(step.x), await numbers(step.x̂0)]);
  }
  assertEquals(seen.map(({ i, level }) => [i, level]), levels.slice(1).map((level, i) => [i, level]));
  let x = await numbers(xT);
  for (let i = 0; i < 5; i++) {
    const { α, σ } = levels[i], to = levels[i + 1];
    const x̂0 = x.map((v) => α * Math.tanh(v));
    x = x.map((v, k) => to.α * x̂0[k] + to.σ * (v - α * x̂0[k]) / σ);
    await assertClose(read[i][1], x̂0, 1e-5, `x̂₀ of step ${i}`);
    await assertClose(read[i][0], x, 1e-5, `x of step ${i}`);
  }
  const steps: number[] = [];
  const last = await sample(formula, [1, 2, 2, 1], { ...options, xT, onStep: ({ i }) => void steps.push(i) });
  assertEquals([steps, last.shape], [[0, 1, 2, 3, 4], [1, 2, 2, 1]]);
  await assertClose(last.data, x, 1e-5);
});

Deno.test("the start is noise of the first level's σ; noise in place of drawn one is asked for by its number", async () => {
  const zero: diffusion.Denoise = (x) => tf.zerosLike(x);
  const levels: diffusion.NoiseLevel[] = [{ α: 1, σ: 20, t: 0 }, { α: 1, σ: 5, t: 0 }];
  const { data } = await sample(zero, [1, 64, 64, 1], { levels, sampler: diffusion.ddim() });
  const std = Math.sqrt(Array.from(data).reduce((sum, v) => sum + v * v, 0) / data.length);
  assert(Math.abs(std / 5 - 1) < 0.05, `${std}`); // 20, moved to a level of 5
  const asked: number[] = [];
  await sample(formula, [1, 2, 2, 1], {
    levels: diffusion.levels(process, 4),
    sampler: diffusion.ddpm(),
    noise: (i) => (asked.push(i), tf.zeros([1, 2, 2, 1])),
  });
  assertEquals(asked, [0, 1, 2]);
});

Deno.test("clip: x̂₀ is clamped, and nothing behind it", async () => {
  const wild: diffusion.Denoise = (x) => tf.tidy(() => tf.mul(tf.onesLike(x), 7));
  const { data } = await sample(wild, [1, 2, 2, 1], { levels, clip: [-1, 1] });
  await assertClose(data, [1, 1, 1, 1], 1e-6);
  const ranged: diffusion.Denoise = (x) => tf.tidy(() => tf.fill([1, 2, 2, 2], 7 + 0 * x.size));
  const behind: number[][] = [];
  const sampler: diffusion.Sampler = ({ x, at, denoise }) => {
    const said = denoise(x, at);
    behind.push(Array.from(said.shape));
    return { x: tf.slice(said, [0, 0, 0, 1], [1, 2, 2, 1]), x̂0: tf.slice(said, 0, 1) };
  };
  const last = await sample(ranged, [1, 2, 2, 1], { levels, sampler, clip: [-1, 1] });
  assertEquals([behind[0], [...last.data]], [[1, 2, 2, 2], [7, 7, 7, 7]]);
});

Deno.test("a process that begins in pure noise: every sampler that can begin there does", async () => {
  // x̂₀ that is right of pixels of N(0.3, 0.6²)
  const right: diffusion.Denoise = (x, { α, σ }) =>
    tf.tidy(() => tf.add(tf.mul(tf.sub(x, 0.3 * α), α * 0.36 / (α * α * 0.36 + σ * σ)), 0.3));
  const path = diffusion.levels(diffusion.flow(), 60);
  assertEquals(path[0].α, 0);
  const along = { "heun": diffusion.heun({ along: "flow" }), "lms": diffusion.lms({ along: "flow" }) };
  for (const [name, sampler] of Object.entries({ ...SAMPLERS, ...along })) {
    if (name === "pndm") continue;
    const { data } = await sample(right, [1, 64, 64, 1], {
      levels: path,
      sampler,
      generator: new Generator(4),
    });
    const mean = Array.from(data).reduce((sum, v) => sum + v, 0) / data.length;
    const std = Math.sqrt(Array.from(data).reduce((sum, v) => sum + (v - mean) ** 2, 0) / data.length);
    assert(Math.abs(mean - 0.3) < 0.04 && Math.abs(std - 0.6) < 0.08, `${name}: ${mean} ± ${std}`);
  }
  const refusing: [diffusion.Sampler, string][] = [
    [diffusion.heun(), "let the sampler step along flow"],
    [diffusion.lms(), "let the sampler step along flow"],
    [diffusion.pndm(), "pure noise (α 0) is no level to begin at"],
  ];
  for (const [sampler, message] of refusing) {
    await assertRejects(() => sample(right, [1, 2, 2, 1], { levels: path, sampler }), RangeError, message);
  }
  for (const prediction of ["epsilon", "edm"] as const) {
    const denoise = diffusion.denoiser(new Dropout(0), { prediction });
    const drawing = sample(denoise, [1, 2, 2, 1], { levels: path });
    await assertRejects(() => drawing, RangeError, `a network of ${prediction} says nothing of x₀`);
  }
});

Deno.test("levels, sizes, starts and results that are none are refused, and nothing is left", async () => {
  const before = tf.memory().numTensors, x = tf.zeros([1, 2, 2, 1]);
  const draw = (options: Partial<diffusion.DiffusionSampleOptions>, denoise = formula) =>
    sample(denoise, [1, 2, 2, 1], { levels, ...options });
  const at = (α: number, σ: number) => ({ α, σ, t: 1 });
  const wrong: [drawing: () => Promise<unknown>, message: string][] = [
    [() => draw({ levels: [] }), "at least 2 levels, not 0"],
    [
      () => draw({ levels: [at(1, 2), at(1, 3)] }),
      "σ/α falls from level to level, but not to level 1: α 1, σ 3, t 1",
    ],
    [() => draw({ levels: [at(1, 2), at(1, 2)] }), "but not to level 1"],
    [
      () => draw({ levels: [at(1, 2), at(1, 0), at(1, 0)] }),
      "only the last level is without noise, not level 1",
    ],
    [() => draw({ levels: [at(1, NaN), at(1, 0)] }), "level 0 is of finite α and σ"],
    [() => draw({ levels: [at(0, 0), at(1, 0)] }), "not both 0"],
    [() => draw({ clip: [1, 1] }), "clip is a range [low, high], not [1, 1]"],
    [() => draw({ xT: tf.zeros([2, 2, 2, 1]) }), "xT has the shape [2,2,2,1], not [1,2,2,1] as asked"],
    [
      () => draw({ sampler: ({ x }) => ({ x: tf.tile(x, [2, 1, 1, 1]), x̂0: x }) }),
      "a step gives the shape [2,2,2,1]",
    ],
    [() => sample(formula, [0, 2, 2, 1], { levels }), "not [0,2,2,1]"],
  ];
  for (const [drawing, message] of wrong) await assertRejects(drawing, RangeError, message);
  const nan: diffusion.Denoise = (x) => tf.tidy(() => tf.mul(x, NaN));
  await assertRejects(() => draw({}, nan), Error, "the images are not finite");
  x.dispose();
  assertEquals(tf.memory().numTensors, before + 1); // the xT of two images
  await assertRejects(() => draw({ signal: AbortSignal.abort(new Error("before")) }), Error, "before");
});

Deno.test({
  name: "a sampler's options that are none are refused by name",
  ...wasmOnly,
  async fn() {
    const wrong: [make: () => unknown, message: string][] = [
      [
        () => diffusion.ddpm({ variance: "learned" as "fixed_small" }),
        "ddpm: variance is fixed_small, fixed_large or learned_range, not learned",
      ],
      [() => diffusion.ddim({ eta: 2 }), "ddim: eta lies in [0, 1], not 2"],
      [() => diffusion.eulerAncestral({ eta: NaN }), "eulerAncestral: eta lies in [0, 1], not NaN"],
      [() => diffusion.heun({ along: "time" as "flow" }), "heun: along is sigma or flow, not time"],
      [
        () => diffusion.midpoint(process, { along: "x" as "flow" }),
        "midpoint: along is sigma or flow, not x",
      ],
      [() => diffusion.lms({ order: 5 }), "lms: order is a whole number from 1 to 4, not 5"],
      [() => diffusion.dpmSolver({ order: 4 }), "dpmSolver: order is a whole number from 1 to 3, not 4"],
      [() => diffusion.uniPc({ order: 1.5 }), "uniPc: order is a whole number from 1 to 3, not 1.5"],
      [() => diffusion.uniPc({ variant: "bh3" as "bh1" }), "uniPc: variant is bh1 or bh2, not bh3"],
    ];
    for (const [make, message] of wrong) await assertRejects(async () => await make(), RangeError, message);
  },
});

Deno.test("samplings that share a generator draw the same however they are interleaved; alone, as ever", async () => {
  const draw = async (generator: Generator, pause: () => Promise<unknown>) => {
    const options = { levels, sampler: diffusion.ddpm(), generator, onStep: async () => void await pause() };
    return (await sample(formula, [1, 4, 4, 1], options)).data;
  };
  const together = async (turns: number) => {
    const generator = new Generator(3);
    const turn = async () => {
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve, 0));
    };
    return await Promise.all([draw(generator, turn), draw(generator, () => Promise.resolve())]);
  };
  const [first, second] = await together(0);
  assertEquals(await together(3), [first, second]);
  const alone = new Generator(3);
  assertEquals(await draw(alone, () => Promise.resolve()), first);
  // One draw for the start and one for each step but the last, of one counter each.
  assertEquals(alone.state, { seed: 3, counter: 5 });
});
