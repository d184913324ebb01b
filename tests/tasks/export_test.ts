/** `deno task export` and `import`: a DDPM's run as a pipeline of Diffusers and back, and what is refused. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  decodeSafetensors,
  diffusion,
  linearSchedule,
  sample,
  saveWeights,
  tf,
  toTorch,
  UNet,
  type UNet2DConfig,
  UNet2DModel,
} from "../../mod.ts";
import { configOf } from "../../tasks/import.ts";
import { EDM_PRESETS, PRESETS, type TrainConfig, unetOptions } from "../../tasks/presets.ts";
import { assertClose, wasmOnly } from "../support.ts";
import { cliTest, run } from "./task.ts";

const CONFIG: TrainConfig = {
  ...PRESETS.quick,
  size: 8,
  channels: [8, 8],
  attention: [false, true],
  layers: 1,
  headDim: 4,
  groups: 4,
  steps: 4,
  betaMax: 0.1,
  dataSource: "a|b\n<script>",
};
const LOSSES = [["train", 0.5], ["eval", 0.25], ["train", 0.125], ["eval", 0.0625]] as const;
const SIZE: [number, number, number, number] = [2, 8, 8, 1];

/** Writes files of a run. */
async function writeRun(dir: string, files: Record<string, string | Uint8Array>): Promise<void> {
  await Deno.mkdir(dir);
  for (const [name, content] of Object.entries(files)) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(`${dir}/${name}`, bytes);
  }
}

cliTest(
  "export: Diffusers' pipeline of a DDPM's run draws what the run draws, and its card tells of it",
  async (dir) => {
    const model = new UNet({ ...unetOptions(CONFIG), sample_size: CONFIG.size });
    const picture = Uint8Array.of(1, 2, 3);
    await writeRun(`${dir}/clothes`, {
      "config.json": JSON.stringify(CONFIG),
      "metrics.jsonl": LOSSES.map(([train, loss], i) => JSON.stringify({ epoch: i >> 1, train, loss }) + "\n")
        .join(""),
      "samples.png": picture,
    });
    await saveWeights(model, `${dir}/clothes/model.safetensors`);
    const out = `${dir}/out/deep`,
      { code, err, out: said } = await run("export", dir, "clothes", "--to", "diffusers", out);
    assertEquals(code, 0, err);
    assert(said.includes(`Wrote ${out}: README.md, model_index.json, samples.png, scheduler, unet`), said);

    const loaded = await diffusion.loadPipeline(out);
    assertEquals(await toTorch(loaded.model.stateDict()), await toTorch(model.stateDict()));
    assertEquals([loaded.kind, loaded.scheduler.config.variance_type], ["DDPMPipeline", "fixed_large"]);
    const xT = tf.randomNormal(SIZE) as tf.Tensor, noise = () => tf.zeros(SIZE);
    const theirs = await diffusion.sample(loaded.denoise, SIZE, {
      ...loaded.scheduler.sampling(4),
      xT,
      noise,
    });
    const schedule = linearSchedule({ nSteps: 4, betaMin: CONFIG.betaMin, betaMax: CONFIG.betaMax });
    const ours = (await sample(model, SIZE, { schedule, xT, noise })).at(-1)!;
    await assertClose(theirs.toTensor(), Array.from(ours.data), 1e-5, "images");

    const card = await Deno.readTextFile(`${out}/README.md`);
    for (
      const part of [
        "# clothes\n",
        "| epochs | 2 of 6, batches of 32, learning rate up to 0.005 |",
        "| evaluation loss (mean squared error of the noise) | 0.06250 |",
        "| data | a\\|b \\<script> |",
        "![Samples](samples.png)",
        'pipeline(batch_size=4, num_inference_steps=4, output_type="np").images',
        "images = (2 * images - 1).clip(0, 1)",
      ]
    ) {
      assert(card.includes(part), `${part}\n${card}`);
    }
    assertEquals(await Deno.readFile(`${out}/samples.png`), picture);

    const again = await run("export", dir, "clothes", out);
    assertEquals(again.code, 2, again.err);
    assert(
      /error: .*\/deep has .* in it: name a directory that is empty or not there/.test(again.err),
      again.err,
    );
  },
);

