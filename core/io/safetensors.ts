/**
 * The safetensors format: a 64-bit little-endian header length, a JSON header (name → dtype, shape, byte range), bytes.
 * https://github.com/huggingface/safetensors
 */
import { HostArray } from "../data/array.ts";
import { parseJson, showJson } from "./json.ts";
import type { TypedArray } from "../tf.ts";

/** What a file holds; both records have no prototype, so that any name is one. */
export interface SafeTensors {
  /** Arrays by name. */
  tensors: Record<string, HostArray>;
  /** Text by name. */
  metadata: Record<string, string>;
}

/** The format's own limit on a header. */
const MAX_HEADER_BYTES = 100_000_000;
/** Where a header has the free text. */
const METADATA = "__metadata__";

/** Readers by dtype: bytes an element, and the array of ours that holds it. */
const READERS: ReadonlyMap<unknown, { bytes: number; read: (buffer: ArrayBuffer) => TypedArray }> = new Map([
  ["F32", { bytes: 4, read: (b: ArrayBuffer) => new Float32Array(b) }],
  ["F64", { bytes: 8, read: (b: ArrayBuffer) => Float32Array.from(new Float64Array(b), narrowFloat) }],
  ["F16", { bytes: 2, read: (b: ArrayBuffer) => new Float32Array(new Float16Array(b)) }],
  ["BF16", {
    bytes: 2,
    read: (b: ArrayBuffer) => new Float32Array(Uint32Array.from(new Uint16Array(b), (x) => x << 16).buffer),
  }],
  ["I32", { bytes: 4, read: (b: ArrayBuffer) => new Int32Array(b) }],
  ["I64", { bytes: 8, read: (b: ArrayBuffer) => Int32Array.from(new BigInt64Array(b), narrow) }],
  ["U8", { bytes: 1, read: (b: ArrayBuffer) => new Uint8Array(b) }],
  ["BOOL", { bytes: 1, read: (b: ArrayBuffer) => new Uint8Array(b) }],
]);

type Fields = Record<string, unknown>;

function isRecord(x: unknown): x is Fields {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

/** What {@link isCounts} asks for, in words. */
const COUNTS = "whole numbers from 0 to 2^53 - 1";

/** Whether a value is sizes or places that numbers here hold exactly. */
function isCounts(x: unknown): x is number[] {
  return Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function narrow(x: bigint): number {
  const n = Number(x);
  if (n !== (n | 0)) throw new Error(`the 64-bit number ${x} does not fit in 32 bits`);
  return n;
}

function narrowFloat(x: number): number {
  const n = Math.fround(x);
  if (Number.isFinite(x) && !Number.isFinite(n)) {
    throw new Error(`the 64-bit number ${x} is too large for 32 bits`);
  }
  return n;
}

function fail(why: string): never {
  throw new Error(`Not a valid safetensors file: ${why}`);
}

/** The header, and where it ends. */
function readHeader(bytes: Uint8Array): { header: Fields; end: number } {
  if (bytes.length < 8) fail(`${bytes.length} bytes are too few for a header`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    fail(`its header claims ${length} bytes, over the limit of ${MAX_HEADER_BYTES}`);
  }
  const end = 8 + Number(length);
  if (end > bytes.length) fail(`truncated: its header needs ${end} bytes, there are ${bytes.length}`);
  let header: unknown;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    header = parseJson(decoder.decode(bytes.subarray(8, end)));
  } catch (cause) {
    fail(`its header is no JSON of the format (${(cause as Error).message})`);
  }
  if (!isRecord(header)) fail(`its header is no object, but ${showJson(header)}`);
  return { header, end };
}

/** The free text of a header. */
function readMetadata(found: unknown): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (found === undefined || found === null) return metadata;
  if (!isRecord(found)) fail(`its ${METADATA} is not text by name, but ${showJson(found)}`);
  for (const [name, text] of Object.entries(found)) {
    if (typeof text !== "string" || !text.isWellFormed() || !name.isWellFormed()) {
      fail(`its ${METADATA} is not text by name: ${showJson(name)} is ${showJson(text)}`);
    }
    metadata[name] = text;
  }
  return metadata;
}

