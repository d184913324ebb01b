/** Loading of data: passes over a folder of JPEG files, in batches. */
import { writeFile } from "../core/mod.ts";
import {
  DataLoader,
  encodePng,
  Generator,
  HostArray,
  type ImageDataset,
  imageFolder,
  transforms,
} from "../mod.ts";
import type { Case, Prepared } from "./cases.ts";

/** The files' size, the images', and how many are in a batch. */
const WIDTH = 500, HEIGHT = 375, SIDE = 64, BATCH = 16;

const folder = (cache: "none" | "memory"): Case => ({
  kind: "data",
  n: 128,
  side: SIDE,
  batch: BATCH,
  cache,
});

/** Passes over a folder: each file decoded in each pass, and decoded before the first as it is by default. */
export const DATA: Case[] = [folder("none"), folder("memory")];

/** One of them in a few words. */
export function dataTitle({ n, side, cache }: Case): string {
  return `data: JPEG folder, ${n} to ${side}×${side}, ${cache === "none" ? "decoded anew" : "kept"}`;
}

/** A photograph, nearly: smooth colours with some grain. */
function photograph(generator: Generator): Uint8Array {
  const coarse = new HostArray(generator.uniformArray(16 * 16 * 3), [1, 16, 16, 3]);
  const smooth = transforms.resizeBilinear(WIDTH)(coarse).data,
    grain = generator.normalArray(WIDTH * HEIGHT * 3);
  const data = Uint8Array.from(grain, (z, i) => Math.max(0, Math.min(255, 255 * smooth[i] + 6 * z)));
  return encodePng({ width: WIDTH, height: HEIGHT, channels: 3, data });
}

/** Writes the files of a case, as a class of them, which PyTorch's ImageFolder must have. */
export async function writeFolder({ n }: Case, dir: string): Promise<void> {
  const generator = new Generator(1);
  await Deno.mkdir(`${dir}/photographs`, { recursive: true });
  for (let i = 0; i < Number(n); i++) {
    const bitmap = await createImageBitmap(new Blob([photograph(generator) as BlobPart]));
    const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
    canvas.getContext("bitmaprenderer")!.transferFromImageBitmap(bitmap);
    const file = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
    await writeFile(`${dir}/photographs/${i}.jpg`, new Uint8Array(await file.arrayBuffer()));
  }
}

/**
 * How we run a case: a pass over the folder.
 * @param counts numbers of threads that are measured
 * @param threads tells which of them is
 */
export async function prepareData(
  { cache, batch }: Case,
  dir: string,
  counts: number[],
  threads: () => number,
): Promise<Prepared> {
  const sets = new Map<number, ImageDataset>();
  for (const workers of counts) {
    const options = { size: SIDE, workers, cache: cache as "none" | "memory", log: () => {} };
    sets.set(workers, await imageFolder(dir, options));
  }
  const options = { batchSize: Number(batch), shuffle: true, transform: transforms.toFloat(-1, 1) };
  return {
    async run() {
      for await (const _ of new DataLoader(sets.get(threads())!, options));
    },
    free: () => sets.forEach((set) => set.close()),
  };
}