cliTest(
  "export: a run of EDM's training is refused with what Diffusers' pipelines lack, and one without weights",
  async (dir) => {
    await writeRun(`${dir}/edm`, { "config.json": JSON.stringify(EDM_PRESETS.edm) });
    await writeRun(`${dir}/begun`, { "config.json": JSON.stringify(CONFIG) });
    const edm = await run("export", dir, "edm", `${dir}/out`);
    assertEquals(edm.code, 2, edm.err);
    const says =
      "run edm is of EDM's training, and DDPMPipeline and DDIMPipeline cannot draw with it: its network sees " +
      "patches of 2×2 pixels, and UNet2DModel has no patch_size; it is told 10 classes, and those pipelines give none; ";
    assert(edm.err.includes(says), edm.err);
    const begun = await run("export", dir, "begun", `${dir}/out`);
    assertEquals(begun.code, 1, begun.err);
    assert(begun.err.includes("its training has not finished an epoch yet"), begun.err);
  },
);

cliTest(
  "import: what was exported is a run with the same weights, which is drawn with and trained on from",
  async (dir) => {
    const model = new UNet({ ...unetOptions(CONFIG), sample_size: CONFIG.size }),
      weights = await toTorch(model.stateDict());
    const schedule = linearSchedule({ nSteps: 4, betaMin: CONFIG.betaMin, betaMax: CONFIG.betaMax });
    await diffusion.savePipeline(`${dir}/net`, { model, scheduler: diffusion.schedulerConfig(schedule) });
    const { code, err, out } = await run("import", dir, `${dir}/net/`, "--name", "back");
    assertEquals(code, 0, err);
    assert(/^Wrote .*\/back: config.json, model.safetensors$/m.test(out), out);
    const stored = decodeSafetensors(await Deno.readFile(`${dir}/back/model.safetensors`)).tensors;
    assertEquals({ ...stored }, weights);
    const config = JSON.parse(await Deno.readTextFile(`${dir}/back/config.json`));
    for (
      const field of [
        "size",
        "channels",
        "attention",
        "layers",
        "groups",
        "headDim",
        "steps",
        "betaMin",
        "betaMax",
      ]
    ) {
      assertEquals(config[field], CONFIG[field as keyof TrainConfig], field);
    }
    const drawn = await run("sample", dir, "--run", "back", "--n", "1");
    assertEquals(drawn.code, 0, drawn.err);

    const [, advice] = out.match(/Train on from it with: deno task train (.*)/)!, flags = advice.split(" ");
    assert(advice.includes("--channels 8,8 ") && !advice.includes("--lr "), advice);
    const short = "--limit 8 --test-limit 8 --batch 8 --epochs 1 --samples 0 --lr 0".split(" ");
    const trained = await run("train", dir, "--name", "on", ...flags, ...short);
    assertEquals(trained.code, 0, trained.err);
    const after = decodeSafetensors(await Deno.readFile(`${dir}/on/model.safetensors`)).tensors;
    assertEquals({ ...after }, weights); // a learning rate of 0 keeps them
    const taken = await run("import", dir, `${dir}/net`, "--name", "back");
    assertEquals([taken.code, /back exists: give another --name/.test(taken.err)], [2, true], taken.err);
    const other = await run("train", dir, "--name", "other", ...short, ...flags.slice(-2));
    assertEquals(other.code, 1, other.err);
    assert(other.err.includes(`error: --begin ${dir}/back/model.safetensors: `), other.err);
  },
);

Deno.test({
  name: "import: a network or a scheduler that is no run's is refused by its field",
  ...wasmOnly,
  fn() {
    const how = diffusion.schedulerConfig(linearSchedule({ nSteps: 4 }));
    const of = (network: Partial<UNet2DConfig>, change: Partial<diffusion.SchedulerConfig> = {}) => {
      const model = new UNet2DModel({ ...unetOptions(CONFIG), sample_size: 8, ...network });
      return configOf("a/b", { model, scheduler: diffusion.scheduler({ ...how, ...change }) });
    };
    assertEquals(of({}).channels, CONFIG.channels);
    const says = (error: string, call: () => unknown) => assertThrows(call, Error, `a/b: ${error}`);
    says("its images are 8×4, and those of a run square", () => of({ sample_size: [8, 4] }));
    says("its images are null×null", () => of({ sample_size: null }));
    const must = "and of a run of deno task train";
    says(
      `"prediction_type" of its scheduler is "v_prediction", ${must} "epsilon"`,
      () => of({}, { prediction_type: "v_prediction" }),
    );
    says(
      `"beta_schedule" of its scheduler is "scaled_linear", ${must} "linear"`,
      () => of({}, { beta_schedule: "scaled_linear" }),
    );
    says(`"act_fn" of its network is "gelu", ${must} "silu"`, () => of({ act_fn: "gelu" }));
    says(`"in_channels" of its network is 3, ${must} 1`, () => of({ in_channels: 3, out_channels: 3 }));
  },
});
