/** A dataset of the pictures of any source: decoded, turned upright, on a background, of one size. */
import {
  cacheDirectory,
  type Dataset,
  type Generator,
  HostArray,
  isGranted,
  type ProgressBar,
  progressBar,
} from "../../core/mod.ts";
import type { Recipe } from "./prepare.ts";
import type { ImageSource } from "./source.ts";
import { DiskStore, MemoryStore } from "./store.ts";
import { DecodeThreads, ImageError } from "./threads.ts";

/** Where decoded pictures are kept. */
export type ImageCache = "memory" | "disk" | "none";

/** Options of {@link imageDataset}, and of the functions that read a source by it. */
export interface ImageOptions {
  /**
   * Height and width of the images in pixels, or one number for both: the picture is resized to cover them, and what is
   * too long on one side is cropped.
   */
  size: number | [height: number, width: number];
  /** 1 for grey (ITU-R 601 luma), 3 for RGB; default 3. */
  channels?: 1 | 3;
  /**
   * Which part of the picture an image is: `centre`; or `random`, where the images that a DataLoader trains on are drawn
   * from pictures an eighth larger, and those that it evaluates on are the centre. Default `centre`.
   */
  crop?: "centre" | "random";
  /** What transparent pixels are laid on: red, green and blue, 0…255 each; default white. */
  background?: [red: number, green: number, blue: number];
  /** Whether labels are given: default only where every picture has a class. */
  classes?: boolean;
  /** Whether a picture that cannot be read is an error, rather than skipped; default false. */
  strict?: boolean;
  /** Most pixels of a picture; a larger one is refused before memory is taken for it. Default 67,108,864 (8192×8192). */
  maxPixels?: number;
  /**
   * Where the decoded pictures are kept: in `memory`; on `disk`, in a file without a name in `cacheDir` that is gone with
   * the dataset; or nowhere (`none`), where they are decoded anew whenever they are asked for. Default memory as long as
   * `memoryBytes` suffice, else disk, or none where the permission to write there is not granted.
   */
  cache?: ImageCache;
  /** Most bytes of decoded pictures in memory before they go to disk, where `cache` is left out; default 256 MiB. */
  memoryBytes?: number;
  /** The directory of the file of `disk`; default `denoise/pictures` in the user's cache directory. */
  cacheDir?: string;
  /** Threads that decode, 0 for the caller's own; default one for each processor and 16 pictures, at most 8. */
  workers?: number;
  /** Told how far the first decoding of all pictures is; default a progress bar where they are 500 or more. */
  onProgress?: (done: number, total: number) => void;
  /** Takes the lines that tell what was found, and what was skipped; default `console.error`. */
  log?: (line: string) => void;
}

/** A picture that is left out. */
export interface SkippedImage {
  /** Its entry's name. */
  name: string;
  /** What is wrong with it. */
  reason: string;
}

/**
 * Pictures as a dataset: items are `[images]`, or `[images, labels]` where there are classes. Images are bytes 0…255,
 * [N,H,W,C] (`transforms.toFloat` makes floats), labels int32 [N].
 */
export interface ImageDataset extends Dataset, Disposable {
  /** The source's name. */
  readonly source: string;
  /** Height, width and channels of the images. */
  readonly shape: readonly [height: number, width: number, channels: number];
  /** The names of the pictures, by item. */
  readonly names: readonly string[];
  /** The names of the classes, by label; none where no labels are given. */
  readonly classes: readonly string[];
  /** The labels by item; undefined where there are none. */
  readonly labels?: Int32Array;
  /** Widths and heights of the pictures as they were, upright, and how many have each; the most frequent first. */
  readonly sizes: readonly { width: number; height: number; count: number }[];
  /** What was left out, and why, in the source's order. */
  readonly skipped: readonly SkippedImage[];
  /** How many things in the source are no pictures and were passed over without a word. */
  readonly others: number;
  /** Where the decoded pictures are kept. */
  readonly cache: "memory" | "disk" | "none";
  /** Threads that decode; 0 for the caller's own. */
  readonly workers: number;
  /** Frees the cache and ends the threads; no item can be had then. A second call does nothing. */
  close(): void;
}

