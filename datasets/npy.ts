/** Arrays in NumPy's files: `.npy`, one array, and `.npz`, a ZIP archive of them (numpy.lib.format, versions 1 to 3). */
import { type ImageLayout, pictureSizes, rowsSource } from "./images/rows.ts";
import type { Archive } from "./images/archive.ts";
import {
  type Bytes,
  bytesOf,
  MAX_MEMBER_BYTES,
  openBytes,
  requireInflatedSize,
  Spool,
} from "./images/bytes.ts";
import type { ImageSource } from "./images/source.ts";
import { openZip, type ZipArchive, type ZipMember } from "./zip.ts";

/** Options of {@link numpySource}. */
export interface NumpyOptions {
  /** Whether channels are the last axis, `NHWC`, or the second, `NCHW`; default `NHWC`. [N,H,W] is grey in both. */
  layout?: ImageLayout;
  /**
   * The values that become black and white, the first below the second; default [0, 1] for floats and booleans, [0, 255]
   * for whole numbers.
   */
  range?: [low: number, high: number];
  /** Of a `.npz`, the name of the array of pictures; default the only one with three or four axes. */
  images?: string;
  /**
   * The labels, whole numbers from 0 on, [N] or [N,1]: of a `.npz`, the name of their array, default the only one of that
   * shape with as many as there are pictures, null for none; of a `.npy`, the path of another, default none.
   */
  labels?: string | null;
  /** The names of the classes, by label; default the labels' digits. */
  classNames?: readonly string[];
}

/** The head of a `.npy` file. */
interface Header {
  shape: number[];
  /** Whether the first axis changes fastest. */
  fortran: boolean;
  type: ElementType;
  /** Where the numbers begin. */
  start: number;
  /** How many there are. */
  count: number;
}

/** Numbers of one type. */
interface ElementType {
  /** As NumPy writes it, without the order of its bytes. */
  code: string;
  bytes: number;
  littleEndian: boolean;
}

/** How a number is read. */
const READERS: Record<string, (view: DataView, at: number, littleEndian: boolean) => number> = {
  b1: (view, at) => view.getUint8(at),
  u1: (view, at) => view.getUint8(at),
  i1: (view, at) => view.getInt8(at),
  u2: (view, at, little) => view.getUint16(at, little),
  i2: (view, at, little) => view.getInt16(at, little),
  u4: (view, at, little) => view.getUint32(at, little),
  i4: (view, at, little) => view.getInt32(at, little),
  u8: (view, at, little) => Number(view.getBigUint64(at, little)),
  i8: (view, at, little) => Number(view.getBigInt64(at, little)),
  f2: (view, at, little) => view.getFloat16(at, little),
  f4: (view, at, little) => view.getFloat32(at, little),
  f8: (view, at, little) => view.getFloat64(at, little),
};
const FLOATS = ["f2", "f4", "f8"], MAGIC = "\x93NUMPY";

/** Whether bytes begin as a `.npy` file does. */
export const isNpy = (start: Uint8Array): boolean => String.fromCharCode(...start.subarray(0, 6)) === MAGIC;

/** Bytes of the longest header that is read. */
const MAX_HEADER_BYTES = 65_536;

/** What a header's text says: a literal of Python, of three entries. */
const HEADER =
  /^\{\s*'descr':\s*(?<descr>'[^']*'|\[.*\])\s*,\s*'fortran_order':\s*(?<fortran>True|False)\s*,\s*'shape':\s*\((?<shape>[\d\s,L]*)\)\s*(?:,\s*)?\}\s*$/;

/** @throws Error that begins with the name, for what is no array of numbers, or has fewer bytes than its shape needs. */
async function readHeader(bytes: Bytes): Promise<Header> {
  const fail = (why: string): never => {
    throw new Error(`${bytes.name}: ${why}`);
  };
  const start = await bytes.read(0, Math.min(12, bytes.size));
  if (!isNpy(start) || start.length < 12) fail("it does not begin as a .npy file does");
  const [major, minor] = start.subarray(6), view = new DataView(start.buffer);
  if (major < 1 || major > 3) fail(`version ${major}.${minor} of .npy is not one of 1, 2 and 3`);
  const [from, length] = major === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (length > MAX_HEADER_BYTES) fail(`its header claims ${length} bytes, more than ${MAX_HEADER_BYTES}`);
  const text = new TextDecoder().decode(await bytes.read(from, from + length));
  const { descr, fortran, shape: axes } = text.match(HEADER)?.groups ??
    fail(`its header cannot be read: ${text.trim().slice(0, 100)}`);
  const [, order, code] = descr.match(/^'([<>=|])(\w+)'$/) ?? [];
  if (/O/.test(code ?? "")) {
    fail(
      "it holds Python objects (pickle), which are not read as they could run anything: save an array of numbers",
    );
  }
  if (!READERS[code]) fail(`its numbers are of type ${descr}; ${Object.keys(READERS).join(", ")} are read`);
  const shape = axes.split(",").map((axis) => axis.trim().replace(/L$/, "")).filter(Boolean).map(Number);
  const count = shape.reduce((a, b) => a * b, 1),
    type = { code, bytes: Number(code[1]), littleEndian: order !== ">" };
  if (!Number.isSafeInteger(count * type.bytes)) fail(`the shape [${shape}] is of more than 2^53 bytes`);
  const need = from + length + count * type.bytes;
  if (bytes.size < need) {
    fail(`it is cut off: the shape [${shape}] needs ${need} bytes, there are ${bytes.size}`);
  }
  return { shape, fortran: fortran === "True", type, start: from + length, count };
}

/** The numbers in some bytes. */
function numbersOf(bytes: Uint8Array, { code, bytes: width, littleEndian }: ElementType): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), read = READERS[code];
  return Float64Array.from({ length: bytes.length / width }, (_, i) => read(view, i * width, littleEndian));
}

