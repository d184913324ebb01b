/**
 * Every sampler against Diffusers (tests/golden/schedulers.json): 70 whole samplings with a closed-form model, x·t/(t+1),
 * from arange(768)/768, whose draws of noise are cos(i + n). Compared are the sum of |x₀| and the images on the way.
 */
import { assert, assertEquals } from "@std/assert";
import { diffusion, HostArray, linearSchedule, type Schedule, tf } from "../../../../mod.ts";
import { assertClose } from "../../../support.ts";
import { type Case, cases, ClosedForm, cosines, IN_SIGMA, SHAPE, start, startScale } from "../closed_form.ts";

const schedules: Record<string, () => Schedule> = {
  linear: linearSchedule,
  scaled_linear: diffusion.scaledLinearSchedule,
  squaredcos_cap_v2: diffusion.cosineSchedule,
  sigmoid: diffusion.sigmoidSchedule,
};

/** Schedulers that leave out the last of n + 1 steps. */
const LEAVES_ONE_OUT = ["DPMSolverMultistep", "UniPCMultistep"];
/** How each scheduler spaces steps unless it is told. */
const SPACING: Record<string, diffusion.Spacing> = { DDIM: "leading", DDPM: "leading", PNDM: "leading" };

/** Levels at whole timesteps, as some schedulers round those of `linspace`. */
function rounded(process: diffusion.Process, levels: diffusion.NoiseLevel[]): diffusion.NoiseLevel[] {
  return levels.map((at) => at.σ > 0 ? process.at(Math.round(at.t)) : at);
}

/** The process and the levels of a case. */
function pathOf(
  name: string,
  { config, steps, timesteps }: Case,
): [diffusion.Process, diffusion.NoiseLevel[]] {
  if (name.startsWith("EDM")) {
    const process = diffusion.ve({ sigmaMin: config.sigma_min, sigmaMax: config.sigma_max });
    return [process, diffusion.levels(process, steps, { spacing: "karras" })];
  }
  if (name === "FlowMatchEulerDiscrete") {
    // Its least time is shifted once by itself, and every time once more.
    const process = { ...diffusion.flow(), times: [0.003 / 1.002, 1] as const };
    return [process, diffusion.levels(process, steps, { spacing: "linspace", shift: config.shift })];
  }
  if (name === "FlowMatchHeunDiscrete") {
    return [diffusion.flow(), diffusion.levels(diffusion.flow(), steps, { spacing: "linspace" })];
  }
  const schedule = schedules[config.beta_schedule ?? "linear"]();
  const process = diffusion.vp(
    config.rescale_betas_zero_snr ? diffusion.zeroTerminalSnr(schedule) : schedule,
  );
  const spacing = config.use_karras_sigmas
    ? "karras"
    : config.use_exponential_sigmas
    ? "exponential"
    : config.timestep_spacing ?? SPACING[name] ?? "linspace";
  if (LEAVES_ONE_OUT.includes(name) && (spacing === "leading" || spacing === "linspace")) {
    const levels = config.final_sigmas_type
      ? diffusion.levels(process, steps, { spacing, final: "sigma_min" })
      : diffusion.levels(process, steps + 1, { spacing }).toSpliced(steps, 1);
    return [process, rounded(process, levels)];
  }
  const levels = diffusion.levels(process, steps, { spacing });
  // Those tell the network whole timesteps of levels that lie between two.
  if (LEAVES_ONE_OUT.includes(name)) {
    return [process, levels.map((at, i) => ({ ...at, t: timesteps[i] ?? 0 }))];
  }
  // PNDM ends at the first step's noise, at which its last step already is where the spacing is leading.
  if (name === "PNDM") {
    return [process, spacing === "leading" ? levels.slice(0, -1) : levels.with(-1, process.at(0))];
  }
  return [process, levels];
}