const MAX_WORKERS = 8;
/** Pictures for which it is worth to start a thread, which takes longer than to decode some. */
const ENTRIES_A_WORKER = 16;
const MAX_PIXELS = 2 ** 26;
const MEMORY_BYTES = 2 ** 28;
/** Files in work for each thread: one that is decoded, one that is read meanwhile. */
const AHEAD = 2;
/** How much larger than an image the pictures are that random crops are drawn from. */
const CROP_SCALE = 9 / 8;
/** How long such a picture is at most, in widths. */
const CROP_LONGEST = 2;
/** Pictures of which it takes so long to decode all that one wants to see how far it is. */
const MANY = 500;
/** Names that a line lists. */
const LISTED = 5;

const WHITE: [number, number, number] = [255, 255, 255];

/** @throws RangeError unless a value is a whole number in a range. */
function requireWhole(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const range = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `from ${least} on`;
  throw new RangeError(`${name} is a whole number ${range}, not ${value}`);
}

/** @throws RangeError unless a value is one of some. */
function requireOneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) throw new RangeError(`${name} is ${allowed.join(" or ")}, not ${value}`);
}

/** The options with their defaults. */
function withDefaults(options: ImageOptions, entries: number) {
  const {
    size,
    channels = 3,
    crop = "centre",
    background = WHITE,
    strict = false,
    maxPixels = MAX_PIXELS,
    memoryBytes = MEMORY_BYTES,
    workers = Math.min(
      MAX_WORKERS,
      navigator.hardwareConcurrency ?? 1,
      Math.ceil(entries / ENTRIES_A_WORKER),
    ),
    log = console.error,
    ...rest
  } = options;
  const sides = typeof size === "number" ? [size, size] : size;
  if (!Array.isArray(sides) || sides.length !== 2) {
    throw new RangeError(`size is a number of pixels, or [height, width], not ${size}`);
  }
  for (const side of sides) requireWhole("size", side, 1, 2 ** 15);
  requireOneOf("channels", channels, [1, 3]);
  requireOneOf("crop", crop, ["centre", "random"]);
  requireOneOf("cache", rest.cache, ["memory", "disk", "none", undefined]);
  if (background.length !== 3) {
    throw new RangeError(`background is [red, green, blue], not [${background}]`);
  }
  for (const value of background) requireWhole("A colour of background", value, 0, 255);
  requireWhole("maxPixels", maxPixels, 1);
  requireWhole("memoryBytes", memoryBytes, 0);
  requireWhole("workers", workers, 0);
  const [height, width] = sides;
  return { ...rest, height, width, channels, crop, background, strict, maxPixels, memoryBytes, workers, log };
}

type Settings = ReturnType<typeof withDefaults>;

/** How the pictures are made that images are cropped from. */
function recipeOf({ height, width, channels, crop, background, maxPixels }: Settings): Recipe {
  const common = { channels, background, maxPixels };
  if (crop === "centre") return { ...common, height, width, longest: 1 };
  const larger = (side: number) => Math.ceil(side * CROP_SCALE);
  return { ...common, height: larger(height), width: larger(width), longest: CROP_LONGEST };
}

