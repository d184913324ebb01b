/** The pictures that `--images` names, as data to train on and to evaluate on. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { progressBar, sha256 } from "../core/mod.ts";
import {
  type DataLoader,
  DataLoaders,
  type Dataset,
  emoji,
  EMOJI_CLASSES,
  Generator,
  type ImageDataset,
  imageDataset,
  type ImageEntry,
  type ImageOptions,
  type ImageSource,
  openImageSource,
  setSeed,
  subset,
  take,
  transforms,
} from "../mod.ts";
import { fromCaller, ROOT } from "./caller.ts";
import { type Command, Option, UsageError, UserError } from "./cli.ts";
import { startDevice } from "./device.ts";
import { prepareEdm } from "./edm.ts";
import { type EdmConfig, EMOJI, PICTURE_PRESETS, type PictureConfig } from "./presets.ts";
import { requireSameData, type Run } from "./training.ts";

/** Whether a place is an address, or drawn, not a path. */
const isAddress = (where: string): boolean => /^(hf|drawn):|^[a-z][a-z0-9+.-]+:\/\//i.test(where);

/** What `--images` names, from wherever it is read again: addresses as they are, paths as absolute ones. */
export function placeOf(where: string): string {
  return isAddress(where) ? where : resolve(fromCaller(where));
}

/** The preset of pictures where the command line names none: that of the emoji, or the first that is as large. */
export function presetOf({ images, size = 32 }: { images?: string; size?: number }): string {
  if (images === EMOJI) return "emoji";
  const presets = Object.values(PICTURE_PRESETS);
  return (presets.find((preset) => preset.size >= size) ?? presets.at(-1)!).preset;
}

/** Adds the options of how pictures are made. */
export function withPictureOptions(command: Command): Command {
  return command
    .option("--grey", "grey pictures")
    .option("--no-grey", "RGB pictures")
    .option("--classes", "tell the network the pictures' classes, and leave out pictures of none")
    .option("--no-classes", "tell it none (default: told where each picture is in a class)")
    .addOption(
      new Option("--crop <how>", "which part of a picture that is no square").choices(["random", "centre"]),
    )
    .option("--flip", "mirror pictures at random")
    .option("--no-flip", "mirror none")
    .option("--strict", "refuse a picture that cannot be read")
    .option("--no-strict", "skip it, and say so");
}

/** Pictures in two parts. */
export interface OwnPictures {
  /** To train on. */
  train: Dataset;
  /** To evaluate on; no picture is in both. */
  test: Dataset;
  /** What they are parts of: one set of pictures, or two where the source has its own part to evaluate on. */
  sets: ImageDataset[];
  /** Names of the classes; none where no labels are given. */
  classes: readonly string[];
  /** Frees what is kept of the pictures. */
  close(): void;
}

/** Emoji to train on and to test with; each part begins with the same pictures, however many there are. */
const EMOJI_N = 5000, EMOJI_TEST = 1000;

/** A part of the emoji as a source. */
async function emojiSource(part: "train" | "test", size: number): Promise<ImageSource> {
  const counts = part === "train" ? { n: EMOJI_N, nTest: 1 } : { n: 1, nTest: EMOJI_TEST };
  const { [part]: { arrays: [images, labels] } } = await emoji({ ...counts, size });
  const [n, height, width] = images.shape, bytes = height * width * 3;
  const entries = Array.from({ length: n }, (_, i): ImageEntry => ({
    name: `${part} ${i}`,
    class: EMOJI_CLASSES[labels.data[i]],
    read() {
      const data = Uint8Array.from(images.data.subarray(i * bytes, (i + 1) * bytes));
      return Promise.resolve({ width, height, channels: 3, data });
    },
  }));
  return { name: EMOJI, entries, classes: EMOJI_CLASSES };
}

/** @throws UsageError for an address that the task may not reach, with the command that may. */
async function requireHost(where: string): Promise<void> {
  const address = where.startsWith("hf:") ? Deno.env.get("HF_ENDPOINT") : where;
  const host = address && /^https?:/i.test(address) && URL.parse(address)?.host;
  if (!host || (await Deno.permissions.query({ name: "net", host })).state === "granted") return;
  const script = Deno.mainModule.startsWith("file:")
    ? fileURLToPath(Deno.mainModule)
    : `${ROOT}tasks/train.ts`;
  throw new UsageError(
    `--images ${where}: this task may not reach ${host}. Download the file and give its path, or call the task so, with ` +
      `its options behind it: deno run --allow-read --allow-write --allow-env --allow-net=${host} ${script}`,
  );
}

