/** `deno task train`: trains a DDPM on Fashion-MNIST and writes a run. */
import { Adam, DDPMCB, Generator } from "../mod.ts";
import { Command, main, number, numbers, Option, UserError, varianceOption, whole } from "./cli.ts";
import { DATA_SIZE, prepareImages } from "./data.ts";
import { drawSamples } from "./draw.ts";
import { fitRun } from "./fit.ts";
import { makeModel, makeSchedule } from "./models.ts";
import { PRESETS, type TrainConfig } from "./presets.ts";
import { exists, tellFiles } from "./runs.ts";
import { chooseRun, overlay, prepare, type TrainingOptions, withTrainingOptions } from "./training.ts";

const command = withTrainingOptions(
  new Command("deno task train").description("Trains a DDPM on Fashion-MNIST and writes runs/NAME/"),
  Object.keys(PRESETS),
)
  .option("--size <n>", "height and width of the model's images", whole(8, 512))
  .addOption(new Option("--fit <how>", "how 28×28 becomes that size").choices(["resize", "pad"]))
  .option("--channels <list>", "channels of each level, such as 16,32,64,64", numbers)
  .option("--layers <n>", "residual blocks a level", whole(1, 8))
  .option("--groups <n>", "groups of the norms", whole(1, 1024))
  .option("--head-dim <n>", "channels of an attention head", whole(1, 1024))
  .option("--no-init-ddpm", "PyTorch's initialisation alone")
  .option("--steps <n>", "diffusion steps", whole(1, 100_000))
  .option("--beta-min <x>", "β of the first step", number(1e-9, 0.999))
  .option("--beta-max <x>", "β of the last step", number(1e-9, 0.999))
  .addOption(varianceOption("fixed_large"))
  .option("--samples <n>", "images in samples.png; 0 for none (default: 16)", whole(0, 1024));

/** The config that the command line asks for. */
function makeConfig(preset: string): TrainConfig {
  const config = overlay(command, PRESETS[preset]);
  const levels = config.channels.length;
  if (levels !== config.attention.length) {
    config.attention = Array.from({ length: levels }, (_, i) => i > 0);
  }
  const factor = 2 ** (levels - 1);
  if (config.size % factor) {
    throw new UserError(
      `--size ${config.size} does not halve ${levels - 1} times: give a multiple of ${factor}`,
    );
  }
  if (config.fit === "pad" && (config.size < DATA_SIZE || config.size % 2)) {
    throw new UserError(`--fit pad needs an even --size of at least ${DATA_SIZE}, not ${config.size}`);
  }
  return config;
}

await main(async () => {
  const options = command.parse(Deno.args, { from: "user" }).opts<TrainingOptions & { samples?: number }>();
  const run = await chooseRun(command, "train", makeConfig);
  const { config, name, files } = run;
  const dls = await prepare(options, run, { transform: prepareImages(config) });
  const model = makeModel(config);
  const finished = await fitRun(run, {
    model,
    dls,
    optimizer: Adam,
    cbs: [new DDPMCB({ schedule: makeSchedule(config) })],
    lossTitle: "loss (mean squared error of the noise)",
    metadata: { config: JSON.stringify(model.config) },
    checkpointEvery: options.checkpointEvery,
  });
  if (finished === null) return;
  const n = options.samples ?? config.samples ?? 16;
  const drawn = finished && options.samples === undefined && await exists(files.samples);
  if (n > 0 && !drawn) {
    await drawSamples(model, config, {
      n,
      generator: new Generator(config.seed),
      png: files.samples,
      advice: `The run is trained; draw its samples.png with: deno task train --resume ${name}`,
    });
  }
  await tellFiles(files.dir);
  console.log(`Draw more with: deno task sample --run ${name}`);
});
