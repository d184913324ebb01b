/** CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary form: 32×32 RGB pictures behind their labels. */
import type { Archive } from "./images/archive.ts";
import { rowsSource } from "./images/rows.ts";
import { type Bytes, bytesOf, openBytes, piecesOf } from "./images/bytes.ts";
import type { ImageSource } from "./images/source.ts";

/** Options of {@link cifarSource}. */
export interface CifarOptions {
  /** Which pictures: `train`, those to train on, or `test`; default `train`. One file is taken as it is. */
  split?: string;
  /** The names of the classes, by label; default those of the file of names beside the pictures, else digits. */
  classNames?: readonly string[];
}

const SIDE = 32, PIXEL_BYTES = SIDE * SIDE * 3;

/** How a data set is kept: labels before a picture (the last one counts), its files by name, and where the names are. */
interface Form {
  labels: number;
  train: RegExp;
  test: RegExp;
  names: RegExp;
}

const FORMS: readonly Form[] = [
  { labels: 1, train: /^data_batch_\d+\.bin$/, test: /^test_batch\.bin$/, names: /^batches\.meta\.txt$/ },
  { labels: 2, train: /^train\.bin$/, test: /^test\.bin$/, names: /^fine_label_names\.txt$/ },
];

/** A file by its name without folders. */
interface Place {
  name: string;
  open(): Promise<Bytes>;
}

const fileName = (path: string): string => path.replace(/.*[/\\]/, "");

async function placesIn(dir: string): Promise<Place[]> {
  const places: Place[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    if (!isDirectory) places.push({ name, open: () => openBytes(`${dir}/${name}`) });
  }
  return places;
}

const placesOf = (archive: Archive): Place[] =>
  archive.members.map((member) => ({
    name: fileName(member.name),
    open: async () => bytesOf(`${archive.name}: ${member.name}`, await member.read()),
  }));

/** Whether these are the names of the files of CIFAR's binary form. */
export const isCifar = (names: readonly string[]): boolean =>
  FORMS.some(({ train, test }) =>
    names.some((name) => train.test(fileName(name)) || test.test(fileName(name)))
  );

/** The names of the classes in the file that has them, one a line; undefined where there is none. */
async function namesIn(places: readonly Place[], { names }: Form): Promise<string[] | undefined> {
  const bytes = await places.find((place) => names.test(place.name))?.open();
  if (!bytes) return undefined;
  try {
    const text = new TextDecoder().decode(await bytes.read(0, bytes.size));
    return text.split("\n").map((line) => line.trim()).filter(Boolean);
  } finally {
    bytes.close();
  }
}

/**
 * The label of each picture in a file.
 * @throws Error that begins with the file's name, if it does not consist of whole records.
 */
async function labelsIn(bytes: Bytes, { labels }: Form): Promise<number[]> {
  const record = labels + PIXEL_BYTES, found: number[] = [];
  if (bytes.size === 0 || bytes.size % record !== 0) {
    throw new Error(
      `${bytes.name}: ${bytes.size} bytes are not some records of ${record}: it is cut off, or not CIFAR's`,
    );
  }
  let at = 0;
  for await (const piece of piecesOf(bytes)) {
    for (let next = found.length * record + labels - 1; next < at + piece.length; next += record) {
      found.push(piece[next - at]);
    }
    at += piece.length;
  }
  return found;
}

/** The form of a single file: by its size, as its name may be any. */
function formOf({ size }: Bytes): Form {
  return FORMS.find(({ labels }) => size % (labels + PIXEL_BYTES) === 0) ?? FORMS[0];
}

/** The records in some files as a source, which closes the files. */
async function recordsSource(
  name: string,
  files: Bytes[],
  form: Form,
  classes: readonly string[] | undefined,
): Promise<ImageSource> {
  const labels: number[] = [], places: { file: Bytes; at: number }[] = [];
  for (const file of files) {
    const own = await labelsIn(file, form);
    own.forEach((label, i) => {
      labels.push(label);
      places.push({ file, at: i * (form.labels + PIXEL_BYTES) + form.labels });
    });
  }
  return rowsSource({
    name,
    count: places.length,
    width: SIDE,
    height: SIDE,
    channels: 3,
    layout: "NCHW",
    bytes: (i) => places[i].file.read(places[i].at, places[i].at + PIXEL_BYTES),
    labels,
    classes,
    close: () => files.forEach((file) => file.close()),
  });
}

/** The files of a split as a source. */
async function splitSource(
  name: string,
  places: readonly Place[],
  { split = "train", classNames }: CifarOptions,
): Promise<ImageSource> {
  if (split !== "train" && split !== "test") {
    throw new RangeError(`${name}: CIFAR has the splits train and test, not ${split}`);
  }
  const form = FORMS.find((form) => places.some((place) => form[split].test(place.name)));
  if (!form) {
    const files = split === "train" ? "data_batch_1.bin or train.bin" : "test_batch.bin or test.bin";
    throw new Error(`${name}: there is no ${files}`);
  }
  const own = places.filter((place) => form[split].test(place.name)), files: Bytes[] = [];
  try {
    for (const place of own.sort((a, b) => a.name < b.name ? -1 : 1)) files.push(await place.open());
    return await recordsSource(name, files, form, classNames ?? await namesIn(places, form));
  } catch (error) {
    for (const file of files) file.close();
    throw error;
  }
}

/** CIFAR's files in an archive as a source, which keeps the pictures in memory; the archive is closed. */
export async function cifarInArchive(archive: Archive, options: CifarOptions): Promise<ImageSource> {
  try {
    return await splitSource(archive.name, placesOf(archive), options);
  } finally {
    archive.close();
  }
}

/**
 * CIFAR-10 or CIFAR-100 in binary form as a source; pictures are read when they are asked for.
 * @param path a directory with `data_batch_1.bin` … and `test_batch.bin`, or with `train.bin` and `test.bin`; or one such file
 * @throws Error that begins with the path, if no such file is there, or one is cut off, or a label has no name. RangeError for
 *   another split.
 */
export async function cifarSource(path: string, options: CifarOptions = {}): Promise<ImageSource> {
  const { isFile } = await Deno.stat(path);
  if (!isFile) return await splitSource(path, await placesIn(path), options);
  const file = await openBytes(path), form = formOf(file);
  try {
    const beside = await placesIn(path.replace(/[/\\]?[^/\\]*$/, "") || ".");
    return await recordsSource(path, [file], form, options.classNames ?? await namesIn(beside, form));
  } catch (error) {
    file.close();
    throw error;
  }
}