/** Rows of an array in Fortran's order in C's: the numbers of row i are every count-th, in the reversed order of axes. */
function rowOfFortran(bytes: Uint8Array, { shape, type }: Header, row: number): Uint8Array {
  const [count, ...rest] = shape, width = type.bytes, size = rest.reduce((a, b) => a * b, 1);
  const out = new Uint8Array(size * width),
    strides = rest.map((_, axis) => rest.slice(0, axis).reduce((a, b) => a * b, count));
  for (let i = 0; i < size; i++) {
    let left = i, from = row;
    for (let axis = rest.length - 1; axis >= 0; axis--) {
      from += left % rest[axis] * strides[axis];
      left = Math.floor(left / rest[axis]);
    }
    out.set(bytes.subarray(from * width, (from + 1) * width), i * width);
  }
  return out;
}

/** Gives the bytes of a row of an array, in C's order. */
async function rowReader(bytes: Bytes, header: Header): Promise<(row: number) => Promise<Uint8Array>> {
  const { shape: [rows], type, start, count, fortran } = header, size = count * type.bytes;
  if (!fortran) return (row) => bytes.read(start + row * size / rows, start + (row + 1) * size / rows);
  if (size > MAX_MEMBER_BYTES) {
    throw new Error(
      `${bytes.name}: an array in Fortran's order is read as a whole, up to ${MAX_MEMBER_BYTES} bytes, not ${size}: save ` +
        "numpy.ascontiguousarray of it",
    );
  }
  const whole = await bytes.read(start, start + size);
  return (row) => Promise.resolve(rowOfFortran(whole, header, row));
}

/** Labels: a vector of whole numbers, or one as a column. */
async function readLabels(bytes: Bytes): Promise<Float64Array> {
  const { shape, type, start, count } = await readHeader(bytes);
  if (!isLabels({ shape, type })) {
    throw new Error(
      `${bytes.name}: labels are whole numbers of shape [N] or [N,1], not ${type.code} of [${shape}]`,
    );
  }
  return numbersOf(await bytes.read(start, start + count * type.bytes), type);
}

const isLabels = ({ shape, type }: Pick<Header, "shape" | "type">): boolean =>
  (shape.length === 1 || shape.length === 2 && shape[1] === 1) && !FLOATS.includes(type.code);
const isPictures = ({ shape }: Header): boolean => shape.length === 3 || shape.length === 4;

/** An array of pictures as a source, from its bytes. */
async function arraySource(
  images: Bytes,
  labels: Bytes | undefined,
  { layout = "NHWC", range, classNames }: NumpyOptions,
  close: () => void,
): Promise<ImageSource> {
  const header = await readHeader(images), { type, shape } = header;
  const sizes = pictureSizes(images.name, shape, layout);
  const [low, high] = range ?? (FLOATS.includes(type.code) || type.code === "b1" ? [0, 1] : [0, 255]);
  if (!(low < high && Number.isFinite(high - low))) {
    throw new RangeError(`range is two numbers, the first below the second, not ${low} and ${high}`);
  }
  const rowOf = await rowReader(images, header), plain = type.code === "u1" && low === 0 && high === 255;
  const bytes = async (row: number): Promise<Uint8Array> => {
    const data = await rowOf(row);
    if (plain) return data;
    return Uint8Array.from(numbersOf(data, type), (value) => {
      if (value >= low && value <= high) return Math.round((value - low) / (high - low) * 255);
      throw new Error(
        `the value ${value} is not from ${low} to ${high}: the option range says what is black and white`,
      );
    });
  };
  return rowsSource({
    name: images.name,
    ...sizes,
    layout,
    bytes,
    labels: labels && await readLabels(labels),
    classes: classNames,
    close,
  });
}

