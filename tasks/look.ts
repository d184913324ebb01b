/** `deno task look`: pictures as a network would see them, before hours are spent on them. */
import { writeFile } from "../core/mod.ts";
import { Generator, HostArray, showImages } from "../mod.ts";
import { inProject } from "./caller.ts";
import { command as makeCommand, main, MAX_SEED, parse, path, UsageError, whole } from "./cli.ts";
import { loadersOf, openPictures, placeOf, presetOf, withPictureOptions } from "./images.ts";
import { requireFile } from "./paths.ts";
import { EDM_PRESETS, type EdmConfig, type PictureConfig } from "./presets.ts";
import { overlay } from "./training.ts";

const command = withPictureOptions(
  makeCommand(
    "look",
    "Shows pictures as they would be trained on: a batch of them, and one that is noised more and more; counts their sizes and classes",
  ),
)
  .argument(
    "<where>",
    "a folder, an archive, a table, an https: address, hf://datasets/OWNER/NAME, or drawn:emoji (docs/pictures.md)",
    path,
  )
  .option("--size <n>", "height and width of the images (default: 32)", whole(8, 512))
  .option("--limit <n>", "training images at most; 0 for all", whole(0, 1e9))
  .option("--seed <n>", "fixes which pictures are seen, as it does for a run", whole(0, MAX_SEED))
  .option("--out <file>", "where the picture goes (default: look.svg)", path);

/** Where the picture goes by default. */
export const LOOK = "look.svg";

/** Pictures in a row, and rows of a batch. */
const COLUMNS = 8, ROWS = 3;
/** How many standard deviations the noise of the row's last picture is above the mean of training. */
const MOST = 2.5;

/** Levels of noise from 0 on: the others from the small to the large ones of training, evenly in ln σ. */
function sigmasOf({ meanLogSigma, stdLogSigma }: EdmConfig): number[] {
  const steps = COLUMNS - 2;
  const at = (i: number) => meanLogSigma + stdLogSigma * MOST * (2 * i / steps - 1);
  return [0, ...Array.from({ length: COLUMNS - 1 }, (_, i) => Math.exp(at(i)))];
}

/** An image with noise of each of these levels. */
function noised({ data, shape }: HostArray, sigmas: number[], seed: number): HostArray {
  const [, h, w, c] = shape, pixels = h * w * c, noise = new Generator(seed).normalArray(pixels);
  const out = new Float32Array(sigmas.length * pixels);
  sigmas.forEach((σ, k) => {
    for (let i = 0; i < pixels; i++) out[k * pixels + i] = data[i] + σ * noise[i];
  });
  return new HostArray(out, [sigmas.length, h, w, c]);
}

/** Images of the same size behind one another, with white ones up to whole rows. */
function inRows(...parts: HostArray[]): HostArray {
  const [, h, w, c] = parts[0].shape, pixels = h * w * c;
  const counts = parts.map(({ shape }) => COLUMNS * Math.ceil(shape[0] / COLUMNS));
  const n = counts.reduce((a, b) => a + b), out = new Float32Array(n * pixels).fill(1);
  let at = 0;
  parts.forEach(({ data }, i) => {
    out.set(data, at * pixels);
    at += counts[i];
  });
  return new HostArray(out, [n, h, w, c]);
}

/** Letters that stand above a picture. */
const TITLE = 15;
const shortened = (name: string) => name.length > TITLE ? `${name.slice(0, TITLE - 1)}…` : name;

/** Sizes or classes that are counted by name. */
const LISTED = 12;

/** What is counted, the most frequent first. */
function tellCounts(what: string, counts: [name: string, count: number][]): void {
  const sorted = counts.toSorted(([, a], [, b]) => b - a), rest = sorted.slice(LISTED);
  const more = rest.length ? `, and ${rest.length} more` : "";
  console.log(`${what}: ${sorted.slice(0, LISTED).map(([name, n]) => `${name} (${n})`).join(", ")}${more}`);
}

/**
 * Writes a batch of a config's pictures as its run would see it first, and one of them that is noised more and more; says
 * how many pictures have which size and class.
 * @throws UsageError for pictures that cannot be opened, or a file that cannot be written.
 */
export async function look(config: EdmConfig & PictureConfig, out: string): Promise<void> {
  if (!/[^/\\]\.svg$/i.test(out)) {
    throw new UsageError(`--out ${out}: the picture is an SVG; give a name that ends in .svg`);
  }
  const file = await requireFile("--out", out), pictures = await openPictures(config);
  try {
    const { sets: [set], classes } = pictures, { seed } = config;
    tellCounts("Sizes", set.sizes.map(({ width, height, count }) => [`${width}×${height}`, count]));
    if (set.labels) {
      const counts = new Array<number>(classes.length).fill(0);
      for (const label of set.labels) counts[label]++;
      tellCounts("Classes", classes.map((name, label) => [name, counts[label]]));
    } else {
      console.log("Classes: the network is told none");
    }
    for await (const [images, labels] of loadersOf(pictures, config).train) {
      const n = Math.min(images.shape[0], COLUMNS * ROWS), [, ...shape] = images.shape;
      const shown = new HostArray(images.data.subarray(0, n * images.data.length / images.shape[0]), [
        n,
        ...shape,
      ]);
      const sigmas = sigmasOf(config), all = inRows(shown, noised(shown, sigmas, seed));
      const titles = [
        ...Array.from(
          { length: all.shape[0] - COLUMNS },
          (_, i) => i < n && labels ? shortened(classes[labels.data[i]]) : "",
        ),
        ...sigmas.map((σ) => `σ ${Number(σ.toPrecision(2))}`),
      ];
      await writeFile(
        file,
        new TextEncoder().encode(showImages(all, { columns: COLUMNS, titles, range: [-1, 1] })),
      );
      break;
    }
    console.log(
      `Wrote ${file}: ${config.batch} pictures a batch, as --preset ${config.preset} begins with them`,
    );
  } finally {
    pictures.close();
  }
}

interface Options {
  size?: number;
  out?: string;
}

/** `deno task look`. */
export async function lookTask(args: string[]): Promise<void> {
  const options = parse<Options>(command, args, ["out"]), [where] = command.args;
  const images = placeOf(where), preset = presetOf({ images, size: options.size });
  const config = { ...overlay(command, EDM_PRESETS[preset] as EdmConfig & PictureConfig), images };
  await look(config, options.out ?? inProject(LOOK));
}

if (import.meta.main) await main(lookTask);