/** How a tensor stands in the file. */
interface Entry {
  /** Its name as an error shows it. */
  label: string;
  shape: number[];
  from: number;
  to: number;
  read: (buffer: ArrayBuffer) => TypedArray;
}

/** What a header says of a tensor; `size` is that of the data. */
function readEntry(name: string, entry: unknown, size: number): Entry {
  const label = showJson(name);
  if (!name.isWellFormed()) fail(`${label} is no Unicode text`);
  if (!isRecord(entry)) fail(`${label} is described by ${showJson(entry)}`);
  const { dtype, shape, data_offsets: range } = entry, reader = READERS.get(dtype);
  if (!reader) {
    fail(`${label} has dtype ${showJson(dtype)}; known are ${[...READERS.keys()].join(", ")}`);
  }
  if (!isCounts(shape)) fail(`${label} has the shape ${showJson(shape)}; right are ${COUNTS}`);
  if (!isCounts(range) || range.length !== 2) {
    fail(`${label} has the byte range ${showJson(range)}; right are two ${COUNTS}`);
  }
  let need = reader.bytes;
  for (const n of shape) {
    need *= n;
    if (!Number.isSafeInteger(need)) fail(`${label} has the shape [${shape}], over 2^53 bytes`);
  }
  const [from, to] = range;
  if (to - from !== need) {
    fail(`${label} of shape [${shape}] and dtype ${dtype} needs ${need} bytes, its range has ${to - from}`);
  }
  if (to > size) fail(`truncated: ${label} ends at byte ${to} of the data, there are ${size}`);
  return { label, shape, from, to, read: reader.read };
}

/** @throws Error unless the ranges follow each other from the first byte to the last. */
function requireCover(entries: Entry[], size: number): void {
  let end = 0;
  for (const { label, from, to } of entries.toSorted((a, b) => a.from - b.from || a.to - b.to)) {
    if (from !== end) {
      fail(`the byte range of ${label} ${from < end ? "overlaps" : "leaves a gap after"} the one before`);
    }
    end = to;
  }
  if (end !== size) fail(`${size - end} bytes follow the last tensor`);
}

/**
 * Parses a file's bytes. Whole numbers of 64 bits and floats of 64 or 16 become those of 32, truth values bytes.
 * @throws Error that names the tensor and what is wrong: a truncated file; a header that is oversized, no JSON, nested
 * deeper than 128 levels, or has a name twice or one that is no Unicode; metadata that is no text by name; an unknown
 * dtype; a number that 32 bits do not hold; a byte range that does not fit the shape, lies outside the file, overlaps or
 * leaves gaps.
 */
export function decodeSafetensors(bytes: Uint8Array): SafeTensors {
  const { header, end } = readHeader(bytes);
  const { [METADATA]: text, ...rest } = header, data = bytes.subarray(end);
  const metadata = readMetadata(text);
  const entries = Object.entries(rest).map(([name, entry]) => readEntry(name, entry, data.length));
  requireCover(entries, data.length);
  const tensors: Record<string, HostArray> = Object.create(null);
  for (const [i, name] of Object.keys(rest).entries()) {
    const { label, shape, from, to, read } = entries[i];
    try {
      tensors[name] = new HostArray(read(data.slice(from, to).buffer), shape);
    } catch (cause) {
      fail(`${label}: ${(cause as Error).message}`);
    }
  }
  return { tensors, metadata };
}

/** The dtype of an array. */
function dtypeOf(data: unknown): string | undefined {
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof Uint8Array) return "U8";
}

