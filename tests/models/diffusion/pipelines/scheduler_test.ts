/** Diffusers' schedulers as ours: what each field does or why it is refused. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, HostArray, linearSchedule, respace } from "../../../../mod.ts";
import { wasmOnly } from "../../../support.ts";
import { type Case, cases, ClosedForm, cosines, SHAPE, start, startScale } from "../closed_form.ts";

/** A config as a file may hold it. */
const make = (fields: Record<string, unknown>) =>
  diffusion.scheduler(fields as Partial<diffusion.SchedulerConfig>);
const DDIM = { _class_name: "DDIMScheduler" }, PNDM = { _class_name: "PNDMScheduler" };
const EULER = { _class_name: "EulerDiscreteScheduler" }, DPM = { _class_name: "DPMSolverMultistepScheduler" };

Deno.test({
  name: "what the first versions of Diffusers wrote is read",
  ...wasmOnly,
  fn() {
    const first = {
      _class_name: "DDPMScheduler",
      _diffusers_version: "0.1.1",
      beta_end: 0.02,
      beta_schedule: "linear",
      beta_start: 0.0001,
      clip_sample: true,
      num_train_timesteps: 1000,
      tensor_format: "pt",
      timestep_values: null,
      trained_betas: null,
      variance_type: "fixed_large",
      predict_epsilon: false,
    };
    const { config } = make(first);
    assertEquals([config.variance_type, config.prediction_type, config.timestep_spacing], [
      "fixed_large",
      "sample",
      "leading",
    ]);
  },
});

/** Why a case of Diffusers is refused, if it is. */
function refusal({ scheduler, config }: Case): string | undefined {
  if (scheduler.startsWith("FlowMatch")) return "_class_name";
  if (scheduler.startsWith("EDM") && config.prediction_type) return "prediction_type";
  if (scheduler === "DDIMScheduler" && config.timestep_spacing === "linspace") return "timestep_spacing";
  if (config.variance_type === "fixed_large" && config.timestep_spacing === "trailing") {
    return "variance_type";
  }
}

/** How far from Diffusers' a sum may be, of the sum; cases 15 to 20 lose an image's digits in float32 (golden_test.ts). */
const toleranceOf = (number: number) => number >= 15 && number <= 20 ? 5e-3 : 3e-5;

Deno.test({
  name: "golden: the schedulers of Diffusers' runs, by their configs, draw what it drew, or are refused",
  ...wasmOnly,
  async fn() {
    let drawn = 0;
    for (const [number, c] of cases.entries()) {
      // The file tells EDM's and flows' steps of training, and clips of the samplers that have the field.
      const { num_train_timesteps: _, ...config } = c.config,
        fields = { _class_name: c.scheduler, ...config };
      const field = refusal(c), what = `${number}: ${JSON.stringify(fields)}`;
      const given = c.scheduler.startsWith("DD") ? { clip_sample: false, ...fields } : fields;
      if (field) {
        assertThrows(() => make(given), Error, `"${field}" is`, what);
        continue;
      }
      const { sampling, prediction, sigmaData } = make(given), { levels, sampler, clip } = sampling(c.steps);
      const denoise = diffusion.denoiser(new ClosedForm(1), { prediction, sigmaData });
      const scale = startScale(c.scheduler.replace("Scheduler", ""), c, levels);
      const xT = new HostArray(start().map((v) => v * scale), SHAPE).toTensor();
      const x0 = await diffusion.sample(denoise, SHAPE, { levels, sampler, clip, xT, noise: cosines });
      const sum = Array.from(x0.data).reduce((sum, v) => sum + Math.abs(v), 0);
      assert(Math.abs(sum / c.sum - 1) < toleranceOf(number), `${what}: the sum is ${sum}, not ${c.sum}`);
      drawn++;
    }
    assert(drawn > 55, `${drawn} of ${cases.length}`);
  },
});

