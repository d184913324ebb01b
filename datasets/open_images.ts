/** Pictures from wherever they are: which of the sources it is, its content tells. */
import { downloadFile, type DownloadOptions, type HubFile, hubFiles, parseHubAddress } from "../core/mod.ts";
import { type Archive, archiveSource, isPicture } from "./images/archive.ts";
import { type Bytes, inflate, openBytes } from "./images/bytes.ts";
import { cifarInArchive, type CifarOptions, cifarSource, isCifar } from "./cifar.ts";
import { type ImageDataset, imageDataset, type ImageOptions } from "./images/dataset.ts";
import { folderSource } from "./image_folder.ts";
import { sniff } from "./images/format.ts";
import { type IdxOptions, idxSource, isIdx } from "./idx.ts";
import { isNpy, isNpz, type NumpyOptions, openNumpy } from "./npy.ts";
import { openParquet, type ParquetOptions, parquetSource } from "./parquet.ts";
import type { ImageSource } from "./images/source.ts";
import { filesOfPart, foldersOfPart } from "./images/splits.ts";
import { isTar, openTar, openTarGz } from "./tar.ts";
import { openZip } from "./zip.ts";

/** Options of {@link openImageSource}: those of all sources; one that a source does not know does nothing. */
export interface SourceOptions
  extends NumpyOptions, ParquetOptions, IdxOptions, CifarOptions, DownloadOptions {
  /**
   * Which part of a data set: `train`, `validation` or `test`, by their usual names, or another word. It is told by the names
   * of a directory's or Hugging Face's tables and archives, and by folders, of a directory or an archive, where all of them
   * are parts. Default `train`, which is all where there are no parts.
   */
  split?: string;
}

/** Bytes that tell what a file is. */
const HEAD_BYTES = 512;

/** A kind of file. */
interface Kind {
  /** As it is listed where a file is none of them. */
  name: string;
  /** Whether a file that begins with these bytes is one. */
  matches(head: Uint8Array, path: string, size: number): boolean;
  /** Opens it; it closes the bytes, also where it fails. */
  open(bytes: Bytes, options: SourceOptions): Promise<ImageSource>;
}

const startsWith = (head: Uint8Array, text: string): boolean =>
  String.fromCharCode(...head.subarray(0, text.length)) === text;

/** The kinds of files, the first that matches is the one; a new one is a row. */
const KINDS: readonly Kind[] = [
  {
    name: "a ZIP archive (.zip, .npz)",
    matches: (head) => startsWith(head, "PK\x03\x04") || startsWith(head, "PK\x05\x06"),
    async open(bytes, options) {
      const zip = await openZip(bytes);
      return isNpz(zip) ? await openNumpy(bytes, options) : await archiveOrCifar(zip, options);
    },
  },
  {
    name: "gzip of a TAR archive (.tar.gz) or of an IDX file",
    matches: (head) => startsWith(head, "\x1f\x8b"),
    async open(bytes, options) {
      const head = await headOf(inflate(bytes));
      if (isTar(head)) return await archiveOrCifar(await openTarGz(bytes), options);
      if (isIdx(head)) return await openIdx(bytes, options);
      throw new Error(`${bytes.name}: it is gzip of neither a TAR archive nor an IDX file of pictures`);
    },
  },
  {
    name: "a Parquet file (.parquet)",
    matches: (head) => startsWith(head, "PAR1"),
    open: (bytes, options) => openParquet([bytes], options),
  },
  {
    name: "NumPy's (.npy)",
    matches: isNpy,
    open: openNumpy,
  },
  {
    name: "a TAR archive (.tar)",
    matches: isTar,
    open: async (bytes, options) => await archiveOrCifar(await openTar(bytes), options),
  },
  {
    name: "an IDX file",
    matches: isIdx,
    open: openIdx,
  },
  {
    name: "CIFAR's (.bin)",
    matches: (_, path, size) => /\.bin$/i.test(path) && size > 0 && (size % 3073 === 0 || size % 3074 === 0),
    async open(bytes, options) {
      bytes.close();
      return await cifarSource(bytes.name, options);
    },
  },
];