/** Opens a part of what a place holds. */
async function openPart(where: string, part: string, size: number): Promise<ImageSource> {
  if (!where.startsWith("drawn:")) return await openImageSource(where, { split: part });
  if (where !== EMOJI) throw new Error(`${where}: what is drawn is ${EMOJI}`);
  if (part === "train" || part === "test") return await emojiSource(part, size);
  throw new Error(`${where}: there is no part ${part}`);
}

/** Pictures of equal names that are compared, to tell whether two parts have pictures in common. */
const COMPARED = 8;

/** Whether two parts have pictures in common, as they have where a source knows of no parts. */
async function overlap(a: ImageSource, b: ImageSource): Promise<boolean> {
  const byName = new Map(a.entries.map((entry) => [`${a.name}/${entry.name}`, entry]));
  const pairs = b.entries.flatMap((entry) => {
    const other = byName.get(`${b.name}/${entry.name}`);
    return other ? [[entry, other]] : [];
  });
  for (const [one, other] of pairs.slice(0, COMPARED)) {
    const [x, y] = await Promise.all([one, other].map(async (entry) => {
      const read = await entry.read().catch(() => new Uint8Array());
      return await sha256(Uint8Array.from(read instanceof Uint8Array ? read : read.data));
    }));
    if (x === y) return true;
  }
  return false;
}

/** The part that a source has itself to evaluate on, if it has one. */
async function openOwnTest(
  { images, size }: PictureConfig,
  train: ImageSource,
): Promise<ImageSource | undefined> {
  for (const part of ["test", "validation"]) {
    const source = await openPart(images, part, size).catch(() => undefined);
    if (source === undefined) continue;
    if (source.entries.length > 0 && !await overlap(train, source)) return source;
    await source.close?.();
  }
}

/** Where there is no part to evaluate on, a tenth of the pictures is, of at most so many. */
const MOST_HELD = 1000;

/** Pictures of which some are held back, the same ones whatever the seed of a run is. */
function holdBack(set: ImageDataset): Pick<OwnPictures, "train" | "test"> {
  if (set.length < 2) {
    throw new Error(
      `${set.source}: one picture is too few: one is to train on, another one to evaluate on`,
    );
  }
  const order = new Generator(0).permutation(set.length);
  const held = Math.min(MOST_HELD, Math.ceil(set.length / 10));
  console.error(
    `Evaluation: ${held} of these ${set.length} pictures, the same ones every time, which are not trained on`,
  );
  return { train: subset(set, order.subarray(held)), test: subset(set, order.subarray(0, held)) };
}

/** How a config's pictures are made. */
function optionsOf({ size, grey, classes, crop, strict }: PictureConfig): ImageOptions {
  const log = (line: string) => console.error(line.replace("classes: true", "--classes"));
  return { size, channels: grey ? 1 : 3, classes: classes ?? undefined, crop, strict, log };
}

async function openAll(config: PictureConfig): Promise<OwnPictures> {
  const { images } = config, sets: ImageDataset[] = [], close = () => sets.forEach((set) => set.close());
  const options = optionsOf(config), source = await openPart(images, "train", config.size);
  let own: ImageSource | undefined;
  try {
    own = await openOwnTest(config, source);
    const set = await imageDataset(source, options), { classes } = set;
    sets.push(set);
    if (!own) return { ...holdBack(set), sets, classes, close };
    console.error("Evaluation: the part of its own for it, which is not trained on:");
    const test = await imageDataset({ ...own, classes: classes.length ? classes : undefined }, {
      ...options,
      classes: classes.length > 0,
    });
    sets.push(test);
    return { train: set, test, sets, classes, close };
  } catch (error) {
    close();
    await source.close?.();
    await own?.close?.();
    throw error;
  }
}

