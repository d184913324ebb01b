/** `deno task sample`: draws images with a trained run. */
import { type DeviceChoice, Generator, useDevice } from "../mod.ts";
import { Command, main, number, UserError, withCommonOptions } from "./cli.ts";
import { chooseModel, drawSamples, runFiles } from "./runs.ts";

const command = withCommonOptions(
  new Command("deno task sample")
    .description("Draws images with a trained model: a PNG grid, and a GIF of the last steps of denoising"),
)
  .option(
    "--run <name>",
    "the run to draw with (default: the newest, or the shipped model where there is none)",
  )
  .option("--pretrained", "draw with the shipped model, whatever runs there are")
  .option("--n <count>", "images", number(1, 1024, true), 16)
  .option("--steps <count>", "sampling steps (default: all of the run's)", number(1, 100_000, true))
  .option(
    "--seed <n>",
    "fixes the images (default: new ones each time)",
    number(0, Number.MAX_SAFE_INTEGER, true),
  )
  .option(
    "--out <path>",
    "where the PNG goes; the GIF beside it (default: samples.png, in the run if there is one)",
  );

interface Options {
  run?: string;
  pretrained?: boolean;
  n: number;
  steps?: number;
  seed?: number;
  out?: string;
  device?: DeviceChoice;
  runs: string;
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
    ...{ n: options.n, steps: options.steps, png, gif },
    generator: new Generator(seed),
  });
  console.log(`Wrote ${png} and ${gif} (${title}, seed ${seed})`);
});
