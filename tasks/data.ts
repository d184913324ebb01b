/** The data of the tasks, and how a DDPM gets its images. */
import { embeddedFashionMnist, type FashionMnist, fashionMnist, transforms } from "../mod.ts";
import { UsageError } from "./cli.ts";
import type { TrainConfig } from "./presets.ts";

/** Height and width of Fashion-MNIST's images. */
export const DATA_SIZE = 28;

/**
 * Fashion-MNIST from a directory, or from where it is found.
 * @throws UsageError if the directory does not have it.
 */
export async function loadData(dir: string | undefined): Promise<FashionMnist> {
  return await fashionMnist({ dir }).catch((error) => {
    throw dir === undefined ? error : new UsageError(`--data ${error.message}`);
  });
}

/** The data from a source that a run has named: a directory, else the embedded subset. */
export async function loadAgain(source: string): Promise<FashionMnist> {
  const isDirectory = await Deno.stat(source).then((s) => s.isDirectory, () => false);
  if (isDirectory) return await loadData(source);
  console.error("Data: the embedded subset of Fashion-MNIST");
  return await embeddedFashionMnist();
}

/** The SHA-256 of all arrays of the data. */
export async function hashOf({ train, test }: FashionMnist): Promise<string> {
  const hashes: Uint8Array[] = [];
  for (const { data } of [...train.arrays, ...test.arrays]) {
    hashes.push(new Uint8Array(await crypto.subtle.digest("SHA-256", data as BufferSource)));
  }
  const all = await new Blob(hashes as BlobPart[]).arrayBuffer();
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
}

/** From bytes to the images of [0, 1] that a DDPM is trained on and measured with. */
export function prepareImages({ size, fit }: TrainConfig): transforms.ImageTransform {
  return transforms.compose(
    transforms.toFloat(),
    fit === "resize" ? transforms.resizeBilinear(size) : transforms.padZeros((size - DATA_SIZE) / 2),
  );
}