/** @throws Error unless a reader will take this tensor. */
function requireWritable(name: string, { data, shape }: HostArray): void {
  const refuse = (why: string): never => {
    throw new Error(`encodeSafetensors: the tensor ${showJson(name)} ${why}`);
  };
  if (name === METADATA) throw new Error(`encodeSafetensors: no tensor may be called "${METADATA}"`);
  if (!name.isWellFormed()) refuse("has a name that is no Unicode text");
  if (!dtypeOf(data)) {
    const kind = (data as object)?.constructor?.name ?? String(data);
    refuse(`must be a Float32Array, Int32Array or Uint8Array, not ${kind}`);
  }
  if (!isCounts(shape)) refuse(`must have whole numbers of at least 0 for a shape, not [${shape}]`);
  const size = shape.reduce((a, b) => a * b, 1);
  if (size !== data.length) refuse(`of shape [${shape}] needs ${size} numbers, not ${data.length}`);
}

/** Options of {@link encodeSafetensors}. */
export interface SafeTensorsOptions {
  /** How a Float32Array is written: as it is, or rounded to half as many bytes; default F32. */
  floats?: "F32" | "F16";
}

/** The largest number that F16 holds. */
const MAX_HALF = 65_504;

/** Numbers rounded to F16, as an array of the same shape. */
function halved(name: string, { data, shape }: HostArray): { data: Uint16Array; shape: readonly number[] } {
  const half = Float16Array.from(data);
  const lost = half.findIndex((v, i) => Math.abs(v) === Infinity && v !== data[i]);
  if (lost >= 0) {
    throw new Error(
      `encodeSafetensors: the tensor ${showJson(name)} has ${data[lost]}; F16 holds up to ${MAX_HALF}`,
    );
  }
  return { data: new Uint16Array(half.buffer), shape };
}

/**
 * The bytes of a file with these tensors. Float32Array is F32 or, where asked, F16; Int32Array I32, Uint8Array U8.
 * @param metadata text by name; `format: "pt"`, which PyTorch's libraries ask for, is put in unless another is given
 * @throws RangeError for other floats. Error for a number that F16 does not hold, and that names what no reader could
 * read: a tensor called `__metadata__`, of another array, or whose shape is not of its length; a name or a text that is
 * no Unicode, metadata that is no text; a header over 100 MB.
 */
export function encodeSafetensors(
  tensors: Record<string, HostArray>,
  metadata: Record<string, string> = {},
  { floats = "F32" }: SafeTensorsOptions = {},
): Uint8Array<ArrayBuffer> {
  if (floats !== "F32" && floats !== "F16") {
    throw new RangeError(`encodeSafetensors: floats are F32 or F16, not ${floats}`);
  }
  const header: Record<string, unknown> = Object.create(null);
  const text: Record<string, string> = Object.assign(Object.create(null), { format: "pt" });
  for (const [name, value] of Object.entries(metadata)) {
    if (typeof value !== "string" || !value.isWellFormed() || !name.isWellFormed()) {
      throw new Error(`encodeSafetensors: metadata is text; ${showJson(name)} is ${showJson(value)}`);
    }
    text[name] = value;
  }
  header[METADATA] = text;
  for (const [name, array] of Object.entries(tensors)) requireWritable(name, array);
  const written = Object.entries(tensors).map(([name, array]) => {
    const dtype = dtypeOf(array.data)!;
    const { data, shape } = dtype === "F32" && floats === "F16" ? halved(name, array) : array;
    return { name, dtype: dtype === "F32" ? floats : dtype, data, shape };
  });
  // The widest elements first, so that every tensor is aligned.
  written.sort((a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  let end = 0;
  for (const { name, dtype, data, shape } of written) {
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  let json = JSON.stringify(header);
  const encoder = new TextEncoder();
  json += " ".repeat((8 - encoder.encode(json).length % 8) % 8);
  const head = encoder.encode(json);
  if (head.length > MAX_HEADER_BYTES) {
    throw new Error(
      `encodeSafetensors: names and metadata take ${head.length} bytes, over the format's ${MAX_HEADER_BYTES}`,
    );
  }
  const bytes = new Uint8Array(8 + head.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
  bytes.set(head, 8);
  let at = 8 + head.length;
  for (const { data } of written) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