/** The header of an array in an archive, of which no more is inflated. */
async function headerOf(zip: ZipArchive, member: ZipMember): Promise<Header> {
  const head = new Uint8Array(Math.min(member.size, MAX_HEADER_BYTES + 12)),
    name = `${zip.name}: ${member.name}`;
  let have = 0;
  try {
    for await (const piece of member.pieces()) {
      const part = piece.subarray(0, head.length - have);
      head.set(part, have);
      if ((have += part.length) === head.length) break;
    }
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`);
  }
  return await readHeader({ ...bytesOf(name, head), size: member.size });
}

/** An array of an archive, in memory or, a large one, in a file. */
async function unpack(zip: ZipArchive, member: ZipMember, packed: number): Promise<Spool> {
  const spool = new Spool(`${zip.name}: ${member.name}`);
  requireInflatedSize(spool.name, member.size, packed);
  try {
    for await (const piece of member.pieces()) await spool.append(piece);
    return spool;
  } catch (error) {
    spool.close();
    throw error;
  }
}

/** The arrays of a `.npz` by name, with their headers; those that are no arrays of numbers have the error instead. */
async function arraysOf(
  zip: ZipArchive,
): Promise<Map<string, { member: ZipMember; header: Header | Error }>> {
  const arrays = new Map<string, { member: ZipMember; header: Header | Error }>();
  for (const member of zip.members) {
    if (!member.name.endsWith(".npy")) continue;
    const header = await headerOf(zip, member).catch((error: Error) => error);
    arrays.set(member.name.slice(0, -4), { member, header });
  }
  return arrays;
}

/** The arrays of pictures and of labels in a `.npz`. */
async function chooseArrays(
  zip: ZipArchive,
  { images, labels }: NumpyOptions,
): Promise<{ images: ZipMember; labels?: ZipMember }> {
  const arrays = await arraysOf(zip);
  const list = Array.from(
    arrays,
    ([key, { header }]) => `${key} ${header instanceof Error ? "(not numbers)" : `[${header.shape}]`}`,
  ).join(", ") || "none";
  const named = (key: string): { member: ZipMember; header: Header } => {
    const found = arrays.get(key);
    if (!found) throw new Error(`${zip.name}: there is no array ${key}; there are ${list}`);
    if (found.header instanceof Error) throw found.header;
    return { member: found.member, header: found.header };
  };
  const only = (fits: (header: Header) => boolean, what: string, option: string): string | undefined => {
    const keys = Array.from(arrays).filter(([, { header }]) => !(header instanceof Error) && fits(header));
    if (keys.length > 1) {
      throw new Error(
        `${zip.name}: several arrays may be the ${what}: the option ${option} names one of ${list}`,
      );
    }
    return keys[0]?.[0];
  };
  const key = images ?? only(isPictures, "pictures", "images");
  if (key === undefined) {
    const broken = Array.from(arrays.values(), ({ header }) => header).find((header) =>
      header instanceof Error
    );
    throw broken ?? new Error(`${zip.name}: no array has three or four axes; there are ${list}`);
  }
  const pictures = named(key), [count] = pictures.header.shape;
  const fits = (header: Header) => isLabels(header) && header.shape[0] === count;
  const labelKey = labels === undefined ? only(fits, "labels", "labels") : labels;
  return {
    images: pictures.member,
    labels: labelKey === null || labelKey === undefined ? undefined : named(labelKey).member,
  };
}

/** A `.npz` as a source; `bytes` are closed at once, as what is needed of them is kept. */
async function npzSource(bytes: Bytes, options: NumpyOptions): Promise<ImageSource> {
  const kept: Spool[] = [], close = () => kept.forEach((spool) => spool.close());
  try {
    const zip = await openZip(bytes), { images, labels } = await chooseArrays(zip, options);
    for (const member of [images, labels]) if (member) kept.push(await unpack(zip, member, bytes.size));
    return await arraySource(kept[0], kept[1], options, close);
  } catch (error) {
    close();
    throw error;
  } finally {
    bytes.close();
  }
}

/** Whether a ZIP archive is a `.npz`: it holds arrays alone. */
export const isNpz = ({ members }: Archive): boolean =>
  members.length > 0 && members.every(({ name }) => name.endsWith(".npy"));

/** {@link numpySource} of open bytes, which the source closes, also where it fails. */
export async function openNumpy(bytes: Bytes, options: NumpyOptions): Promise<ImageSource> {
  if (!isNpy(await bytes.read(0, Math.min(6, bytes.size)))) return await npzSource(bytes, options);
  const { labels, images } = options, opened = [bytes], close = () => opened.forEach((one) => one.close());
  try {
    if (images !== undefined) {
      throw new Error(`${bytes.name}: a .npy has one array, of no name; images names one of a .npz`);
    }
    if (labels) opened.push(await openBytes(labels));
    return await arraySource(bytes, opened[1], options, close);
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Pictures in NumPy's files as a source: a `.npy`, whose rows are read when they are asked for, or a `.npz`, of which the
 * arrays of pictures and labels are inflated, up to 256 MiB in memory, else in a file without a name.
 * @param path of the file; what it is, its content tells
 * @throws Error that begins with the path: the file is damaged or cut off, holds objects (pickle) or no numbers, its arrays
 *   are no pictures [N,H,W], [N,H,W,C] or [N,C,H,W] (as `layout` says), no labels, several that may be them, or claim to hold
 *   over 1 GiB and over 100 times the size of the file. RangeError for a `range` that is none. Reading a picture throws one
 *   for a value outside of the range.
 */
export async function numpySource(path: string, options: NumpyOptions = {}): Promise<ImageSource> {
  return await openNumpy(await openBytes(path), options);
}
