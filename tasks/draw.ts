/** Pictures that a trained DDPM draws. */
import { progressBar, writeFile } from "../core/mod.ts";
import {
  encodeGif,
  encodePng,
  type Generator,
  type HostArray,
  imageGrid,
  type Picture,
  respace,
  sample,
  type UNet,
  type Variance,
} from "../mod.ts";
import { makeSchedule } from "./models.ts";
import type { TrainConfig } from "./presets.ts";
import { allIsWritten, endOnStop } from "./stop.ts";

/** What {@link drawSamples} draws, and where it puts it. */
export interface Drawing {
  /** Images. */
  n: number;
  /** Sampling steps; default all of the schedule. */
  steps?: number;
  /** Default `fixed_small` for fewer steps than the config's, else the config's. */
  variance?: Variance;
  /** Draws the noise; default the shared generator. */
  generator?: Generator;
  /** Path of the grid. */
  png: string;
  /** Path of the animation; default none. */
  gif?: string;
  /** Said besides, where it is stopped. */
  advice?: string;
}

const FRAME_MS = 60, LAST_FRAME_MS = 2000;

/** Whether the animation shows a step: of 1000, from t = 200 down by 5, and each of the last ten; of 200, all. */
function isAnimated(t: number, nSteps: number): boolean {
  const scaled = t * 1000 / nSteps;
  return scaled < 10 || (scaled <= 200 && Math.round(scaled) % 5 === 0) || nSteps < 200;
}

/** Draws images with a bar, and writes them as a grid (dark on light, as the lesson shows them) and an animation. */
export async function drawSamples(model: UNet, config: TrainConfig, drawing: Drawing): Promise<void> {
  const { n, steps = config.steps, variance, generator, png, gif, advice } = drawing;
  let written = "";
  await endOnStop(() => `Stopped: ${written || "nothing"} was written${advice ? `. ${advice}` : ""}`);
  const bar = progressBar(`sampling ${n} images`, steps);
  const images = await sample(model, [n, config.size, config.size, 1], {
    schedule: respace(makeSchedule(config), steps, { variance }),
    generator,
    keep: (t) => t === 0 || (gif !== undefined && isAnimated(t, steps)),
    onStep: (t) => bar.update(steps - t),
  }).finally(() => bar.stop());
  const last = images.at(-1)!;
  const grid = (x: HostArray, scale: number): Picture => imageGrid(x, { scale, invert: true });
  await writeFile(png, encodePng(grid(last, 3)));
  written = png;
  if (gif === undefined) return allIsWritten();
  const delays = images.map((x) => x === last ? LAST_FRAME_MS : FRAME_MS);
  await writeFile(gif, await encodeGif(images.map((x) => grid(x, 2)), delays));
  allIsWritten();
}