/** Calls `body` for each number below `count`, so many at a time; after an error it calls it for no more. */
async function forEach(count: number, atOnce: number, body: (i: number) => Promise<void>): Promise<void> {
  const errors: { i: number; error: unknown }[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count && errors.length === 0) {
      const i = next++;
      await body(i).catch((error) => errors.push({ i, error }));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  // All before the first have been tried, so that the error does not depend on the number of threads.
  if (errors.length) throw errors.reduce((a, b) => a.i < b.i ? a : b).error;
}

/** Where pictures are kept while they are decoded for the first time. */
class Keeper {
  kind: ImageCache;
  /** Undefined where they are not kept. */
  store?: MemoryStore | DiskStore;
  readonly #settings: Settings;
  #moving: Promise<void> | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.kind = settings.cache ?? "memory";
  }

  /** Opens what was asked for. */
  async open(): Promise<void> {
    if (this.kind === "memory") this.store = new MemoryStore();
    if (this.kind === "disk") {
      const dir = await this.#directory();
      if (!dir) {
        throw new Error(
          "cache: disk needs a directory that may be written to: name it by cacheDir, and allow to read and write it",
        );
      }
      this.store = await DiskStore.open(dir);
    }
  }

  /** Keeps a picture; what does not fit memory any more goes to disk. */
  async put(i: number, bytes: Uint8Array): Promise<void> {
    const { cache, memoryBytes } = this.#settings;
    await this.#moving;
    if (cache !== undefined || this.store instanceof MemoryStore) await this.store?.put(i, bytes);
    else await this.store?.put(i, bytes).catch(() => this.#giveUp()); // such as a disk that is full
    if (cache === undefined && this.store instanceof MemoryStore && this.store.bytes > memoryBytes) {
      this.#moving ??= this.#toDisk(this.store);
      await this.#moving;
    }
  }

  async #toDisk(memory: MemoryStore): Promise<void> {
    const dir = await this.#directory();
    const disk = dir ? await DiskStore.open(dir).catch(() => undefined) : undefined;
    try {
      if (!disk) return this.#giveUp();
      await memory.moveTo(disk);
      this.store = disk;
      this.kind = "disk";
    } catch {
      disk?.close();
      this.#giveUp();
    }
  }

  /** Keeps nothing any more. */
  #giveUp(): void {
    this.store?.close();
    this.store = undefined;
    this.kind = "none";
  }

  /** Where a file can be; undefined where it cannot. */
  async #directory(): Promise<string | undefined> {
    const dir = this.#settings.cacheDir ?? await cacheDirectory("pictures");
    if (!dir) return undefined;
    const granted = await isGranted({ name: "write", path: dir }) &&
      await isGranted({ name: "read", path: dir });
    return granted ? dir : undefined;
  }
}

/** The classes of a source's entries by name, and whether labels are given. */
function classesOf({ name, entries, classes }: ImageSource, asked: boolean | undefined): readonly string[] {
  const named = entries.filter((entry) => entry.class !== undefined);
  if (asked === false || asked === undefined && named.length < entries.length) return [];
  const all = classes ?? [...new Set(named.map((entry) => entry.class!))].sort();
  if (all.length === 0 && asked) {
    throw new Error(`${name}: none of its ${entries.length} pictures has a class`);
  }
  return all;
}

const bytesOf = (n: number): string =>
  n < 2 ** 20 ? `${Math.ceil(n / 1024)} KiB` : `${(n / 2 ** 20).toFixed(1)} MiB`;

const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

/** What was left out, the first of it by name. */
function listSkipped(skipped: readonly SkippedImage[]): string {
  const first = skipped.slice(0, LISTED).map(({ name, reason }) => `${name} (${reason})`).join("; ");
  return skipped.length > LISTED ? `${first}; and ${skipped.length - LISTED} more` : first;
}

/** What is known of the pictures that can be read, in the source's order. */
interface Found {
  /** Places in the source's entries. */
  entries: Int32Array;
  /** Height and width of what is kept, in turn, by item. */
  kept: Int32Array;
  /** Their labels, if they have any. */
  labels?: Int32Array;
  sizes: { width: number; height: number; count: number }[];
  skipped: SkippedImage[];
  /** Bytes of all that is kept. */
  bytes: number;
}

/** What shows how far the decoding is. */
function progressOf({ length }: ImageSource["entries"], { onProgress }: Settings): ProgressBar {
  if (!onProgress && length >= MANY) return progressBar("decode pictures", length);
  return { update: (done) => onProgress?.(done, length), stop() {} };
}

/** Decodes all pictures once: what can be read, how large it is, and on the way it is kept. */
async function decodeAll(
  source: ImageSource,
  settings: Settings,
  classes: readonly string[],
  threads: DecodeThreads,
  keeper: Keeper,
): Promise<Found> {
  const { entries } = source, { strict } = settings, recipe = recipeOf(settings);
  const labelOf = new Map(classes.map((name, label) => [name, label]));
  const reasons = new Map<number, string>(), shapes = new Int32Array(4 * entries.length);
  const progress = progressOf(entries, settings);
  let done = 0;
  await forEach(entries.length, AHEAD * Math.max(1, threads.count), async (i) => {
    try {
      const { image, original } = await decodeEntry(source, i, threads, recipe, labelOf);
      shapes.set([image.height, image.width, ...original], 4 * i);
      await keeper.put(i, image.data);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      const { message } = error;
      if (strict) throw new Error(`${source.name}: ${entries[i].name}: ${message}`, { cause: error });
      reasons.set(i, message);
    }
    progress.update(++done);
  }).finally(() => progress.stop());
  const good = Int32Array.from(entries.keys()).filter((i) => !reasons.has(i));
  const bySize = new Map<string, { width: number; height: number; count: number }>();
  let bytes = 0;
  const kept = new Int32Array(2 * good.length);
  good.forEach((i, item) => {
    const [h, w, width, height] = shapes.subarray(4 * i);
    kept.set([h, w], 2 * item);
    bytes += h * w * recipe.channels;
    const key = `${width}×${height}`, seen = bySize.get(key);
    if (seen) seen.count++;
    else bySize.set(key, { width, height, count: 1 });
  });
  return {
    entries: good,
    kept,
    labels: classes.length ? good.map((i) => labelOf.get(entries[i].class!)!) : undefined,
    sizes: [...bySize.values()].sort((a, b) => b.count - a.count),
    skipped: [...reasons].sort(([a], [b]) => a - b).map(([i, reason]) => ({ name: entries[i].name, reason })),
    bytes,
  };
}