function samplerOf(name: string, { config, steps }: Case, process: diffusion.Process): diffusion.Sampler {
  if (name === "DDIM") return diffusion.ddim();
  if (name === "DDPM") return diffusion.ddpm({ variance: config.variance_type });
  if (name === "PNDM") return diffusion.pndm({ warmUp: config.skip_prk_steps ? undefined : process });
  if (name === "LMSDiscrete") return diffusion.lms();
  if (name === "EulerDiscrete" || name === "EDMEuler" || name === "FlowMatchEulerDiscrete") {
    return diffusion.euler();
  }
  if (name === "EulerAncestralDiscrete") return diffusion.eulerAncestral();
  if (name === "HeunDiscrete") return diffusion.heun();
  if (name === "FlowMatchHeunDiscrete") return diffusion.heun({ along: "flow" });
  if (name === "UniPCMultistep") return diffusion.uniPc({ order: config.solver_order });
  if (config.algorithm_type === "sde-dpmsolver++") return diffusion.dpmSolverSde();
  if (name.endsWith("DPMSolverMultistep")) return diffusion.dpmSolver({ order: config.solver_order });
  throw new Error(`No sampler for ${name} of ${steps} steps`);
}

/** Diffusers counts evaluations of the network; the images after the n-th are those after this step, if any. */
function stepOfCall(name: string, { config, steps }: Case, call: number): number {
  if (name.startsWith("Heun") || name === "FlowMatchHeunDiscrete") {
    return call === 2 * steps - 2 ? steps - 1 : (call - 1) / 2;
  }
  if (name !== "PNDM") return call;
  return config.skip_prk_steps ? call - 1 : call < 12 ? (call - 3) / 4 : call - 9;
}

/** How far a number may be off, of the largest: ᾱ is multiplied up in float32 there and in float64 here. */
const TOLERANCE = 3e-5;

/**
 * The same where x/α is 20,000 times x₀, so that float32 has lost the image's digits: the squared cosine's last step, by
 * the number of the case. In float64 the sum of 20 is 11876.3; Diffusers' is 11890.9, ours 11868.6.
 */
const LOOSE_TOLERANCES: Record<number, number> = { 15: 1e-4, 16: 1e-4, 19: 5e-4, 20: 5e-3 };

/** Ways through levels that are each walked on where the one before ended: all of them, but in one case. */
function waysOf(
  c: Case,
  process: diffusion.Process,
  levels: diffusion.NoiseLevel[],
): diffusion.NoiseLevel[][] {
  if (c.scheduler !== "DDIMScheduler" || c.config.timestep_spacing !== "linspace") return [levels];
  // Diffusers' DDIM steps 100 down from each step whatever the spacing, and goes on from the next, 111 down.
  return c.timesteps.map((t) => [process.at(t), t < 100 ? levels.at(-1)! : process.at(t - 100)]);
}

for (const [number, c] of cases.entries()) {
  const name = c.scheduler.replace("Scheduler", ""), { num_train_timesteps: _, ...said } = c.config;
  Deno.test(`golden ${number}: ${name}, ${c.steps} steps, ${JSON.stringify(said)}`, async () => {
    const [process, levels] = pathOf(name, c), sampler = samplerOf(name, c, process);
    const { prediction_type = "epsilon" } = c.config, edm = name.startsWith("EDM");
    const denoise = diffusion.denoiser(new ClosedForm(edm && prediction_type === "v_prediction" ? -1 : 1), {
      prediction: edm ? "edm" : name.startsWith("Flow") ? "flow_prediction" : prediction_type,
    });
    const images: HostArray[] = [];
    const scale = startScale(name, c, levels);
    let x0: HostArray = new HostArray(start().map((v) => v * scale), SHAPE);
    for (const levels of waysOf(c, process, pathOf(name, c)[1])) {
      const xT = x0.toTensor();
      x0 = await diffusion.sample(denoise, SHAPE, {
        levels,
        sampler,
        xT,
        noise: cosines,
        clip: c.config.clip_sample || c.config.thresholding ? [-1, 1] : undefined,
        async onStep({ x, level }) {
          images.push(await HostArray.from(tf.tidy(() => tf.div(x, IN_SIGMA.test(name) ? level.α : 1))));
        },
      });
      xT.dispose();
    }
    const tolerance = LOOSE_TOLERANCES[number] ?? TOLERANCE;
    const sum = Array.from(x0.data).reduce((sum, v) => sum + Math.abs(v), 0);
    assert(Math.abs(sum / c.sum - 1) < tolerance, `the sum is ${sum}, not ${c.sum}`);
    assertEquals(c.heads.length, Math.ceil(c.timesteps.length / 4));
    for (const [i, head] of c.heads.entries()) {
      const call = Math.min(4 * i + 3, c.timesteps.length - 1), step = stepOfCall(name, c, call);
      const { data } = images[Math.min(step, images.length - 1)];
      await assertClose(data.subarray(0, head.length), head, tolerance, `after step ${step}`);
    }
  });
}
