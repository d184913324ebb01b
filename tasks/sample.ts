/** `deno task sample`: draws images with a trained run. */
import { Generator, useDevice, type Variance } from "../mod.ts";
import {
  Command,
  type CommonOptions,
  main,
  MAX_SEED,
  UserError,
  varianceOption,
  whole,
  withCommonOptions,
} from "./cli.ts";
import { drawSamples } from "./draw.ts";
import { chooseModel, type ModelOptions } from "./models.ts";
import { runFiles } from "./runs.ts";

const command = withCommonOptions(
  new Command("deno task sample")
    .description("Draws images with a trained model: a PNG grid, and a GIF of the last steps of denoising"),
)
  .option(
    "--run <name>",
    "the run to draw with (default: the newest, or the shipped model where there is none)",
  )
  .option("--pretrained", "draw with the shipped model, whatever runs there are")
  .option("--n <count>", "images", whole(1, 1024), 16)
  .option("--steps <count>", "sampling steps (default: all of the run's)", whole(1, 100_000))
  .option(
    "--seed <n>",
    "fixes the images (default: new ones each time)",
    whole(0, MAX_SEED),
  )
  .addOption(varianceOption("fixed_small for fewer steps than the run's, else the run's"))
  .option(
    "--out <path>",
    "where the PNG goes; the GIF beside it (default: samples.png, in the run if there is one)",
  );

interface Options extends CommonOptions, ModelOptions {
  n: number;
  steps?: number;
  variance?: Variance;
  seed?: number;
  out?: string;
}

/** Where pictures of the shipped model go. */
const SHIPPED = { samples: "samples.png", animation: "samples.gif" };

await main(async () => {
  const options = command.parse(Deno.args, { from: "user" }).opts<Options>();
  await useDevice(options.device);
  const { model, config, name, title } = await chooseModel(options);
  if (options.steps !== undefined && options.steps > config.steps) {
    throw new UserError(`--steps ${options.steps}: ${title} has ${config.steps} diffusion steps`);
  }
  if (name === undefined) console.error("Drawing with the shipped model (`deno task train` makes your own)");
  const files = name === undefined ? SHIPPED : runFiles(options.runs, name);
  const png = options.out ?? files.samples;
  const gif = options.out ? options.out.replace(/\.png$/i, "") + ".gif" : files.animation;
  const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  await drawSamples(model, config, {
    n: options.n,
    steps: options.steps,
    variance: options.variance,
    generator: new Generator(seed),
    png,
    gif,
  });
  console.log(`Wrote ${png} and ${gif} (${title}, seed ${seed})`);
});