/**
 * Reads and decodes one entry.
 * @throws ImageError for what is wrong with it.
 */
async function decodeEntry(
  { entries }: ImageSource,
  i: number,
  threads: DecodeThreads,
  recipe: Recipe,
  labelOf?: Map<string, number>,
) {
  const entry = entries[i];
  if (labelOf?.size) {
    if (entry.class === undefined) throw new ImageError("it is in no class");
    if (!labelOf.has(entry.class)) throw new ImageError(`its class ${entry.class} is none of the source's`);
  }
  const input = await entry.read().catch((cause) => {
    throw new ImageError(`it cannot be read: ${(cause as Error).message}`, { cause });
  });
  return await threads.prepare(input, recipe);
}

/** The lines that tell what a source holds. */
function report(dataset: ImageDataset, { bytes }: Found, log: (line: string) => void): void {
  const { source, length, shape: [h, w, c], classes, skipped, cache } = dataset;
  const inClasses = classes.length ? ` in ${count(classes.length, "class", "classes")}` : "";
  const kept = cache === "none"
    ? "decoded anew whenever they are used"
    : `kept ${cache === "disk" ? "on disk" : "in memory"} (${bytesOf(bytes)})`;
  log(
    `Data: ${count(length, "picture", "pictures")}${inClasses} from ${source}, as ${w}×${h} ${
      c === 1 ? "grey" : "RGB"
    }, ${kept}`,
  );
  if (skipped.length) log(`Skipped ${count(skipped.length, "picture", "pictures")}: ${listSkipped(skipped)}`);
}

/** What is freed with a dataset that nobody closed. */
const forgotten = new FinalizationRegistry<() => void>((free) => free());

/**
 * A dataset of the pictures of a source. All are decoded once before it returns, in threads, so that its length is that
 * of the pictures that can be read; they are then kept, or decoded anew whenever they are asked for. Order and pixels do
 * not depend on the number of threads. Pictures are resized by an antialiased bicubic filter, as Pillow's
 * `ImageOps.fit(picture, size, BICUBIC)`. Besides what is kept, memory is needed for the pictures in work alone, two a
 * thread.
 * @param source where the pictures are
 * @returns the dataset, to be closed at the end, best by `using`; one that is forgotten is closed when it is collected
 * @throws RangeError for options out of range. Error if no picture can be read, with what was found instead; with `strict`
 *   for the first that cannot be; if `classes` is true and there are none; if `cache` is `disk` and no file can be written.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DataLoader, encodePng, imageDataset, transforms } from "../../mod.ts";
 * const stripe = encodePng({ width: 3, height: 1, channels: 1, data: Uint8Array.of(0, 128, 255) });
 * const entries = ["a", "b"].map((name) => ({ name, read: () => Promise.resolve(stripe.slice()) }));
 * using stripes = await imageDataset({ name: "stripes", entries }, { size: 8, channels: 1, log: () => {} });
 * const loader = new DataLoader(stripes, { batchSize: 2, transform: transforms.toFloat(-1, 1) });
 * for await (const [images] of loader) assert(images.shape.join() === "2,8,8,1");
 * ```
 */
