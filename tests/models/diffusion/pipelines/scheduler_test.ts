/** Diffusers' schedulers as ours: what each field does or why it is refused. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { diffusion, linearSchedule, respace } from "../../../../mod.ts";
import { wasmOnly } from "../../../support.ts";

/** A config as a file may hold it. */
const make = (fields: Record<string, unknown>) =>
  diffusion.scheduler(fields as Partial<diffusion.SchedulerConfig>);
const DDIM = { _class_name: "DDIMScheduler" };

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

/** What is refused, each by its field. */
const REFUSED: [fields: Record<string, unknown>, says: string][] = [
  [
    { _class_name: "PNDMScheduler" },
    '"_class_name" is "PNDMScheduler", not "DDPMScheduler" or "DDIMScheduler"',
  ],
  [{ skip_prk_steps: true }, 'there is no field "skip_prk_steps"'],
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
  [{ set_alpha_to_one: false }, '"set_alpha_to_one" is of DDIMScheduler, not of DDPMScheduler'],
  [{ ...DDIM, variance_type: "fixed_large" }, '"variance_type" is of DDPMScheduler'],
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
    for (const [fields, says] of REFUSED) assertThrows(() => make(fields), Error, says);
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
    assertEquals(diffusion.scheduler(config).schedule.β, cosine.β);
    assertEquals([config.prediction_type, config.clip_sample], ["v_prediction", false]);
    const some = respace(linearSchedule(), 10);
    assertThrows(() => diffusion.schedulerConfig(some), Error, "some steps of another");
  },
});