async function openIdx(bytes: Bytes, options: SourceOptions): Promise<ImageSource> {
  bytes.close();
  return await idxSource(bytes.name, options);
}

/** An archive of pictures, or of CIFAR's files. */
async function archiveOrCifar(archive: Archive, options: SourceOptions): Promise<ImageSource> {
  const isOfCifar = isCifar(archive.members.map(({ name }) => name));
  return isOfCifar
    ? await cifarInArchive(archive, options)
    : archiveSource(archive, options.split ?? "train");
}

/** The first bytes of some pieces. */
async function headOf(pieces: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
  const head = new Uint8Array(HEAD_BYTES);
  let have = 0;
  for await (const piece of pieces) {
    const part = piece.subarray(0, HEAD_BYTES - have);
    head.set(part, have);
    if ((have += part.length) === HEAD_BYTES) break;
  }
  return head.subarray(0, have);
}

/** A file as a source. */
async function openFile(path: string, options: SourceOptions): Promise<ImageSource> {
  const bytes = await openBytes(path);
  try {
    const head = await bytes.read(0, Math.min(HEAD_BYTES, bytes.size));
    const kind = KINDS.find((kind) => kind.matches(head, path, bytes.size));
    if (kind) return await kind.open(bytes, options);
    const format = sniff(head);
    throw new Error(
      format
        ? `${path}: it is one picture (${format}); a folder or an archive of pictures is opened`
        : `${path}: it is none of what is opened: ${KINDS.map(({ name }) => name).join(", ")}`,
    );
  } catch (error) {
    bytes.close();
    throw error;
  }
}

