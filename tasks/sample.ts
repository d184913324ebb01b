/** `deno task sample`: draws images with a trained run. */
import { Generator, type Variance } from "../mod.ts";
import {
  command as makeCommand,
  main,
  MAX_SEED,
  parse,
  path,
  runName,
  UsageError,
  varianceOption,
  whole,
} from "./cli.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { drawSamples } from "./draw.ts";
import { chooseModel, type ModelOptions } from "./models.ts";
import { requireFile } from "./paths.ts";
import { runFiles } from "./runs.ts";

const command = withCommonOptions(
  makeCommand(
    "sample",
    "Draws images with a trained model: a PNG grid, and a GIF of the last steps of denoising",
  ),
)
  .option(
    "--run <name>",
    "the run to draw with (default: the newest, or the shipped model where there is none)",
    runName,
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
    "where the PNG goes, a name that ends in .png; the GIF beside it (default: samples.png, in the run if there is one)",
    path,
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

/** Where the grid and the animation go, which can be written there. */
async function chooseFiles({ out, runs }: Options, name?: string): Promise<{ png: string; gif: string }> {
  if (out === undefined) {
    const { samples, animation } = name === undefined ? SHIPPED : runFiles(runs, name);
    return {
      png: await requireFile("The picture", samples),
      gif: await requireFile("The animation", animation),
    };
  }
  if (!/[^/\\]\.png$/i.test(out)) {
    throw new UsageError(
      `--out ${out}: the picture is a PNG, with a GIF beside it; give a name that ends in .png`,
    );
  }
  return {
    png: await requireFile("--out", out),
    gif: await requireFile("--out", out.replace(/\.png$/i, ".gif")),
  };
}

/** `deno task sample`. */
export async function sample(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["runs", "out"]);
  const { config, name, title, load } = await chooseModel(options);
  if (options.steps !== undefined && options.steps > config.steps) {
    throw new UsageError(`--steps ${options.steps}: ${title} has ${config.steps} diffusion steps`);
  }
  const { png, gif } = await chooseFiles(options, name);
  await startDevice(command);
  if (name === undefined) console.error("Drawing with the shipped model (`deno task train` makes your own)");
  const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  await drawSamples(await load(), config, {
    n: options.n,
    steps: options.steps,
    variance: options.variance,
    generator: new Generator(seed),
    png,
    gif,
  });
  console.log(`Wrote ${png} and ${gif} (${title}, seed ${seed})`);
}

if (import.meta.main) await main(sample);
