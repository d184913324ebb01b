/** Each sampler on images whose distribution is known: it comes to the exact answer, with its order. */
import { assert } from "@std/assert";
import { diffusion, Generator, tf } from "../../../../mod.ts";
import { assertClose, device } from "../../../support.ts";

/** Images whose pixels are normal, and x̂₀ of them in closed form. */
const MEAN = 0.3, STD = 0.6;
const gaussian: diffusion.Denoise = (x, { α, σ }) =>
  tf.tidy(() => {
    const gain = α * STD ** 2 / (α ** 2 * STD ** 2 + σ ** 2);
    return tf.add(tf.mul(tf.sub(x, α * MEAN), gain), MEAN);
  });

/** Standard deviation of pixels at a level. */
const spread = ({ α, σ }: diffusion.NoiseLevel) => Math.hypot(α * STD, σ);

/** Where the way without new noise takes a pixel from one level to another: it keeps its place in the distribution. */
const exact = (x: number, at: diffusion.NoiseLevel, to: diffusion.NoiseLevel) =>
  to.α * MEAN + (x - at.α * MEAN) * spread(to) / spread(at);

const PIXELS = [-2, -1, 0.5, 1.5, 2.5];

/** Levels whose log(σ/α) is evenly spaced. */
function even(process: diffusion.Process, most: number, least: number, n: number): diffusion.NoiseLevel[] {
  const step = Math.log(least / most) / n;
  return Array.from({ length: n + 1 }, (_, i) => diffusion.levelOf(process, most * Math.exp(i * step)));
}

/** The largest error of a sampler after n steps. */
async function errorOf(sampler: diffusion.Sampler, process: diffusion.Process, n: number): Promise<number> {
  const levels = even(process, 100, 0.01, n), [first] = levels;
  const xT = tf.tensor(PIXELS.map((v) => v * first.σ), [1, 1, 5, 1]);
  const { data } = await diffusion.sample(gaussian, [1, 1, 5, 1], { levels, sampler, xT });
  xT.dispose();
  return Math.max(...PIXELS.map((v, i) => Math.abs(data[i] - exact(v * first.σ, first, levels[n]))));
}

const flow = diffusion.flow();

/** Samplers, the order that they state, and the error that they stay below at 80 steps. */
const ORDERS: Record<string, [sampler: diffusion.Sampler, order: number, error: number]> = {
  "euler": [diffusion.euler(), 1, 0.05],
  "ddim": [diffusion.ddim(), 1, 0.05],
  "eulerAncestral without noise": [diffusion.eulerAncestral({ eta: 0 }), 1, 0.05],
  "heun": [diffusion.heun(), 2, 4e-3],
  "heun along flow": [diffusion.heun({ along: "flow" }), 2, 1e-3],
  "midpoint": [diffusion.midpoint(flow), 2, 1e-4],
  "midpoint along sigma": [diffusion.midpoint(flow, { along: "sigma" }), 2, 1e-3],
  "lms of order 1": [diffusion.lms({ order: 1 }), 1, 0.05],
  "lms of order 2": [diffusion.lms({ order: 2 }), 2, 8e-3],
  "lms of order 3": [diffusion.lms({ order: 3 }), 3, 3e-3],
  "lms of order 4": [diffusion.lms(), 3.5, 1e-3], // the first steps have fewer slopes
  "pndm": [diffusion.pndm(), 2, 2e-3],
  "pndm warmed up": [diffusion.pndm({ warmUp: flow }), 2, 2e-3],
  "dpmSolver of order 1": [diffusion.dpmSolver({ order: 1 }), 1, 0.05],
  "dpmSolver": [diffusion.dpmSolver(), 2, 2e-3],
  "dpmSolver of order 3": [diffusion.dpmSolver({ order: 3 }), 2, 6e-4], // as its docs say
  "uniPc of order 1": [diffusion.uniPc({ order: 1 }), 2, 5e-3],
  "uniPc": [diffusion.uniPc(), 3, 3e-4],
  "uniPc, bh1": [diffusion.uniPc({ variant: "bh1" }), 3, 6e-4],
  "uniPc of order 3": [diffusion.uniPc({ order: 3 }), 3, 5e-5],
  "uniPc of order 3, bh1": [diffusion.uniPc({ order: 3, variant: "bh1" }), 3, 5e-5],
};

