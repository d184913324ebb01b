/**
 * The safetensors format: a 64-bit little-endian header length, a JSON header (name → dtype, shape, byte range), bytes.
 * https://github.com/huggingface/safetensors
 */
import { HostArray } from "../data/array.ts";
import type { TypedArray } from "../tf.ts";

/** What a file holds: arrays by name, and free text by name. */
export interface SafeTensors {
  /** Arrays by name. */
  tensors: Record<string, HostArray>;
  /** Text by name. */
  metadata: Record<string, string>;
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** The format's own limit on a header. */
const MAX_HEADER_BYTES = 100_000_000;
/** Where a header has the free text. */
const METADATA = "__metadata__";

/** Readers by dtype: bytes an element, and the array of ours that holds it. */
const READERS: Record<string, { bytes: number; read: (buffer: ArrayBuffer) => TypedArray }> = {
  F32: { bytes: 4, read: (b) => new Float32Array(b) },
  F64: { bytes: 8, read: (b) => Float32Array.from(new Float64Array(b)) },
  F16: { bytes: 2, read: (b) => Float32Array.from(new Uint16Array(b), halfToFloat) },
  BF16: {
    bytes: 2,
    read: (b) => new Float32Array(Uint32Array.from(new Uint16Array(b), (x) => x << 16).buffer),
  },
  I32: { bytes: 4, read: (b) => new Int32Array(b) },
  I64: { bytes: 8, read: (b) => Int32Array.from(new BigInt64Array(b), narrow) },
  U8: { bytes: 1, read: (b) => new Uint8Array(b) },
  BOOL: { bytes: 1, read: (b) => new Uint8Array(b) },
};

function isRecord(x: unknown): boolean {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

function halfToFloat(h: number): number {
  const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function narrow(x: bigint): number {
  const n = Number(x);
  if (n !== (n | 0)) throw new Error(`the 64-bit number ${x} does not fit in 32 bits`);
  return n;
}

/**
 * Parses a file's bytes. 64-bit numbers become 32-bit ones; half floats become float32.
 * @throws Error that names the tensor and what is wrong: truncated file, oversized or invalid header, unknown dtype,
 * byte range that does not fit the shape, lies outside the file, or overlaps or leaves gaps.
 */
export function decodeSafetensors(bytes: Uint8Array): SafeTensors {
  const fail = (why: string): never => {
    throw new Error(`Not a valid safetensors file: ${why}`);
  };
  if (bytes.length < 8) fail(`${bytes.length} bytes are too few for a header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    fail(`its header claims ${length} bytes, over the limit of ${MAX_HEADER_BYTES}`);
  }
  if (8 + length > bytes.length) {
    fail(`truncated: its header needs ${8 + length} bytes, there are ${bytes.length}`);
  }
  let header: Record<string, Entry | Record<string, string>> = {};
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (cause) {
    fail(`its header is no JSON (${(cause as Error).message})`);
  }
  if (!isRecord(header)) fail("its header is no object");
  const { [METADATA]: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || Object.values(metadata).some((text) => typeof text !== "string")) {
    fail(`its ${METADATA} is not text by name`);
  }
  const data = bytes.subarray(8 + length);
  const tensors: Record<string, HostArray> = {};
  const ranges: [number, number, string][] = [];
  for (const [name, entry] of Object.entries(entries) as [string, Entry][]) {
    if (!isRecord(entry)) fail(`"${name}" is described by ${JSON.stringify(entry)}`);
    const { dtype, shape, data_offsets } = entry;
    const reader = READERS[dtype] ??
      fail(`"${name}" has dtype ${dtype}; known are ${Object.keys(READERS).join(", ")}`);
    const whole = (xs: unknown): xs is number[] =>
      Array.isArray(xs) && xs.every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!whole(shape)) fail(`"${name}" has the shape ${JSON.stringify(shape)}`);
    if (!whole(data_offsets) || data_offsets.length !== 2) {
      fail(`"${name}" has the byte range ${JSON.stringify(data_offsets)}`);
    }
    const [from, to] = data_offsets;
    const need = shape.reduce((a, b) => a * b, 1) * reader.bytes;
    if (to - from !== need) {
      fail(
        `"${name}" of shape [${shape}] and dtype ${dtype} needs ${need} bytes, its range has ${to - from}`,
      );
    }
    if (to > data.length) {
      fail(`truncated: "${name}" ends at byte ${to} of the data, there are ${data.length}`);
    }
    ranges.push([from, to, name]);
    try {
      tensors[name] = new HostArray(reader.read(data.slice(from, to).buffer), shape);
    } catch (cause) {
      fail(`"${name}": ${(cause as Error).message}`);
    }
  }
  let end = 0;
  for (const [from, to, name] of ranges.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    if (from !== end) {
      fail(`the byte range of "${name}" ${from < end ? "overlaps" : "leaves a gap after"} the one before`);
    }
    end = to;
  }
  if (end !== data.length) fail(`${data.length - end} bytes follow the last tensor`);
  return { tensors, metadata: metadata as Record<string, string> };
}

/**
 * The bytes of a file with these tensors. Float32Array is F32, Int32Array I32, Uint8Array U8.
 * @param metadata text by name; default none
 * @throws Error for a tensor of the name `__metadata__`, or metadata that is no text.
 */
export function encodeSafetensors(
  tensors: Record<string, HostArray>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  if (METADATA in tensors) throw new Error(`encodeSafetensors: no tensor may be called "${METADATA}"`);
  const wrong = Object.keys(metadata).find((name) => typeof metadata[name] !== "string");
  if (wrong !== undefined) {
    throw new Error(`encodeSafetensors: metadata is text; "${wrong}" is ${JSON.stringify(metadata[wrong])}`);
  }
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length) header[METADATA] = metadata;
  // The widest elements first, so that every tensor is aligned.
  const order = Object.entries(tensors).sort(([, a], [, b]) =>
    b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT
  );
  let end = 0;
  for (const [name, { data, shape }] of order) {
    const dtype = data instanceof Float32Array ? "F32" : data instanceof Int32Array ? "I32" : "U8";
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  let json = JSON.stringify(header);
  const encoder = new TextEncoder();
  json += " ".repeat((8 - encoder.encode(json).length % 8) % 8);
  const head = encoder.encode(json);
  const bytes = new Uint8Array(8 + head.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
  bytes.set(head, 8);
  let at = 8 + head.length;
  for (const [, { data }] of order) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
