/** Fashion-MNIST (Xiao et al. 2017): 28×28 grey images of ten kinds of clothes, 60,000 to train on, 10,000 to test. */
import {
  ArrayDataset,
  cacheDirectory,
  HostArray,
  isGranted,
  sweepTemporaryFiles,
  writeFile,
} from "../core/mod.ts";
import { download, findFile } from "./files.ts";
import { readIdx } from "./idx.ts";

/** The names of the classes, by label. */
export const FASHION_MNIST_CLASSES: readonly string[] = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

/** The two halves of the data, and where they came from. */
export interface FashionMnist {
  /** Images [N,28,28,1], bytes 0…255, and labels [N], 0…9. */
  train: ArrayDataset;
  /** The same of the test images. */
  test: ArrayDataset;
  /** The directory, or `embedded subset`. */
  source: string;
}

/** Options of {@link fashionMnist}. */
export interface FashionMnistOptions {
  /** A directory with the four files, gzipped or not; nothing else is tried then. Default none. */
  dir?: string;
  /** Where downloads are kept; default `denoise/fashion-mnist` in the user's cache directory. */
  cache?: string;
  /** Whether to download when nothing is found; default true. */
  download?: boolean;
  /** Takes the line that tells the source; default `console.error`. */
  log?: (line: string) => void;
}

/** Height and width of the images. */
const SIDE = 28;
const HOST = "raw.githubusercontent.com";
/** The repository of those who made the data. */
const FOLDER = `https://${HOST}/zalandoresearch/fashion-mnist/master/data/fashion`;
const SYSTEM = "/usr/share/datasets/fashion-mnist";

/** The files, and length and SHA-256 of what they hold once inflated (the packing differs between sources). */
const FILES = {
  trainImages: {
    name: "train-images-idx3-ubyte",
    bytes: 47_040_016,
    hash: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
  },
  trainLabels: {
    name: "train-labels-idx1-ubyte",
    bytes: 60_008,
    hash: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
  },
  testImages: {
    name: "t10k-images-idx3-ubyte",
    bytes: 7_840_016,
    hash: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
  },
  testLabels: {
    name: "t10k-labels-idx1-ubyte",
    bytes: 10_008,
    hash: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
  },
} as const;
type FileKey = keyof typeof FILES;

/** Reads the four files, however their bytes are had. */
async function load(bytesOf: (key: FileKey) => Promise<Uint8Array>, source: string): Promise<FashionMnist> {
  const half = async (images: FileKey, labels: FileKey): Promise<ArrayDataset> => {
    const [xName, yName] = [images, labels].map((key) => `${source}: ${FILES[key].name}`);
    const x = await readIdx(await bytesOf(images), xName, 3);
    const y = await readIdx(await bytesOf(labels), yName, 1);
    const [n, ...size] = x.shape;
    if (n !== y.shape[0]) throw new Error(`${source}: ${n} images but ${y.shape[0]} labels`);
    if (size.some((side) => side !== SIDE)) {
      throw new Error(`${xName}: images of [${size}], not [${SIDE},${SIDE}]`);
    }
    const strange = y.data.findIndex((label) => label >= FASHION_MNIST_CLASSES.length);
    if (strange >= 0) throw new Error(`${yName}: label ${strange} is ${y.data[strange]}, not one of 0 to 9`);
    return new ArrayDataset(new HostArray(x.data, [...x.shape, 1]), y);
  };
  return {
    train: await half("trainImages", "trainLabels"),
    test: await half("testImages", "testLabels"),
    source,
  };
}

/** The data from a directory; undefined where it lacks a file. */
async function fromDirectory(dir: string, log: (line: string) => void): Promise<FashionMnist | undefined> {
  const paths: Partial<Record<FileKey, string>> = {};
  for (const key of Object.keys(FILES) as FileKey[]) {
    const path = await findFile(dir, FILES[key].name);
    if (!path) return undefined;
    paths[key] = path;
  }
  const data = await load((key) => Deno.readFile(paths[key]!), dir);
  log(`Data: Fashion-MNIST from ${dir}`);
  return data;
}

/** Downloads the four files into a directory; each is checked before any is put there. */
async function downloadInto(dir: string): Promise<void> {
  const fetched: [string, Uint8Array][] = [];
  for (const { name, bytes, hash } of Object.values(FILES)) {
    fetched.push([name, await download(`${FOLDER}/${name}.gz`, bytes, hash)]);
  }
  await Deno.mkdir(dir, { recursive: true });
  await sweepTemporaryFiles(`${dir}/`);
  for (const [name, bytes] of fetched) await writeFile(`${dir}/${name}.gz`, bytes);
}

/**
 * The data from the first of these that has it: `dir` if given (and then nothing else), the user's cache, the system's
 * {@link https://packages.debian.org/dataset-fashion-mnist | package}, a download into the cache (where the permissions
 * for it are there), and last a stratified subset that ships with this package (5,000 and 1,000 images), which is
 * announced.
 *
 * @throws Error that begins with the directory, if `dir` lacks a file, or a file there or in the cache is damaged, of
 * another size than 28×28, or has other labels than 0…9.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { fashionMnist } from "./fashion_mnist.ts";
 * const { train } = await fashionMnist({ download: false, log: () => {} });
 * const [images, labels] = train.arrays;
 * assert(images.shape.slice(1).join() === "28,28,1" && labels.shape.length === 1);
 * ```
 */
export async function fashionMnist(options: FashionMnistOptions = {}): Promise<FashionMnist> {
  const { dir, cache = await cacheDirectory("fashion-mnist"), log = console.error } = options;
  if (dir !== undefined) {
    const data = await fromDirectory(dir, log);
    if (data) return data;
    const names = Object.values(FILES).map(({ name }) => `${name}.gz`).join(", ");
    throw new Error(`${dir} does not hold all of ${names}`);
  }
  for (const place of [cache, SYSTEM]) {
    const data = place && await fromDirectory(place, log);
    if (data) return data;
  }
  let why = "";
  const { download = true } = options;
  if (
    cache && download && await isGranted({ name: "net", host: HOST }) &&
    await isGranted({ name: "write", path: cache })
  ) {
    try {
      await downloadInto(cache);
      return (await fromDirectory(cache, log))!;
    } catch (error) {
      why = ` (the download failed: ${(error as Error).message})`;
    }
  }
  const data = await embeddedFashionMnist();
  log(
    `Data: the embedded subset of Fashion-MNIST, ${data.train.length} images to train on and ` +
      `${data.test.length} to test${why}. For all 70,000, name the directory that holds them`,
  );
  return data;
}

/** The subset that ships with this package: 500 training and 100 test images of each class. */
export async function embeddedFashionMnist(): Promise<FashionMnist> {
  const { SUBSET } = await import("./fashion_mnist_subset.gen.ts");
  return await load((key) => Promise.resolve(Uint8Array.fromBase64(SUBSET[key])), "embedded subset");
}
