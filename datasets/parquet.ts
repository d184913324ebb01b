/** Pictures in Parquet tables, as data sets of Hugging Face keep them, by hyparquet. */
import type { Compressors, FileMetaData, RowGroup, SchemaTree } from "npm:hyparquet@1.33.0";
import { type Bytes, MAX_MEMBER_BYTES, openBytes } from "./images/bytes.ts";
import type { ImageEntry, ImageSource } from "./images/source.ts";

/** Options of {@link parquetSource}. */
export interface ParquetOptions {
  /**
   * The column of pictures: files' bytes, or a struct that has them as `bytes`. Default the one that the table's own
   * description (Hugging Face's features) or else its types tell.
   */
  images?: string;
  /**
   * The column of labels: whole numbers, which the features name, or texts; null for none. Default the features' only
   * `ClassLabel`, else the column `label` or `labels`, where there is one.
   */
  labels?: string | null;
  /** The names of the classes, by label; default those of the features, else the labels' digits or texts. */
  classNames?: readonly string[];
}

/** Bytes of a row group's pictures, inflated, and of those row groups that are kept; labels that name themselves. */
const MAX_GROUP_BYTES = 2 ** 30, KEPT_BYTES = 2 ** 28, MAX_CLASSES = 100_000;

/** A table's rows of pictures. */
interface Table {
  bytes: Bytes;
  metadata: FileMetaData;
  image: string;
  label?: string;
  /** Names of the classes, as the features tell. */
  names?: readonly string[];
}

