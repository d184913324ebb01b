/** The data of the tasks, and how a DDPM gets its images. */
import {
  embeddedFashionMnist,
  FASHION_MNIST_CLASSES,
  type FashionMnist,
  fashionMnist,
  HostArray,
  transforms,
} from "../mod.ts";
import { UsageError } from "./cli.ts";
import { type EdmConfig, isOfPictures, type TrainConfig } from "./presets.ts";

/** Height and width of Fashion-MNIST's images. */
export const DATA_SIZE = 28;

/** What the images of a run of EDM's training are. */
export interface ImageFacts {
  /** Height and width. */
  size: number;
  /** 1 grey, 3 RGB. */
  channels: 1 | 3;
  /** Names of the classes that the network is told; none where it is told none. */
  classes: readonly string[];
  /** Whether dark and light change places in pictures of them, as Fashion-MNIST's clothes are shown. */
  inverted: boolean;
}

/** What the images of a config are: Fashion-MNIST's where it names no others. */
export function imagesOf(config: EdmConfig): ImageFacts {
  if (!isOfPictures(config)) {
    return { size: DATA_SIZE, channels: 1, classes: FASHION_MNIST_CLASSES, inverted: true };
  }
  const { size, grey, classNames = [] } = config;
  return { size, channels: grey ? 1 : 3, classes: classNames, inverted: false };
}

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

/** From a DDPM's images of [0, 1] back to the data's size, as {@link prepareImages} made them of it. */
export function backToData({ size, fit }: TrainConfig): transforms.ImageTransform {
  return fit === "resize" ? transforms.resizeBilinear(DATA_SIZE) : cropped((size - DATA_SIZE) / 2);
}

/** Images without a margin. */
function cropped(margin: number): transforms.ImageTransform {
  return ({ data, shape: [n, h, w, c] }) => {
    const [H, W] = [h, w].map((side) => side - 2 * margin), out = new Float32Array(n * H * W * c);
    for (let row = 0; row < n * H; row++) {
      const from = ((Math.floor(row / H) * h + margin + row % H) * w + margin) * c;
      out.set(data.subarray(from, from + W * c), row * W * c);
    }
    return new HostArray(out, [n, H, W, c]);
  };
}
