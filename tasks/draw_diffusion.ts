/** Pictures by the samplers of `diffusion`: of classes, guided, from an image, in a part of one, or between noises. */
import { type ProgressBar, progressBar, writeFile } from "../core/mod.ts";
import {
  defaultGenerator,
  diffusion,
  encodeGif,
  encodePng,
  type Generator,
  HostArray,
  imageGrid,
  type Picture,
  type Tensor,
  tf,
  type UNet,
} from "../mod.ts";
import { DATA_SIZE, type ImageFacts } from "./data.ts";
import { makeSchedule } from "./models.ts";
import type { TrainConfig } from "./presets.ts";
import { allIsWritten, endOnStop } from "./stop.ts";

/** The samplers that `--sampler` knows. */
export const SAMPLERS = {
  "dpm-solver": () => diffusion.dpmSolver(),
  "dpm-solver-sde": () => diffusion.dpmSolverSde(),
  unipc: () => diffusion.uniPc(),
  heun: () => diffusion.heun(),
  euler: () => diffusion.euler(),
  "euler-ancestral": () => diffusion.eulerAncestral(),
  ddim: () => diffusion.ddim(),
  ddpm: () => diffusion.ddpm(),
  lms: () => diffusion.lms(),
  pndm: () => diffusion.pndm(),
  midpoint: (process: diffusion.Process) => diffusion.midpoint(process),
  consistency: () => diffusion.consistency(),
} as const;
/** A name of {@link SAMPLERS}. */
export type SamplerName = keyof typeof SAMPLERS;

/** A network to draw with, and what the samplers need to know of it. */
export interface Drawable {
  denoise: diffusion.ClassDenoise;
  process: diffusion.Process;
  /** Names of the classes, none where the network is not told them. */
  classes: readonly string[];
  /** Height and width of its images, their channels, and whether dark and light change places in pictures of them. */
  size: number;
  channels: ImageFacts["channels"];
  inverted: boolean;
  /** The values of black and white. */
  range: readonly [low: number, high: number];
  spacing: diffusion.Spacing;
  /** What is taken where the command line does not say. */
  sampler: SamplerName;
  steps: number;
}

const { steps: STEPS, fewSteps: FEW_STEPS, ...SIGMAS } = diffusion.EDM_DRAWING;

/** A network of EDM to draw with; of consistency tuning where it takes few steps. */
export function drawableEdm(
  { denoise, classes, model }: Pick<diffusion.EDMModel, "denoise" | "classes" | "model">,
  { few = false, inverted = true }: { few?: boolean; inverted?: boolean } = {},
): Drawable {
  const { sample_size, in_channels } = model.config;
  return {
    denoise,
    process: diffusion.ve(SIGMAS),
    classes,
    size: typeof sample_size === "number" ? sample_size : DATA_SIZE,
    channels: in_channels === 3 ? 3 : 1,
    inverted,
    range: [-1, 1],
    spacing: "karras",
    sampler: few ? "consistency" : "dpm-solver",
    steps: few ? FEW_STEPS : STEPS,
  };
}

/** The levels that a sampler draws through in so many steps. */
export function levelsOf(drawable: Drawable, sampler: SamplerName, steps: number): diffusion.NoiseLevel[] {
  return sampler === "consistency"
    ? diffusion.consistencyLevels(steps, SIGMAS.sigmaMax)
    : diffusion.levels(drawable.process, steps, { spacing: drawable.spacing });
}

/** A DDPM to draw with by another sampler than its own. */
export function drawableDdpm(model: UNet, config: TrainConfig): Drawable {
  return {
    denoise: diffusion.denoiser(model),
    process: diffusion.vp(makeSchedule(config)),
    classes: [],
    size: config.size,
    channels: 1,
    inverted: true,
    range: [0, 1],
    spacing: "trailing",
    sampler: "dpm-solver",
    steps: Math.min(2 * STEPS, config.steps),
  };
}

/** What {@link drawDiffusion} draws, and where it puts it. */
export interface DiffusionDrawing {
  /** Images. */
  n: number;
  sampler?: SamplerName;
  steps?: number;
  /** The number of the class to draw; default all of them, a row each. */
  class?: number;
  /** How far to go towards the class; default 1, the class as it is. */
  guidance?: number;
  /** σ between which there is guidance; default everywhere. */
  guidanceInterval?: readonly [low: number, high: number];
  /** The image [1,H,W,C] to begin with, and the share of the steps that change it. */
  image?: HostArray;
  strength?: number;
  /** 1 where the image is kept, 0 where it is drawn anew, [1,H,W,1]. */
  mask?: HostArray;
  /** Whether each row goes from one noise to another. */
  interpolate?: boolean;
  /** Draws the noise; default the shared generator. */
  generator?: Generator;
  /** Path of the grid. */
  png: string;
  /** Path of the animation; default none. */
  gif?: string;
  /** Said besides, where it is stopped. */
  advice?: string;
}

const FRAME_MS = 120, LAST_FRAME_MS = 2000;

/** The class of each image, row by row, and how many there are in a row. */
export function layOut(n: number, classes: number): { labels: number[]; columns: number } {
  const columns = Math.ceil(n / classes), full = n - classes * (columns - 1);
  const inRow = (row: number) => row < full ? columns : columns - 1;
  const labels = Array.from({ length: classes }, (_, row) => new Array<number>(inRow(row)).fill(row)).flat();
  return { labels, columns };
}