/** What Hugging Face's features say of a column. */
interface Feature {
  _type?: string;
  names?: unknown;
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");

/** What the table says of itself; nothing where it has no such description. */
function featuresOf({ key_value_metadata = [] }: FileMetaData): Map<string, Feature> {
  const text = key_value_metadata.find(({ key }) => key === "huggingface")?.value;
  try {
    const features: unknown = JSON.parse(text ?? "{}").info?.features ?? {};
    const fields = Object.entries(features as Record<string, Feature | null>);
    return new Map(fields.map(([name, feature]) => [name, feature ?? {}]));
  } catch {
    return new Map();
  }
}

/** Whether a column's values may be pictures: bytes, or a struct with them. */
function mayBePictures({ element, children }: SchemaTree): boolean {
  const isBytes = ({ type, converted_type }: SchemaTree["element"]) =>
    type === "BYTE_ARRAY" && converted_type === undefined;
  return isBytes(element) ||
    children.some((child) => child.element.name === "bytes" && isBytes(child.element));
}

/** The only one of some; an error that names the option where there are several. */
function only(bytes: Bytes, found: string[], what: string, option: string): string | undefined {
  if (found.length < 2) return found[0];
  throw new Error(
    `${bytes.name}: several columns may be the ${what}: the option ${option} names one of ${
      found.join(", ")
    }`,
  );
}

async function openTable(bytes: Bytes, options: ParquetOptions): Promise<Table> {
  const { parquetMetadataAsync, parquetSchema } = await import("npm:hyparquet@1.33.0");
  let metadata: FileMetaData, columns: SchemaTree[];
  try {
    metadata = await parquetMetadataAsync(fileOf(bytes));
    columns = parquetSchema(metadata).children;
  } catch (error) {
    throw new Error(`${bytes.name}: the Parquet file is damaged or cut off (${(error as Error).message})`);
  }
  const names = columns.map(({ element }) => element.name), features = featuresOf(metadata);
  const named = (name: string) => {
    if (names.includes(name)) return name;
    throw new Error(`${bytes.name}: there is no column ${name}; there are ${names.join(", ") || "none"}`);
  };
  const typed = (type: string) => names.filter((name) => features.get(name)?._type === type);
  const { images, labels } = options;
  const pictures = typed("Image"),
    bytesLike = columns.filter(mayBePictures).map(({ element }) => element.name);
  const image = images !== undefined
    ? named(images)
    : only(bytes, pictures.length > 0 ? pictures : bytesLike, "pictures", "images");
  if (image === undefined) {
    throw new Error(
      `${bytes.name}: no column holds pictures' bytes; there are ${names.join(", ") || "none"}`,
    );
  }
  const usual = names.filter((name) => /^labels?$/.test(name));
  const label = labels === undefined
    ? only(bytes, typed("ClassLabel"), "labels", "labels") ?? only(bytes, usual, "labels", "labels")
    : labels === null
    ? undefined
    : named(labels);
  const classes = features.get(label ?? "")?.names;
  checkSizes(bytes, metadata, image);
  return { bytes, metadata, image, label, names: isTexts(classes) ? classes : undefined };
}

/** @throws Error that begins with the name, where a table claims more than is read of one. */
function checkSizes({ name, size: bytes }: Bytes, { row_groups }: FileMetaData, image: string): void {
  let rows = 0;
  row_groups.forEach((group, i) => {
    const { num_rows } = group;
    rows += Number(num_rows);
    if (!(num_rows >= 0n && rows <= bytes)) {
      throw new Error(`${name}: row group ${i} claims ${num_rows} rows, in a file of ${bytes} bytes`);
    }
    const size = imageBytes(group, image);
    if (size <= MAX_GROUP_BYTES) return;
    throw new Error(
      `${name}: row group ${i} claims ${size} bytes of ${image}, which are read at once, up to ${MAX_GROUP_BYTES}: write ` +
        "the table with smaller row groups",
    );
  });
}

/** Bytes of the pictures in a row group, inflated, as it claims. */
function imageBytes({ columns }: RowGroup, image: string): number {
  const own = columns.filter(({ meta_data }) => meta_data?.path_in_schema[0] === image);
  return own.reduce((sum, { meta_data }) => sum + Number(meta_data!.total_uncompressed_size), 0);
}

/** A file as hyparquet reads it. */
const fileOf = (bytes: Bytes) => ({
  byteLength: bytes.size,
  slice: async (start: number, end = bytes.size) => (await bytes.read(start, end)).buffer,
});

/** Decompressors that refuse what claims too much before they take memory for it. */
async function decompressors(): Promise<Compressors> {
  const { compressors } = await import("npm:hyparquet-compressors@1.1.2");
  const guarded = Object.entries(compressors as Compressors).map(([codec, inflate]) => [
    codec,
    (input: Uint8Array, length: number) => {
      if (length > MAX_GROUP_BYTES) {
        throw new Error(`a page claims ${length} bytes, more than ${MAX_GROUP_BYTES}`);
      }
      return inflate!(input, length);
    },
  ]);
  return Object.fromEntries(guarded);
}

/** Values of a column from row start up to end. */
async function readColumn(
  { bytes, metadata }: Table,
  column: string,
  start: number,
  end: number,
): Promise<unknown[]> {
  const { parquetReadObjects } = await import("npm:hyparquet@1.33.0");
  try {
    const rows = await parquetReadObjects({
      file: fileOf(bytes),
      metadata,
      columns: [column],
      rowStart: start,
      rowEnd: end,
      utf8: false,
      compressors: await decompressors(),
    });
    if (rows.length !== end - start) throw new Error(`it has ${rows.length} of ${end - start} rows`);
    return rows.map((row) => row[column]);
  } catch (error) {
    throw new Error(
      `${bytes.name}: column ${column}, rows ${start} to ${end - 1}: ${(error as Error).message}`,
    );
  }
}

/** The bytes of a picture in its cell. */
function pictureIn(cell: unknown): Uint8Array {
  if (cell instanceof Uint8Array) return cell.slice();
  if (cell === null || cell === undefined) throw new Error("there is no picture in this row");
  const { bytes, path } = cell as { bytes?: unknown; path?: unknown };
  if (bytes instanceof Uint8Array) return bytes.slice();
  throw new Error(
    `there are no bytes in this row${typeof path === "string" ? `, only the path ${path}` : ""}`,
  );
}

/** Row groups that were read last, of all tables of a source: always one, more as long as they are small. */
class Groups {
  readonly #kept = new Map<string, { cells: Promise<unknown[]>; bytes: number }>();

  /** The cells of a row group, read if they are not kept. */
  get(key: string, bytes: number, read: () => Promise<unknown[]>): Promise<unknown[]> {
    const { cells } = this.#kept.get(key) ?? { cells: read() };
    this.#kept.delete(key); // set again, it is the newest
    this.#kept.set(key, { cells, bytes });
    let sum = this.#kept.values().reduce((sum, group) => sum + group.bytes, 0);
    for (const [oldest, group] of this.#kept) {
      if (sum <= KEPT_BYTES || oldest === key) break;
      sum -= group.bytes;
      this.#kept.delete(oldest);
    }
    return cells;
  }

  clear(): void {
    this.#kept.clear();
  }
}

/** Reads pictures by row, a row group at a time, of which the last ones are kept. */
class Pictures {
  /** The first row of each row group, and the end. */
  readonly #starts: number[] = [0];