export async function imageDataset(source: ImageSource, options: ImageOptions): Promise<ImageDataset> {
  const settings = withDefaults(options, source.entries.length), { name, entries, others = 0 } = source;
  const keeper = new Keeper(settings);
  let threads: DecodeThreads | undefined;
  let sourceIsOpen = true;
  const closeSource = async () => {
    if (!sourceIsOpen) return;
    sourceIsOpen = false;
    await source.close?.();
  };
  const free = () => {
    keeper.store?.close();
    threads?.close();
    closeSource();
  };
  try {
    const classes = classesOf(source, settings.classes);
    await keeper.open();
    threads = await DecodeThreads.start(Math.min(settings.workers, entries.length));
    const found = await decodeAll(source, settings, classes, threads, keeper);
    if (found.entries.length === 0) {
      const was = [
        ...(others ? [count(others, "other file", "other files")] : []),
        ...(entries.length ? [`${count(entries.length, "picture", "pictures")} that cannot be`] : []),
      ].join(" and ");
      const which = entries.length ? `: ${listSkipped(found.skipped)}` : "";
      throw new Error(
        `${name}: there is no picture that can be read, but ${was || "nothing at all"}${which}`,
      );
    }
    if (keeper.store) {
      threads.close();
      await closeSource();
    }
    const dataset = makeDataset(source, settings, classes, found, keeper, threads, free);
    report(dataset, found, settings.log);
    const classless = entries.filter((entry) => entry.class === undefined).length;
    if (settings.classes === undefined && classless > 0 && classless < entries.length) {
      settings.log(
        `No labels: ${
          count(classless, "picture is", "pictures are")
        } in no class; classes: true leaves them out`,
      );
    }
    return dataset;
  } catch (error) {
    free();
    throw error;
  }
}

function makeDataset(
  source: ImageSource,
  settings: Settings,
  classes: readonly string[],
  found: Found,
  { store, kind }: Keeper,
  threads: DecodeThreads,
  free: () => void,
): ImageDataset {
  const { height, width, channels, crop } = settings, recipe = recipeOf(settings);
  const { entries, labels, kept } = found, length = entries.length, token = {};
  let closed = false;
  const pictureOf = async (item: number): Promise<Uint8Array> => {
    if (store) return await store.get(entries[item]);
    const { name } = source.entries[entries[item]];
    const { image } = await decodeEntry(source, entries[item], threads, recipe).catch((cause) => {
      throw new Error(`${source.name}: ${name} could be read before: ${cause.message}`, { cause });
    });
    return image.data;
  };
  const dataset: ImageDataset = {
    length,
    random: crop === "random",
    source: source.name,
    shape: [height, width, channels],
    names: Array.from(entries, (i) => source.entries[i].name),
    classes,
    labels,
    sizes: found.sizes,
    skipped: found.skipped,
    others: source.others ?? 0,
    cache: kind,
    workers: threads.count,
    async items(indices: Int32Array, generator?: Generator): Promise<HostArray[]> {
      if (closed) throw new Error(`${source.name}: the dataset is closed`);
      const wrong = indices.find((i) => !(i >= 0 && i < length));
      if (wrong !== undefined) {
        throw new RangeError(`items: a dataset of ${length} items has none at ${wrong}`);
      }
      const draws = generator && crop === "random" ? generator.uniformArray(2 * indices.length) : undefined;
      const row = width * channels, out = new Uint8Array(indices.length * height * row);
      await forEach(
        indices.length,
        store ? indices.length : AHEAD * Math.max(1, threads.count),
        async (k) => {
          const item = indices[k], picture = await pictureOf(item), [h, w] = kept.subarray(2 * item);
          const place = (room: number, draw: number | undefined) =>
            draw === undefined ? room >> 1 : Math.min(room, Math.floor(draw * (room + 1)));
          const top = place(h - height, draws?.[2 * k]), left = place(w - width, draws?.[2 * k + 1]);
          for (let y = 0; y < height; y++) {
            const from = ((top + y) * w + left) * channels;
            out.set(picture.subarray(from, from + row), (k * height + y) * row);
          }
        },
      );
      const images = new HostArray(out, [indices.length, height, width, channels]);
      return labels ? [images, new HostArray(indices.map((i) => labels[i]), [indices.length])] : [images];
    },
    close() {
      if (closed) return;
      closed = true;
      forgotten.unregister(token);
      free();
    },
    [Symbol.dispose]() {
      this.close();
    },
  };
  forgotten.register(dataset, free, token);
  return dataset;
}