/** What is refused, each by its field. */
const REFUSED: [fields: Record<string, unknown>, says: string][] = [
  [
    { _class_name: "ScoreSdeVeScheduler" },
    '"_class_name" is "ScoreSdeVeScheduler", not "DDPMScheduler", "DDIMScheduler"',
  ],
  [{ sampling_eps: 1e-5 }, 'there is no field "sampling_eps"'],
  [{ skip_prk_steps: true }, 'DDPMScheduler has no field "skip_prk_steps"'],
  [{ variance_type: null }, '"variance_type" is null, and must be one of those four'],
  [
    { ...PNDM, prediction_type: "v_prediction" },
    '"prediction_type" is "v_prediction", and must be "epsilon"',
  ],
  [{ ...PNDM, timestep_spacing: "linspace" }, '"timestep_spacing" is "linspace"'],
  [{ ...PNDM, set_alpha_to_one: true }, '"set_alpha_to_one" is true, and must be false in a PNDMScheduler'],
  [{ ...PNDM, steps_offset: 1 }, '"steps_offset" is 1, and must be 0'],
  [
    { ...EULER, interpolation_type: "log_linear" },
    '"interpolation_type" is "log_linear", and must be "linear"',
  ],
  [
    { ...EULER, timestep_spacing: "trailing" },
    '"timestep_spacing" is "trailing", and must be "leading" or "linspace"',
  ],
  [{ ...EULER, timestep_spacing: "leading", use_karras_sigmas: true }, "where levels are spaced by σ"],
  [{ ...EULER, use_karras_sigmas: true, use_exponential_sigmas: true }, '"use_exponential_sigmas" is true'],
  [{ ...EULER, use_beta_sigmas: true }, '"use_beta_sigmas" is true, and must be false'],
  [{ ...EULER, sigma_min: 0.1 }, '"sigma_min" is 0.1, and must be null'],
  [{ ...EULER, rescale_betas_zero_snr: true }, '"rescale_betas_zero_snr" is true, and must be false'],
  [{ ...DPM, algorithm_type: "dpmsolver" }, '"algorithm_type" is "dpmsolver"'],
  [{ ...DPM, algorithm_type: "sde-dpmsolver++", solver_order: 3 }, '"solver_order" is 3, and must be 2'],
  [{ ...DPM, solver_order: 4 }, '"solver_order" is 4'],
  [{ ...DPM, solver_type: "heun" }, '"solver_type" is "heun"'],
  [{ ...DPM, solver_type: "bh2" }, '"solver_type" is "bh2", and must be "midpoint"'],
  [{ ...DPM, euler_at_final: true }, '"euler_at_final" is true, and must be false'],
  [{ ...DPM, lambda_min_clipped: -5.1 }, '"lambda_min_clipped" is -5.1'],
  [
    { ...DPM, final_sigmas_type: "sigma_min", timestep_spacing: "trailing" },
    '"final_sigmas_type" is "sigma_min"',
  ],
  [
    { _class_name: "EDMEulerScheduler", sigma_min: 90 },
    '"sigma_min" is 90, and must be a number above 0 and below',
  ],
  [{ _class_name: "EDMEulerScheduler", sigma_schedule: "exponential" }, '"sigma_schedule" is "exponential"'],
  [{ _class_name: "EDMEulerScheduler", beta_end: 0.5 }, 'EDMEulerScheduler has no field "beta_end"'],
  [{ num_train_timesteps: 0 }, '"num_train_timesteps" is 0'],
  [{ beta_start: 0 }, '"beta_start" is 0'],
  [{ beta_end: 2 }, '"beta_end" is 2'],
  [{ beta_start: 0.5, beta_end: 0.1 }, '"beta_end" is 0.1, and must be at least beta_start'],
  [{ beta_schedule: "laplace" }, '"beta_schedule" is "laplace"'],
  [
    { trained_betas: [0.1, 0.2] },
    '"trained_betas" is [0.1,0.2], and must be null or a list of num_train_timesteps',
  ],
  [{ prediction_type: "flow" }, '"prediction_type" is "flow"'],
  [{ variance_type: "learned" }, '"variance_type" is "learned"'],
  [{ variance_type: "fixed_large_log" }, '"variance_type" is "fixed_large_log"'],
  [
    { variance_type: "fixed_large", steps_offset: 1 },
    '"variance_type" is "fixed_large", and must be "fixed_small"',
  ],
  [{ variance_type: "fixed_large", timestep_spacing: "trailing" }, "adds noise to the finished image"],
  [{ thresholding: true, sample_max_value: 1.5 }, '"sample_max_value" is 1.5, and must be at most 1'],
  [{ clip_sample_range: 0 }, '"clip_sample_range" is 0'],
  [{ timestep_spacing: "karras" }, '"timestep_spacing" is "karras"'],
  [{ steps_offset: -1 }, '"steps_offset" is -1'],
  [{ set_alpha_to_one: false }, 'DDPMScheduler has no field "set_alpha_to_one"'],
  [{ ...DDIM, variance_type: "fixed_large" }, 'DDIMScheduler has no field "variance_type"'],
  [
    { ...DDIM, set_alpha_to_one: false },
    '"set_alpha_to_one" is false, and must be true where steps_offset is 0',
  ],
  [{ ...DDIM, timestep_spacing: "linspace" }, '"timestep_spacing" is "linspace"'],
  [{ clip_sample: 1 }, '"clip_sample" is 1, not true or false'],
];

