/** What `deno task score` computes: features of real images, and scores of drawn ones. */
import { cacheDirectory, progressBar, sha256, sweepTemporaryFiles, writeFile } from "../core/mod.ts";
import {
  DataLoader,
  type Dataset,
  diffusion,
  Generator,
  type HostArray,
  scores,
  take,
  tf,
  transforms,
} from "../mod.ts";
import { type Drawable, levelsOf, type SamplerName, SAMPLERS } from "./draw_diffusion.ts";
import type { ScoreFacts, ScoreRow } from "./score_report.ts";

const BATCH = 250;

/** How images become those of [0, 1] that a network draws like, where they are not the data's own. */
export interface Making {
  /** Gives them of bytes, of the data's size. */
  transform: transforms.ImageTransform;
  /** What it does, as one word of others'. */
  name: string;
}

/** Images of a data set as the network of features takes them. */
const imagesOf = (
  dataset: Dataset,
  { transform }: Pick<Making, "transform"> = { transform: transforms.toFloat() },
) => new DataLoader(dataset, { batchSize: BATCH, transform });

/**
 * The features of training images, which are kept where downloads are.
 * @param data the SHA-256 of the images' arrays
 */
export async function referenceOf(
  model: scores.FeatureModel,
  train: Dataset,
  data: string,
  making?: Making,
): Promise<scores.Reference> {
  const n = train.length, cache = await cacheDirectory("fashion-mnist");
  const of = [model.hash, data, n, ...(making ? [making.name] : [])].join(" ");
  const key = (await sha256(new TextEncoder().encode(of))).slice(0, 16);
  const file = cache && `${cache}/features-${key}.safetensors`;
  const kept = file && await Deno.readFile(file).catch(() => undefined);
  const found = kept && scores.decodeReference(kept, of);
  if (found) return found;
  const bar = progressBar(`features of ${n} training images`, n);
  const reference = await scores.makeReference(model, imagesOf(train, making), {
    onBatch: (done) => bar.update(done),
  }).finally(() => bar.stop());
  if (!file) return reference;
  try {
    await Deno.mkdir(cache, { recursive: true });
    await sweepTemporaryFiles(`${cache}/`);
    await writeFile(file, scores.encodeReference(reference, of));
  } catch (error) {
    console.error(`The features of the training images are not kept: ${(error as Error).message}`);
  }
  return reference;
}

/** Scores of as many test images, or of all where there are fewer. */
export async function floorOf(
  model: scores.FeatureModel,
  reference: scores.Reference,
  test: Dataset,
  n: number,
  making?: Making,
): Promise<scores.Scores> {
  const images = take(test, n), sums = new scores.ImageEval(model, reference).begin(images.length);
  const bar = progressBar(`features of ${images.length} test images`, images.length);
  let done = 0;
  try {
    for await (const [x, y] of imagesOf(images, making)) {
      await sums.add(x, y.data);
      bar.update(done += x.shape[0]);
    }
  } finally {
    bar.stop();
  }
  return await sums.scores();
}

/** How images are drawn. */
export interface Drawing {
  sampler: SamplerName;
  steps: number;
  guidance: number;
  guidanceInterval?: [low: number, high: number];
}

/** Draws images of classes. */
export async function draw(
  drawable: Drawable,
  labels: readonly number[],
  { sampler, steps, guidance, guidanceInterval: interval }: Drawing,
  generator: Generator,
  onStep?: () => void,
): Promise<HostArray> {
  const { classes, size, channels, range, process } = drawable, told = tf.tensor1d([...labels], "int32");
  try {
    const denoise = classes.length
      ? diffusion.guided(drawable.denoise, told, { scale: guidance, none: classes.length, interval })
      : drawable.denoise;
    return await diffusion.sample(denoise, [labels.length, size, size, channels], {
      levels: levelsOf(drawable, sampler, steps),
      sampler: SAMPLERS[sampler](process),
      generator,
      clip: range,
      onStep,
    });
  } finally {
    told.dispose();
  }
}

/** Images that are timed. */
const TIMED = 64;

/** The evaluations of the network for an image, and the seconds for 64. */
export async function measure(
  drawable: Drawable,
  drawing: Drawing,
  onStep: () => void,
): Promise<Pick<ScoreRow, "evaluations" | "secondsFor64">> {
  let images = 0;
  const denoise: diffusion.ClassDenoise = (x, at, classes) => {
    images += x.shape[0];
    return drawable.denoise(x, at, classes);
  };
  const labels = classesOf(drawable, 0, TIMED), start = performance.now();
  await draw({ ...drawable, denoise }, labels, drawing, new Generator(0), onStep);
  return { evaluations: images / TIMED, secondsFor64: (performance.now() - start) / 1000 };
}

/** Images of a class among so many in a row that has it as often as the others. */
const OF_A_CLASS = 100;

/**
 * The classes of images in a row, each as often as the others, in a drawn order: where parts of the row had each equally
 * often, two images of a part would be less alike than two of the data, and KID of parts too low.
 */
export function classesOf({ classes }: Pick<Drawable, "classes">, from: number, n: number): number[] {
  if (!classes.length) return new Array<number>(n).fill(0);
  const block = OF_A_CLASS * classes.length, orders = new Map<number, Int32Array>();
  return Array.from({ length: n }, (_, i) => {
    const at = from + i, which = Math.floor(at / block);
    if (!orders.has(which)) orders.set(which, new Generator(which).permutation(block));
    return orders.get(which)![at % block] % classes.length;
  });
}

/** Draws and scores one sampler with one seed. */
export async function score(
  evaluation: scores.ImageEval,
  drawable: Drawable,
  drawing: Drawing,
  { n, batch }: ScoreFacts,
  seed: number,
  onStep: (images: number) => void,
): Promise<scores.Scores> {
  const generator = new Generator(seed), sums = evaluation.begin(n);
  for (let from = 0; from < n; from += batch) {
    const size = Math.min(batch, n - from), labels = classesOf(drawable, from, size);
    const images = await draw(drawable, labels, drawing, generator, () => onStep(size));
    await sums.add(images, drawable.classes.length ? labels : undefined);
  }
  return await sums.scores();
}

/** What drawing takes of time: n images by this many evaluations, a second-order step being two. */
export function costOf({ sampler, steps }: Drawing, n: number): number {
  return n * steps * (sampler === "heun" || sampler === "midpoint" ? 2 : 1);
}