/**
 * The pictures that a config names, decoded. What was found, what was skipped, and what is held back for evaluation is
 * told.
 * @throws UsageError that names the place: nothing is there, it may not be reached, or it holds no pictures.
 */
export async function openPictures(config: PictureConfig): Promise<OwnPictures> {
  await requireHost(config.images);
  return await openAll(config).catch((cause) => {
    throw new UsageError(`--images ${cause.message}`, { cause });
  });
}

/** Pictures that are measured at a time. */
const CHUNK = 256;
/** Pictures of which it takes so long that one wants to see how far it is. */
const MANY = 5000;

/**
 * The SHA-256 of all pictures, a digest of those of 256 pictures each with their labels, and the standard deviation of the
 * pixels that are trained on, in [−1, 1]; in one pass, with 256 pictures in memory. Of random crops it sees the centre.
 */
export async function measurePictures(
  { train, test, classes }: Pick<OwnPictures, "train" | "test" | "classes">,
  limit: number,
): Promise<{ hash: string; sigmaData: number }> {
  const facts = JSON.stringify({ train: train.length, test: test.length, classes });
  const digests = [await sha256(new TextEncoder().encode(facts))];
  const total = train.length + test.length,
    bar = total >= MANY ? progressBar("measure pictures", total) : null;
  let sum = 0, squares = 0, pixels = 0, done = 0;
  try {
    for (const part of [train, test]) {
      for (let from = 0; from < part.length; from += CHUNK) {
        const n = Math.min(CHUNK, part.length - from);
        const arrays = await part.items(Int32Array.from({ length: n }, (_, i) => from + i));
        for (const { data } of arrays) {
          digests.push(
            await sha256(
              new Uint8Array(data.buffer, data.byteOffset, data.byteLength) as Uint8Array<ArrayBuffer>,
            ),
          );
        }
        const measured = part === train ? Math.max(0, Math.min(n, (limit || Infinity) - from)) : 0;
        const { data } = arrays[0], most = data.length / n * measured;
        for (let i = 0; i < most; i++) {
          const pixel = data[i] / 127.5 - 1;
          sum += pixel;
          squares += pixel * pixel;
        }
        pixels += most;
        bar?.update(done += n);
      }
    }
  } finally {
    bar?.stop();
  }
  const mean = sum / pixels, variance = squares / pixels - mean * mean;
  const hash = await sha256(new TextEncoder().encode(digests.join("\n")));
  return { hash, sigmaData: Math.sqrt(Math.max(0, variance)) };
}

/** Batches of pictures as a config's run has them. */
export function loadersOf(
  { train, test }: Pick<OwnPictures, "train" | "test">,
  { limit, testLimit, seed, batch, flip }: EdmConfig & PictureConfig,
): DataLoaders<DataLoader> {
  return DataLoaders.from(limit ? take(train, limit) : train, testLimit ? take(test, testLimit) : test, {
    batchSize: batch,
    seed,
    transform: prepareEdm,
    augment: flip ? transforms.randomFlip() : undefined,
  });
}

/** The smallest standard deviation that can be trained on: half a step of a byte. */
const LEAST_SIGMA = 1 / 255;

/**
 * Opens the pictures of a run, starts the device and fixes the random numbers. The run's config keeps what the pictures
 * are: their hash, the names of their classes and σ_data.
 * @throws UsageError as {@link openPictures}, before the device starts; UserError if a run goes on with other pictures, or
 *   all are of one colour.
 */
export async function preparePictures(
  command: Command,
  run: Run<EdmConfig & PictureConfig>,
): Promise<{ dls: DataLoaders<DataLoader>; close(): void }> {
  const { config } = run, pictures = await openPictures(config), { classes, close } = pictures;
  try {
    await startDevice(command);
    const { hash, sigmaData } = await measurePictures(pictures, config.limit);
    requireSameData(run, { source: config.images, hash });
    if (sigmaData < LEAST_SIGMA) {
      throw new UserError(
        `--images ${config.images}: all pictures are of one colour, of which nothing is learnt`,
      );
    }
    config.classNames = [...classes];
    config.sigmaData = sigmaData;
    setSeed(config.seed);
    return { dls: loadersOf(pictures, config), close };
  } catch (error) {
    close();
    throw error;
  }
}