Deno.test({
  name: "each field that no sampler of ours does as Diffusers is refused by its name and value",
  ...wasmOnly,
  fn() {
    for (const [fields, says] of REFUSED) {
      assertThrows(() => make(fields), Error, says, JSON.stringify(fields));
    }
    assertThrows(
      () => diffusion.readSchedulerConfig([1]),
      Error,
      "scheduler_config.json is an object, not [1]",
    );
  },
});

Deno.test({
  name: "the steps of a scheduler, with an offset and at the end; steps that there are not are refused",
  ...wasmOnly,
  fn() {
    const times = (fields: Record<string, unknown>, n: number) =>
      make(fields).sampling(n).levels.map(({ t }) => t);
    assertEquals(times({}, 4), [750, 500, 250, 0, 0]);
    assertEquals(times({ steps_offset: 1 }, 4), [751, 501, 251, 1, 0]);
    assertEquals(times({ timestep_spacing: "linspace" }, 3), [999, 500, 0, 0]);
    const last = make({ ...DDIM, steps_offset: 1, set_alpha_to_one: false });
    assertEquals(last.sampling(4).levels.at(-1), last.process.at(0));
    assertThrows(() => times({ steps_offset: 1 }, 1000), RangeError, "begin at step 1000 of 1000");
    assertThrows(() => times({ ...DDIM, timestep_spacing: "trailing" }, 3), RangeError, "divide 1000, not 3");
    assertThrows(() => times({}, 0), RangeError, "not 0");
    assertEquals(make({ clip_sample: false }).sampling(2).clip, undefined);
    assertEquals(make({ thresholding: true, clip_sample_range: 3 }).sampling(2).clip, [-1, 1]);
    assert(make({ variance_type: "learned_range" }).learnedRange);
  },
});

Deno.test({
  name: "schedulerConfig: of a straight schedule its ends, of another each β; of some steps none",
  ...wasmOnly,
  fn() {
    const straight = diffusion.schedulerConfig(linearSchedule({ betaMax: 0.01 }), { kind: "DDIMScheduler" });
    assertEquals([straight.beta_start, straight.beta_end, straight.trained_betas], [1e-4, 0.01, null]);
    const cosine = diffusion.cosineSchedule({ nSteps: 20 });
    const config = diffusion.schedulerConfig(cosine, { prediction: "v_prediction", clip: null });
    assertEquals(diffusion.scheduler(config).process.at(7), diffusion.vp(cosine).at(7));
    assertEquals([config.prediction_type, config.clip_sample], ["v_prediction", false]);
    const some = respace(linearSchedule(), 10);
    assertThrows(() => diffusion.schedulerConfig(some), Error, "some steps of another");
  },
});

Deno.test({
  name: "schedulerConfig: the ends of β are those that the schedule was made with",
  ...wasmOnly,
  fn() {
    for (const [nSteps, betaMin, betaMax] of [[4, 1e-4, 0.1], [1000, 1e-4, 0.02], [7, 0.003, 0.7]]) {
      const { beta_start, beta_end } = diffusion.schedulerConfig(
        linearSchedule({ nSteps, betaMin, betaMax }),
      );
      assertEquals([beta_start, beta_end], [betaMin, betaMax]);
    }
  },
});
