/**
 * Pipelines to the real Diffusers and back, by hand: `deno run -A tests/interop/pipelines.ts [PYTHON]`, a Python with
 * torch, diffusers and safetensors. Ours are read there by `from_pretrained` and written by `save_pretrained`: whole, in
 * shards, and of 16 bits; the weights come back bit by bit (of 16 bits, as rounded there), and Diffusers' DDIM draws what
 * ours draws.
 */
import { assertEquals } from "@std/assert";
import {
  diffusion,
  HostArray,
  linearSchedule,
  setSeed,
  tf,
  toTorch,
  type UNet2DConfig,
  UNet2DModel,
  useDevice,
} from "../../mod.ts";

const [python = "python3"] = Deno.args;
await useDevice("wasm", { log: null });
setSeed(1);
const dir = await Deno.makeTempDir(), SHAPE: [number, number, number, number] = [2, 16, 16, 3], STEPS = 5;

const CONFIGS: Record<string, Partial<UNet2DConfig>> = {
  plain: {
    block_out_channels: [8, 16],
    down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
    up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
    norm_num_groups: 4,
    attention_head_dim: 4,
  },
  resnet: {
    block_out_channels: [8, 16],
    down_block_types: ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    up_block_types: ["AttnUpBlock2D", "ResnetUpsampleBlock2D"],
    norm_num_groups: 4,
    attention_head_dim: null,
    resnet_time_scale_shift: "scale_shift",
    act_fn: "gelu",
  },
  skip: {
    block_out_channels: [32, 32],
    down_block_types: ["AttnSkipDownBlock2D", "SkipDownBlock2D"],
    up_block_types: ["SkipUpBlock2D", "AttnSkipUpBlock2D"],
    time_embedding_type: "learned",
    num_train_timesteps: 1000,
  },
};

const weightsOf = async (model: UNet2DModel) => {
  const state = await toTorch(model.stateDict());
  return Object.fromEntries(Object.entries(state).map(([name, { data }]) => [name, Array.from(data)]));
};

for (const [name, config] of Object.entries(CONFIGS)) {
  const model = new UNet2DModel({ ...config, sample_size: 16 }).eval();
  const how = diffusion.schedulerConfig(linearSchedule(), { kind: "DDIMScheduler", clip: null });
  const ours = `${dir}/${name}`;
  await diffusion.savePipeline(ours, { model, scheduler: how });
  const xT = tf.randomNormal(SHAPE) as tf.Tensor,
    start = await HostArray.from(tf.transpose(xT, [0, 3, 1, 2]));
  await Deno.writeTextFile(`${ours}/start.json`, JSON.stringify(Array.from(start.data)));
  const { success } = await new Deno.Command(python, {
    args: [new URL("pipelines.py", import.meta.url).pathname, ours, String(STEPS)],
  }).spawn().status;
  if (!success) Deno.exit(1);

  const expected = await weightsOf(model);
  for (const way of ["whole", "shards"]) {
    const back = await diffusion.loadPipeline(`${ours}/${way}`);
    assertEquals(await weightsOf(back.model), expected, `${name}, ${way}`);
    assertEquals(back.model.config, model.config, `${name}, ${way}`);
  }
  for (const [way, variant, bits] of [["half", "fp16", 11], ["brain", undefined, 8]] as const) {
    const back = await diffusion.loadPipeline(`${ours}/${way}`, { variant });
    for (const [key, values] of Object.entries(await weightsOf(back.model))) {
      const far = values.findIndex((v, i) => Math.abs(v - expected[key][i]) > Math.abs(v) / 2 ** bits + 1e-7);
      if (far >= 0) throw new Error(`${name}, ${way}: ${key} is ${values[far]}, not ${expected[key][far]}`);
    }
  }
  const { denoise, scheduler } = await diffusion.loadPipeline(`${ours}/whole`);
  const images = await diffusion.sample(denoise, SHAPE, { ...scheduler.sampling(STEPS), xT });
  const drawn = Array.from(await tf.transpose(images.toTensor(), [0, 3, 1, 2]).data());
  const theirs: number[] = JSON.parse(await Deno.readTextFile(`${ours}/drawn.json`));
  const largest = Math.max(...theirs.map(Math.abs));
  const off = Math.max(...drawn.map((v, i) => Math.abs(v - theirs[i]))) / largest;
  if (!(off < 1e-4)) throw new Error(`${name}: drawn images are ${off} of the largest off`);
  console.log(`${name}: weights and config come back; DDIM is ${off.toExponential(1)} off`);
}
await Deno.remove(dir, { recursive: true });
Deno.exit(0);
