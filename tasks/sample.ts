/** `deno task sample`: draws images with a trained run. */
import { Generator, HostArray, type Variance } from "../mod.ts";
import { inProject } from "./caller.ts";
import {
  command as makeCommand,
  main,
  MAX_SEED,
  number,
  Option,
  parse,
  path,
  range,
  runName,
  UsageError,
  varianceOption,
  whole,
} from "./cli.ts";
import { type CommonOptions, startDevice, withCommonOptions } from "./device.ts";
import { imagesOf } from "./data.ts";
import { drawSamples } from "./draw.ts";
import {
  type Drawable,
  drawableDdpm,
  drawableEdm,
  drawDiffusion,
  type SamplerName,
  SAMPLERS,
} from "./draw_diffusion.ts";
import {
  chooseModel,
  type ChosenDdpm,
  type ChosenEdm,
  type ModelOptions,
  pretrainedOption,
} from "./models.ts";
import { requireFile } from "./paths.ts";
import { type PictureForm, readPicture } from "./pictures.ts";
import { isEdm } from "./presets.ts";
import { runFiles } from "./runs.ts";

const command = withCommonOptions(
  makeCommand(
    "sample",
    "Draws images with a trained model: a PNG grid, and a GIF of the last steps of denoising",
  ),
)
  .option(
    "--run <name>",
    "the run to draw with (default: the newest, or a model that ships where there is none)",
    runName,
  )
  .option(
    "--average <length>",
    "draw with an average of the weights of this length (edm, ect)",
    number(0.001, 0.288),
  )
  .addOption(pretrainedOption("draw with"))
  .option("--n <count>", "images (default: 16 of a DDPM, 64 of classes)", whole(1, 1024))
  .option(
    "--steps <count>",
    "sampling steps (default: all of a DDPM's, 18 of classes, 2 of few-step networks)",
    whole(1, 100_000),
  )
  .option(
    "--seed <n>",
    "fixes the images (default: new ones each time)",
    whole(0, MAX_SEED),
  )
  .addOption(varianceOption("fixed_small for fewer steps than the run's, else the run's"))
  .addOption(
    new Option("--sampler <name>", "the sampler (default: the network's own)").choices(Object.keys(SAMPLERS)),
  )
  .option("--class <name>", "what to draw, by name or number (default: all, a row each)")
  .option("--guidance <x>", "how far to go towards the class: 1 as it is, 2 more of it", number(0, 20))
  .option(
    "--guidance-interval <low,high>",
    "noise σ between which there is guidance (default: everywhere)",
    range,
  )
  .option("--image <file>", "begin with this PNG of the images' size (clothes: dark on light)", path)
  .option("--strength <x>", "share of the steps that change it (default: 0.6)", number(0.01, 1))
  .option("--inpaint <file>", "keep --image but where this PNG is white, of the same size", path)
  .option("--interpolate", "let each row go from one noise to another")
  .option(
    "--out <path>",
    "where the PNG goes, a name that ends in .png; the GIF beside it (default: samples.png, in the run if there is one)",
    path,
  );

interface Options extends CommonOptions, ModelOptions {
  n?: number;
  steps?: number;
  sampler?: SamplerName;
  class?: string;
  guidance?: number;
  guidanceInterval?: [low: number, high: number];
  image?: string;
  strength?: number;
  inpaint?: string;
  interpolate?: boolean;
  variance?: Variance;
  seed?: number;
  out?: string;
}

/** Images where the command line does not say how many: of a network without classes, and of all classes. */
const N = 16, N_OF_CLASSES = 64;

/** Where pictures of a shipped model go. */
const SHIPPED = { samples: "samples.png", animation: "samples.gif" };

