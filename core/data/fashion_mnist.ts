/** Fashion-MNIST (Xiao et al. 2017): 28×28 grey images of ten kinds of clothes, 60,000 to train on, 10,000 to test. */
import { progressBar } from "../vis/progress.ts";
import { writeFile } from "../io/files.ts";
import { HostArray } from "./array.ts";
import { gunzip, readIdx } from "./idx.ts";
import type { Dataset } from "./loader.ts";

/** The names of the classes, by label. */
export const FASHION_MNIST_CLASSES = [
  ...["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"],
  ...["Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
] as const;

/** The two halves of the data, and where they came from. */
export interface FashionMnist {
  /** [N,28,28,1] bytes and [N] labels. */
  train: Dataset;
  test: Dataset;
  source: string;
}

/** Options of {@link fashionMnist}. */
export interface FashionMnistOptions {
  /** A directory with the four files; nothing else is tried then. */
  dir?: string;
  /** Where downloads are kept; default `denoise/fashion-mnist` in the user's cache directory. */
  cache?: string;
  /** Whether to download when nothing is found; default true. */
  download?: boolean;
  /** Takes the line that tells the source; default `console.error`. */
  log?: (line: string) => void;
}

const HOST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";
const SYSTEM = "/usr/share/datasets/fashion-mnist";

/** The files, and the SHA-256 of what they hold once inflated (the packing differs between sources). */
const FILES = {
  trainImages: [
    "train-images-idx3-ubyte",
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
  ],
  trainLabels: [
    "train-labels-idx1-ubyte",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
  ],
  testImages: ["t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"],
  testLabels: ["t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"],
} as const;
type FileKey = keyof typeof FILES;

async function granted(descriptor: Deno.PermissionDescriptor): Promise<boolean> {
  return "Deno" in globalThis && (await Deno.permissions.query(descriptor)).state === "granted";
}

async function exists(path: string): Promise<boolean> {
  if (!(await granted({ name: "read", path }))) return false;
  return await Deno.stat(path).then(() => true, () => false);
}

/** The user's cache directory for us, where the environment tells one. */
async function defaultCache(): Promise<string | undefined> {
  for (const [variable, rest] of [["XDG_CACHE_HOME", ""], ["HOME", "/.cache"], ["LOCALAPPDATA", ""]]) {
    if (!(await granted({ name: "env", variable }))) continue;
    const base = Deno.env.get(variable);
    if (base) return `${base}${rest}/denoise/fashion-mnist`;
  }
  return undefined;
}

/** The path of a file in a directory, gzipped or not. */
async function find(dir: string, name: string): Promise<string | undefined> {
  for (const path of [`${dir}/${name}.gz`, `${dir}/${name}`]) if (await exists(path)) return path;
  return undefined;
}

async function inDirectory(dir: string): Promise<Record<FileKey, string> | undefined> {
  const found: Partial<Record<FileKey, string>> = {};
  for (const key of Object.keys(FILES) as FileKey[]) {
    const path = await find(dir, FILES[key][0]);
    if (!path) return undefined;
    found[key] = path;
  }
  return found as Record<FileKey, string>;
}

async function load(
  bytesOf: (key: FileKey) => Promise<Uint8Array>,
  source: string,
): Promise<FashionMnist> {
  const half = async (images: FileKey, labels: FileKey): Promise<Dataset> => {
    const x = await readIdx(await bytesOf(images), `${source}: ${FILES[images][0]}`, 3);
    const y = await readIdx(await bytesOf(labels), `${source}: ${FILES[labels][0]}`, 1);
    if (x.shape[0] !== y.shape[0]) {
      throw new Error(`${source}: ${x.shape[0]} images but ${y.shape[0]} labels`);
    }
    return { images: new HostArray(x.data, [...x.shape, 1]), labels: y };
  };
  return {
    train: await half("trainImages", "trainLabels"),
    test: await half("testImages", "testLabels"),
    source,
  };
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Fetches one file with a bar and checks it. */
async function fetchChecked(name: string, hash: string): Promise<Uint8Array> {
  const url = `${HOST}/${name}.gz`;
  const response = await fetch(url, { signal: AbortSignal.timeout(300_000) });
  if (!response.ok || !response.body) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const kib = Math.ceil(Number(response.headers.get("content-length") ?? 0) / 1024);
  const bar = progressBar(`download ${name}, KiB`, kib || 1);
  const parts: Uint8Array[] = [];
  let done = 0;
  try {
    for await (const part of response.body) {
      parts.push(part);
      done += part.length;
      bar.update(Math.min(kib || 1, Math.round(done / 1024)));
    }
  } finally {
    bar.stop();
  }
  const bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const got = await sha256(await gunzip(bytes, url));
  if (got !== hash) throw new Error(`${url}: SHA-256 of its content is ${got}, not ${hash}`);
  return bytes;
}

/** Downloads the four files into a directory; each is checked before it is put there. */
async function download(dir: string): Promise<void> {
  const fetched: [string, Uint8Array][] = [];
  for (const [name, hash] of Object.values(FILES)) fetched.push([name, await fetchChecked(name, hash)]);
  await Deno.mkdir(dir, { recursive: true });
  for (const [name, bytes] of fetched) await writeFile(`${dir}/${name}.gz`, bytes);
}

/**
 * The data from the first of these that has it: `dir` if given (and then nothing else), the user's cache, the system's
 * {@link https://packages.debian.org/dataset-fashion-mnist | package}, a download into the cache, and last a stratified
 * subset that ships with this package (5,000 and 1,000 images), which is announced.
 *
 * @throws Error if `dir` lacks a file, or a file is damaged.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { fashionMnist } from "./fashion_mnist.ts";
 * const { train } = await fashionMnist({ download: false, log: () => {} });
 * assert(train.images.shape.slice(1).join() === "28,28,1");
 * ```
 */
export async function fashionMnist(options: FashionMnistOptions = {}): Promise<FashionMnist> {
  const log = options.log ?? console.error;
  const fromDirectory = async (dir: string) => {
    const paths = await inDirectory(dir);
    if (!paths) return undefined;
    const data = await load((key) => Deno.readFile(paths[key]), dir);
    log(`Data: Fashion-MNIST from ${dir}`);
    return data;
  };
  if (options.dir !== undefined) {
    const data = await fromDirectory(options.dir);
    if (data) return data;
    const names = Object.values(FILES).map(([name]) => `${name}.gz`).join(", ");
    throw new Error(`--data ${options.dir} does not hold all of ${names}`);
  }
  const cache = options.cache ?? await defaultCache();
  for (const dir of [cache, SYSTEM]) {
    const data = dir && await fromDirectory(dir);
    if (data) return data;
  }
  let why = "";
  if (cache && options.download !== false) {
    const { hostname } = new URL(HOST);
    const may = await granted({ name: "net", host: hostname }) &&
      await granted({ name: "write", path: cache });
    if (may) {
      try {
        await download(cache);
        return (await fromDirectory(cache))!;
      } catch (error) {
        why = ` (the download failed: ${(error as Error).message})`;
      }
    }
  }
  const data = await embeddedFashionMnist();
  log(
    `Data: the embedded subset of Fashion-MNIST, ${data.train.images.shape[0]} images to train on and ` +
      `${data.test.images.shape[0]} to test${why}. For all 70,000, give --data DIR`,
  );
  return data;
}

/** The subset that ships with this package: 500 training and 100 test images of each class. */
export async function embeddedFashionMnist(): Promise<FashionMnist> {
  const { SUBSET } = await import("./fashion_mnist_subset.gen.ts");
  const decode = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return await load((key) => Promise.resolve(decode(SUBSET[key])), "embedded subset");
}
