/** The IDX format of MNIST and its kin: two zero bytes, type, rank, big-endian sizes, then the numbers. */
import { HostArray } from "../core/mod.ts";
import { findFile, gunzip } from "./files.ts";
import { pictureSizes, rowsSource } from "./images/rows.ts";
import type { ImageSource } from "./images/source.ts";

const UINT8 = 0x08;
/** Bytes of a header with as many axes as a byte counts. */
const LONGEST_HEADER_BYTES = 4 + 4 * 255;

/** What the header says. */
interface Header {
  shape: number[];
  /** Where the numbers begin. */
  start: number;
  /** How many there are. */
  size: number;
}

function readHeader(bytes: Uint8Array, rank: number | undefined, fail: (why: string) => never): Header {
  if (bytes.length < 4) fail(`${bytes.length} bytes are too few for an IDX header`);
  const [zero0, zero1, type, axes] = bytes;
  if (zero0 || zero1) fail(`the magic number 0x${bytes.slice(0, 4).toHex()} is not IDX's`);
  if (type !== UINT8) fail(`element type 0x${type.toString(16)} is not 0x08 (unsigned bytes)`);
  if (axes < 1 || (rank !== undefined && axes !== rank)) {
    fail(`it has ${axes} axes, expected ${rank ?? "at least 1"}`);
  }
  const start = 4 + 4 * axes;
  if (bytes.length < start) fail(`truncated in its header, at ${bytes.length} of ${start} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: axes }, (_, i) => view.getUint32(4 + 4 * i));
  let size = 1;
  for (const n of shape) {
    size *= n;
    if (!Number.isSafeInteger(size)) fail(`the shape [${shape}] is of more than 2^53 bytes`);
  }
  return { shape, start, size };
}

/**
 * Reads an IDX file of bytes, gzipped (in one member or several) or not. No more is inflated than its header claims.
 * @param name what to call it in errors; default `IDX file`
 * @param rank the number of axes it must have; default any, at least 1
 * @returns the bytes, a view of `bytes` where those are not gzipped
 * @throws Error that begins with the name: damaged gzip data, a wrong magic number, another element type or rank, or a
 * length that does not fit the sizes.
 */
export async function readIdx(
  bytes: Uint8Array,
  name = "IDX file",
  rank?: number,
): Promise<HostArray<Uint8Array>> {
  const fail = (why: string): never => {
    throw new Error(`${name}: ${why}`);
  };
  const { shape, start, size } = readHeader(await gunzip(bytes, name, LONGEST_HEADER_BYTES), rank, fail);
  const need = start + size, found = await gunzip(bytes, name, need + 1);
  if (found.length < need) {
    fail(`truncated: the shape [${shape}] needs ${need} bytes, there are ${found.length}`);
  }
  if (found.length > need) fail(`too long: the shape [${shape}] needs ${need} bytes, there are more`);
  return new HostArray(found.subarray(start), shape);
}

/** Options of {@link idxSource}. */
export interface IdxOptions {
  /**
   * The path of the file of labels, null for none; default the one beside the pictures whose name has `labels` and `idx1`
   * for `images` and `idx3`, where it is there.
   */
  labels?: string | null;
  /** The names of the classes, by label; default the labels' digits. */
  classNames?: readonly string[];
}

/** Whether bytes begin as an IDX file of pictures does: of bytes, with three or four axes. */
export const isIdx = ([zero0, zero1, type, axes]: Uint8Array): boolean =>
  zero0 === 0 && zero1 === 0 && type === 8 && (axes === 3 || axes === 4);

/** The file of labels that belongs to one of pictures, where it is there. */
async function labelsBeside(path: string): Promise<string | undefined> {
  const [, dir, file] = path.match(/^(.*?)([^/\\]*?)(?:\.gz)?$/)!;
  const name = file.replace("images", "labels").replace("idx3", "idx1");
  return name === file ? undefined : await findFile(dir.replace(/[/\\]$/, "") || ".", name);
}

/**
 * Pictures of an IDX file, [N,H,W] or [N,H,W,C] bytes, gzipped or not, as a source that keeps them in memory.
 * @param path of the file of pictures, such as `train-images-idx3-ubyte.gz`
 * @throws Error that begins with the path: the file is no IDX file, damaged or cut off, of no pictures, or its labels are
 *   more or fewer than its pictures.
 */
export async function idxSource(path: string, options: IdxOptions = {}): Promise<ImageSource> {
  const { labels = await labelsBeside(path), classNames } = options;
  const { data, shape } = await readIdx(await Deno.readFile(path), path);
  const sizes = pictureSizes(path, shape, "NHWC"), bytes = sizes.width * sizes.height * sizes.channels;
  return rowsSource({
    name: path,
    ...sizes,
    layout: "NHWC",
    bytes: (i) => Promise.resolve(data.slice(i * bytes, (i + 1) * bytes)),
    labels: labels ? (await readIdx(await Deno.readFile(labels), labels, 1)).data : undefined,
    classes: classNames,
    close() {},
  });
}