/** What an address gives as a source. */
async function openAddress(address: string, options: SourceOptions): Promise<ImageSource> {
  const path = await downloadFile(address, options);
  try {
    return { ...await openFile(path, options), name: address };
  } catch (error) {
    throw new Error(`${address} was downloaded, but not opened: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

const isTable = (path: string): boolean => /\.parquet$/i.test(path);
const isArchive = (path: string): boolean => /\.(zip|tar|tar\.gz|tgz|npz|npy)$/i.test(path);

/** A directory as a source: of pictures, of Parquet files, or CIFAR's. */
async function openDirectory(dir: string, options: SourceOptions): Promise<ImageSource> {
  const { split = "train" } = options, files: string[] = [], folders: string[] = [];
  for await (const { name, isFile, isDirectory } of Deno.readDir(dir)) {
    if (isFile) files.push(name);
    if (isDirectory && !name.startsWith(".")) folders.push(name);
  }
  if (isCifar(files)) return await cifarSource(dir, options);
  const tables = files.filter(isTable).sort();
  if (tables.length > 0) {
    const own = filesOfPart(tables, split);
    if (own.length === 0) {
      throw new Error(`${dir}: no Parquet file is of ${split}: there are ${tables.join(", ")}`);
    }
    return await parquetSource(own.map((name) => `${dir}/${name}`), options, dir);
  }
  const parts = files.some(isPicture) ? undefined : foldersOfPart(dir, folders.sort(), split);
  return await folderSource(parts?.length === 1 ? `${dir}/${parts[0]}` : dir);
}

/** Where the Hub's data sets have Parquet files that it has made of them. */
const CONVERTED = "refs/convert/parquet";

/** The folders that some files are in. */
const foldersOf = (
  files: readonly HubFile[],
): string[] => [...new Set(files.map(({ path }) => path.replace(/[^/]*$/, "")))];

/** Pictures that lie on the Hub as they are, downloaded when they are read. */
function hubPictures(address: string, files: readonly HubFile[], split: string): ImageSource {
  const members = files.map(({ path, size, download }) => ({
    name: path,
    size,
    read: async () => await Deno.readFile(await download()),
  }));
  return archiveSource({ name: address, members, others: 0, close() {} }, split);
}

/** A data set on the Hub as a source: its Parquet files, else an archive, else its pictures, else what the Hub has made of it. */
async function openHub(address: string, options: SourceOptions): Promise<ImageSource> {
  const { split = "train" } = options, { files } = await hubFiles(address, "dataset");
  for (const [fits, what] of [[isTable, "Parquet files"], [isArchive, "archives"]] as const) {
    const found = files.filter(({ path }) => fits(path));
    if (found.length === 0) continue;
    const paths = filesOfPart(found.map(({ path }) => path), split),
      own = found.filter(({ path }) => paths.includes(path));
    const list = (some: readonly string[]) => some.slice(0, 10).join(", ") + (some.length > 10 ? ", …" : "");
    if (own.length === 0) {
      throw new Error(
        `${address}: none of its ${what} is of ${split}: ${list(found.map(({ path }) => path))}`,
      );
    }
    const folders = foldersOf(own);
    if (what === "Parquet files" ? folders.length > 1 : own.length > 1) {
      const choices = what === "Parquet files" ? folders : own.map(({ path }) => path);
      throw new Error(`${address}: it has several ${what}: add one of ${list(choices)} to the address`);
    }
    const places: string[] = [];
    for (const file of own) places.push(await file.download());
    return what === "archives"
      ? { ...await openFile(places[0], options), name: address }
      : await parquetSource(places, options, address);
  }
  const { name, revision, path } = parseHubAddress(address, "dataset");
  const isLast = revision === CONVERTED || path !== "" || files.some((file) => isPicture(file.path));
  if (isLast) return hubPictures(address, files, split);
  return await openHub(`hf://datasets/${name}@${CONVERTED}`, options);
}

/**
 * Finds what holds pictures and opens it as a source. A file is told by its content, not by its name:
 *
 * - a directory of pictures, in folders by class (or in those of its parts); of Parquet files; or with CIFAR's `.bin` files
 * - a `.zip`, `.tar` or `.tar.gz` archive of pictures, in such folders, or of CIFAR's `.bin` files
 * - a Parquet table with a column of pictures' bytes
 * - a `.npz` or `.npy` array, an IDX file (gzipped or not), or a `.bin` file of CIFAR
 * - an `https:` address of such a file, which is downloaded once
 * - `hf://datasets/OWNER/NAME[@REVISION][/PATH]`, a data set of Hugging Face, of which only what is needed is downloaded
 *
 * A script needs the permission to read the path; for an address besides `--allow-net` of its host, and to read and write the
 * cache directory; for Hugging Face that of huggingface.co and of the hosts that it keeps files on (`*.hf.co`,
 * `*.xethub.hf.co`), and to read `HF_HOME`, `HF_TOKEN` and `HOME` (`--allow-env`).
 * @param where a path or an address
 * @throws Error that begins with the path or the address: nothing is there, it is none of these, damaged, cut off, or lacks
 *   what an option names.
 */
export async function openImageSource(where: string, options: SourceOptions = {}): Promise<ImageSource> {
  if (where.startsWith("hf:")) return await openHub(where, options);
  if (/^https?:/i.test(where)) return await openAddress(where, options);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(where)) {
    throw new Error(`${where}: a path, an https: address or hf://datasets/OWNER/NAME is opened`);
  }
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(where);
  } catch (error) {
    throw new Error(`${where}: it cannot be opened (${(error as Error).message})`, { cause: error });
  }
  return info.isDirectory ? await openDirectory(where, options) : await openFile(where, options);
}

/**
 * Opens pictures from wherever they are as a dataset: {@link openImageSource}, decoded and resized by {@link imageDataset}.
 * @param where a path of a folder or a file, an `https:` address, or `hf://datasets/OWNER/NAME`
 * @param options of the images, of which `size` must be given, and of the source
 * @throws Error as both; RangeError for an option out of its range.
 */
export async function openImages(
  where: string,
  options: ImageOptions & SourceOptions,
): Promise<ImageDataset> {
  const source = await openImageSource(where, options);
  try {
    return await imageDataset(source, options);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}