  constructor(readonly table: Table, readonly groups: Groups) {
    for (const { num_rows } of table.metadata.row_groups) this.#starts.push(this.rows + Number(num_rows));
  }

  /** How many rows there are. */
  get rows(): number {
    return this.#starts.at(-1)!;
  }

  async read(row: number): Promise<Uint8Array> {
    const group = this.#starts.findLastIndex((start) => start <= row), start = this.#starts[group];
    const { bytes, metadata, image } = this.table, key = `${group} of ${bytes.name}`;
    const size = imageBytes(metadata.row_groups[group], image);
    const cells = this.groups.get(
      key,
      size,
      () => readColumn(this.table, image, start, this.#starts[group + 1]),
    );
    const picture = pictureIn((await cells)[row - start]);
    if (picture.length > MAX_MEMBER_BYTES) throw new Error(`the picture is of ${picture.length} bytes`);
    return picture;
  }
}

/** Names the classes of labels. */
function namer(tables: readonly Table[], given: readonly string[] | undefined): {
  nameOf: (label: unknown, where: string) => string | undefined;
  classes: () => readonly string[] | undefined;
} {
  const names = given ?? tables[0].names;
  let most = -1;
  return {
    nameOf(label, where) {
      if (label === null || label === undefined) return undefined;
      if (typeof label === "string") return label;
      const number = typeof label === "number" || typeof label === "bigint" ? Number(label) : NaN;
      if (Number.isInteger(number) && names && number === -1) return undefined; // Hugging Face's mark of no label
      if (!(Number.isInteger(number) && number >= 0 && number < (names?.length ?? MAX_CLASSES))) {
        const limit = names ? ` below ${names.length}, the number of classes` : "";
        throw new Error(`${where} is ${String(label)}, neither a text nor a whole number from 0 on${limit}`);
      }
      most = Math.max(most, number);
      return names?.[number] ?? String(number);
    },
    classes: () => names ?? (most < 0 ? undefined : Array.from({ length: most + 1 }, (_, i) => String(i))),
  };
}

/** {@link parquetSource} of open bytes, which the source closes, also where it fails. */
export async function openParquet(
  files: readonly Bytes[],
  options: ParquetOptions,
  name = files[0].name,
): Promise<ImageSource> {
  const groups = new Groups();
  const close = () => {
    groups.clear();
    for (const bytes of files) bytes.close();
  };
  try {
    const tables: Table[] = [];
    for (const bytes of files) tables.push(await openTable(bytes, options));
    const { nameOf, classes } = namer(tables, options.classNames), entries: ImageEntry[] = [];
    for (const table of tables) {
      const pictures = new Pictures(table, groups), { label, bytes } = table;
      const labels = label === undefined ? [] : await readColumn(table, label, 0, pictures.rows);
      for (let row = 0; row < pictures.rows; row++) {
        entries.push({
          name: `${bytes.name}[${row}]`,
          class: nameOf(labels[row], `${bytes.name}: ${label} of row ${row}`),
          read: () => pictures.read(row),
        });
      }
    }
    const labelled = entries.some((entry) => entry.class !== undefined);
    return { name, entries, classes: labelled ? classes() : undefined, close };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Pictures in Parquet files as a source: a column of PNG, JPEG, WebP, GIF or BMP files' bytes, as data sets of Hugging Face
 * have it, and one of labels. Row groups are read when their pictures are asked for; the last
 * ones are kept, up to 256 MiB.
 * @param paths of one or more files of one table, in their order
 * @param name what messages call it; default the first path
 * @throws Error that begins with the file's path: it is damaged or cut off, has no column of pictures or several, claims more
 *   rows than it has bytes or over 1 GiB of pictures in a row group, or a label is neither a text nor a class's number.
 *   RangeError if there is no path. Reading a picture throws one for a row without bytes.
 */
export async function parquetSource(
  paths: string | readonly string[],
  options: ParquetOptions = {},
  name?: string,
): Promise<ImageSource> {
  const files: Bytes[] = [];
  try {
    for (const path of typeof paths === "string" ? [paths] : paths) files.push(await openBytes(path));
    if (files.length === 0) throw new RangeError("parquetSource takes at least one path");
  } catch (error) {
    for (const bytes of files) bytes.close();
    throw error;
  }
  return await openParquet(files, options, name);
}