/** Where the grid and the animation go, which can be written there. */
async function chooseFiles({ out, runs }: Options, name?: string): Promise<{ png: string; gif: string }> {
  if (out === undefined) {
    const { samples, animation } = name === undefined ? SHIPPED : runFiles(runs, name);
    return {
      png: await requireFile("The picture", inProject(samples)),
      gif: await requireFile("The animation", inProject(animation)),
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

/** Options of the samplers of `diffusion`; a DDPM is drawn with by its own unless one is given. */
const OF_DIFFUSION = [
  "sampler",
  "class",
  "guidance",
  "guidanceInterval",
  "image",
  "strength",
  "inpaint",
  "interpolate",
] as const;

/** @throws UsageError for options that do not go together, or with the network. */
function requireTogether(options: Options, chosen: ChosenDdpm | ChosenEdm): void {
  const wrong = (text: string) => {
    throw new UsageError(text);
  };
  const { config, title } = chosen, knowsClasses = isEdm(config) && imagesOf(config).classes.length > 0;
  if (!knowsClasses) {
    for (const name of ["class", "guidance", "guidanceInterval"] as const) {
      if (options[name] === undefined) continue;
      wrong(
        `${
          optionOf(name)
        }: ${title} knows of no classes (the model that ships does, --pretrained, or a run of \`deno task train --preset edm\`)`,
      );
    }
  }
  if (chosen.kind === "ddpm") {
    if (options.steps !== undefined && options.steps > chosen.config.steps) {
      wrong(`--steps ${options.steps}: ${title} has ${chosen.config.steps} diffusion steps`);
    }
  }
  const own = chosen.kind === "ddpm" && OF_DIFFUSION.every((name) => options[name] === undefined);
  if (options.variance !== undefined && !own) {
    wrong(`--variance ${options.variance}: only a DDPM's own sampler has one; leave out the other options`);
  }
  if (options.guidanceInterval && options.guidance === undefined) {
    wrong("--guidance-interval says where there is --guidance: give both");
  }
  if (options.inpaint !== undefined && options.image === undefined) {
    wrong(`--inpaint ${options.inpaint}: give the picture of which the rest is kept as --image`);
  }
  if (options.strength !== undefined && (options.image === undefined || options.inpaint !== undefined)) {
    wrong(`--strength ${options.strength}: it is of --image without --inpaint`);
  }
  if (options.interpolate && options.image !== undefined) {
    wrong("--interpolate begins with noise: leave out --image");
  }
  if (options.sampler === "consistency" && !(isEdm(config) && config.method === "ect")) {
    wrong(`--sampler consistency: ${title} is of no consistency tuning (\`deno task train --preset ect\`)`);
  }
}

const optionOf = (name: string) => command.options.find((option) => option.attributeName() === name)!.long!;

/** The number of a class by its name, or a part of it that is no other's, or its number. */
function classOf(text: string, classes: readonly string[]): number {
  if (/^\d+$/.test(text) && Number(text) < classes.length) return Number(text);
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  const equal = classes.findIndex((name) => plain(name) === plain(text));
  if (equal >= 0) return equal;
  const parts = classes.keys().filter((i) => plain(text) !== "" && plain(classes[i]).includes(plain(text)))
    .toArray();
  if (parts.length === 1) return parts[0];
  throw new UsageError(
    `--class ${text}: there are ${classes.map((name, i) => `${i} ${name}`).join(", ")}`,
  );
}

/** The pictures that the options name, and what is kept of the first: 1 where the other is black, 0 where it is white. */
interface Pictures {
  image?: HostArray;
  inpaint?: HostArray;
}

async function readPictures(
  { image, inpaint }: Options,
  { size, channels, inverted }: PictureForm,
): Promise<Pictures> {
  const read = (option: string, path: string | undefined, form: PictureForm) =>
    path === undefined ? undefined : readPicture(option, path, form);
  return {
    image: await read("--image", image, { size, channels, inverted }),
    inpaint: await read("--inpaint", inpaint, { size, channels: 1, inverted: true }),
  };
}

/** Draws as the options say. */
async function drawWith(
  drawable: Drawable,
  options: Options,
  { image, inpaint }: Pictures,
  more: { png: string; gif: string; generator: Generator },
): Promise<void> {
  const { classes, range: [low, high] } = drawable;
  const inRange = ({ data, shape }: HostArray) =>
    new HostArray(Float32Array.from(data, (v) => low + v * (high - low)), shape);
  await drawDiffusion(drawable, {
    n: options.n ?? (classes.length ? N_OF_CLASSES : N),
    sampler: options.sampler,
    steps: options.steps,
    class: options.class === undefined ? undefined : classOf(options.class, classes),
    guidance: options.guidance,
    guidanceInterval: options.guidanceInterval,
    image: image && inRange(image),
    mask: inpaint,
    strength: options.strength,
    interpolate: options.interpolate,
    ...more,
  });
}

/** `deno task sample`. */
export async function sample(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["runs", "out", "image", "inpaint"]);
  const chosen = await chooseModel(options), { name, title } = chosen;
  requireTogether(options, chosen);
  const images: PictureForm = chosen.kind === "edm"
    ? imagesOf(chosen.config)
    : { size: chosen.config.size, channels: 1, inverted: true };
  if (options.class !== undefined && chosen.kind === "edm") {
    classOf(options.class, imagesOf(chosen.config).classes);
  }
  const files = await chooseFiles(options, name);
  const pictures = await readPictures(options, images);
  await startDevice(command);
  if (name === undefined) console.error(`Drawing with ${title} (\`deno task train\` makes your own)`);
  const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  const more = { ...files, generator: new Generator(seed) };
  if (chosen.kind === "edm") {
    const few = chosen.config.method === "ect";
    const drawable = drawableEdm(await chosen.load(), { few, inverted: images.inverted });
    await drawWith(drawable, options, pictures, more);
  } else if (OF_DIFFUSION.some((option) => options[option] !== undefined)) {
    await drawWith(drawableDdpm(await chosen.load(), chosen.config), options, pictures, more);
  } else {
    const { n = N, steps, variance } = options;
    await drawSamples(await chosen.load(), chosen.config, { n, steps, variance, ...more });
  }
  console.log(`Wrote ${files.png} and ${files.gif} (${title}, seed ${seed})`);
}

if (import.meta.main) await main(sample);