/** Noise whose rows go from one draw to another. */
function between(size: [number, number, number, number], columns: number, generator: Generator): Tensor {
  return tf.tidy(() => {
    const rows = Math.ceil(size[0] / columns), ends = generator.normal([2 * rows, ...size.slice(1)]);
    const parts = Array.from({ length: size[0] }, (_, i) => {
      const row = Math.floor(i / columns), end = (k: number) => tf.slice(ends, [2 * row + k], [1]);
      return diffusion.slerp(end(0), end(1), columns > 1 ? i % columns / (columns - 1) : 0);
    });
    return tf.concat(parts);
  });
}

/** Images, what a sampler expected of them at each step before, and how a grid shows them. */
interface Drawn {
  images: HostArray;
  frames: HostArray[];
  grid(x: HostArray, scale: number): Picture;
}

/** Draws images. */
async function drawImages(
  drawable: Drawable,
  drawing: Omit<DiffusionDrawing, "png" | "advice">,
  makeBar: typeof progressBar,
): Promise<Drawn> {
  const { classes, size, channels, inverted, process, range } = drawable;
  const { n, generator = defaultGenerator, gif } = drawing;
  const { sampler = drawable.sampler, steps = drawable.steps, guidance = 1, guidanceInterval } = drawing;
  const all = classes.length > 0 && drawing.class === undefined;
  const rows = all ? layOut(n, classes.length) : undefined;
  const columns = rows?.columns ?? Math.ceil(Math.sqrt(n));
  const shape: [number, number, number, number] = [n, size, size, channels], owned: Tensor[] = [];
  const own = <T extends Tensor>(x: T): T => (owned.push(x), x);
  const repeat = (image: HostArray) => {
    const one = own(image.toTensor());
    return own(tf.tile(one, [n, 1, 1, 1]));
  };
  const frames: HostArray[] = [];
  let images: HostArray, bar: ProgressBar | undefined;
  try {
    let denoise: diffusion.Denoise = drawable.denoise;
    if (classes.length) {
      const labels = own(tf.tensor1d(rows?.labels ?? new Array(n).fill(drawing.class), "int32"));
      const options = { scale: guidance, none: classes.length, interval: guidanceInterval };
      denoise = diffusion.guided(drawable.denoise, labels, options);
    }
    let levels = levelsOf(drawable, sampler, steps);
    let xT: Tensor | undefined;
    if (drawing.image && drawing.mask) {
      const mask = repeat(drawing.mask);
      denoise = diffusion.inpainting(denoise, {
        images: repeat(drawing.image),
        mask,
        generator: generator.fork(),
      });
    } else if (drawing.image) {
      const start = diffusion.fromImages(repeat(drawing.image), {
        levels,
        strength: drawing.strength ?? 0.6,
        generator,
      });
      [xT, levels] = [own(start.xT), start.levels];
    } else if (drawing.interpolate) {
      const noise = own(between(shape, columns, generator));
      xT = own(tf.mul(noise, levels[0].σ));
    }
    const taken = levels.length - 1; // fewer than asked for where an image is begun with
    bar = makeBar(`sampling ${n} images`, taken);
    images = await diffusion.sample(denoise, shape, {
      levels,
      sampler: SAMPLERS[sampler](process),
      generator,
      clip: range,
      xT,
      onStep: async ({ i, x̂0 }) => {
        bar!.update(i + 1);
        if (gif !== undefined && i < taken - 1) frames.push(await HostArray.from(x̂0));
      },
    });
  } finally {
    bar?.stop();
    tf.dispose(owned);
  }
  const grid = (x: HostArray, scale: number) =>
    imageGrid(filled(x, columns, rows?.labels, range[inverted ? 0 : 1]), {
      columns,
      scale,
      range: [...range],
      invert: inverted,
    });
  return { images, frames, grid };
}

/** Draws images without a word, as the bytes of a PNG of their grid. */
export async function drawGrid(
  drawable: Drawable,
  drawing: Pick<DiffusionDrawing, "n" | "generator">,
): Promise<Uint8Array> {
  const { images, grid } = await drawImages(drawable, drawing, () => ({ update() {}, stop() {} }));
  return encodePng(grid(images, 3));
}

/** Draws images with a bar, and writes them as a grid and an animation of what each step expects. */
export async function drawDiffusion(drawable: Drawable, drawing: DiffusionDrawing): Promise<void> {
  const { png, gif, advice } = drawing;
  let written = "";
  await endOnStop(() => `Stopped: ${written || "nothing"} was written${advice ? `. ${advice}` : ""}`);
  const { images, frames, grid } = await drawImages(drawable, drawing, progressBar);
  await writeFile(png, encodePng(grid(images, 3)));
  written = png;
  if (gif === undefined) return allIsWritten();
  frames.push(images);
  const delays = frames.map((x) => x === images ? LAST_FRAME_MS : FRAME_MS);
  await writeFile(gif, await encodeGif(frames.map((x) => grid(x, 2)), delays));
  allIsWritten();
}

/** Images with empty ones at the ends of rows that are not full, so that each class has its row. */
function filled(x: HostArray, columns: number, labels: number[] | undefined, empty: number): HostArray {
  if (!labels) return x;
  const [, h, w, c] = x.shape, pixels = h * w * c, rows = labels.at(-1)! + 1;
  const out = new Float32Array(rows * columns * pixels).fill(empty), next = new Array<number>(rows).fill(0);
  labels.forEach((row, i) => {
    out.set(x.data.subarray(i * pixels, (i + 1) * pixels), (row * columns + next[row]++) * pixels);
  });
  return new HostArray(out, [rows * columns, h, w, c]);
}