for (const [name, [sampler, order, most]] of Object.entries(ORDERS)) {
  Deno.test(`${name} comes to the exact answer with order ${order}`, async () => {
    const [few, many] = [await errorOf(sampler, flow, 40), await errorOf(sampler, flow, 80)];
    const measured = Math.log2(few / many);
    assert(measured > order - 0.3, `order ${measured}: ${few} with 40 steps, ${many} with 80`);
    assert(many < most, `${many} with 80 steps`);
  });
}

/** Samplers that add noise: the variance of what they draw is known step by step. */
const STOCHASTIC: Record<string, diffusion.Sampler> = {
  "ddpm, fixed_small": diffusion.ddpm(),
  "ddpm, fixed_large": diffusion.ddpm({ variance: "fixed_large" }),
  "ddim of η 0.5": diffusion.ddim({ eta: 0.5 }),
  "eulerAncestral": diffusion.eulerAncestral(),
  "dpmSolverSde": diffusion.dpmSolverSde(),
};

for (const [name, sampler] of Object.entries(STOCHASTIC)) {
  Deno.test(`${name}: with many steps, samples have the images' mean and spread`, async () => {
    const levels = diffusion.levels(diffusion.vp(diffusion.cosineSchedule()), 100), size = 128;
    const { data } = await diffusion.sample(gaussian, [1, size, size, 1], {
      levels,
      sampler,
      generator: new Generator(1),
    });
    const mean = Array.from(data).reduce((sum, v) => sum + v, 0) / data.length;
    const std = Math.sqrt(Array.from(data).reduce((sum, v) => sum + (v - mean) ** 2, 0) / data.length);
    const standardError = STD / size;
    assert(Math.abs(mean - MEAN) < 4 * standardError, `mean ${mean}`);
    assert(Math.abs(std - STD) < 4 * standardError + 0.015, `standard deviation ${std}`);
  });
}

Deno.test("what adds no noise is the same on every process: VP, VE and a flow, the network's being any", async () => {
  const vp = diffusion.vp(diffusion.cosineSchedule()), ve = diffusion.ve();
  const network: Record<string, diffusion.Process> = { vp, ve, flow, cosine: diffusion.cosine() };
  for (const [name, own] of Object.entries(network)) {
    for (
      const [sampler, tolerance] of [[diffusion.heun(), 2e-5], [diffusion.dpmSolver(), 2e-5], [
        diffusion.uniPc(),
        2e-5,
      ]] as const
    ) {
      const drawn: number[][] = [];
      for (const process of [vp, ve, flow]) {
        const levels = even(process, 50, 0.02, 12);
        const xT = tf.tensor(PIXELS.map((v) => v * levels[0].σ), [1, 1, 5, 1]);
        const seen: number[] = [];
        const denoise: diffusion.Denoise = (x, at) => {
          seen.push(at.t);
          return gaussian(x, at);
        };
        const { data } = await diffusion.sample(diffusion.rescaled(denoise, own), [1, 1, 5, 1], {
          levels,
          sampler,
          xT,
        });
        xT.dispose();
        drawn.push(Array.from(data, (v) => v / levels[12].α));
        const expected = even(own, 50, 0.02, 12)[0].t;
        assert(Math.abs(seen[0] - expected) < 1e-6 * expected, `${name} is told ${seen[0]}, not ${expected}`);
      }
      for (const other of drawn.slice(1)) {
        await assertClose(other, drawn[0], tolerance, `${name} on ${device.name}`);
      }
    }
  }
});
