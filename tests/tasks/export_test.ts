/** `deno task export`: a DDPM's run as a pipeline of Diffusers, and what is refused. */
import { assert, assertEquals } from "@std/assert";
import { diffusion, linearSchedule, sample, saveWeights, tf, toTorch, UNet } from "../../mod.ts";
import { EDM_PRESETS, PRESETS, type TrainConfig, unetOptions } from "../../tasks/presets.ts";
import { assertClose } from "../support.ts";
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
