/** Bytes that are read piece by piece, so that a file larger than memory is a source too. */
import { cacheDirectory, isGranted } from "../../core/mod.ts";
import { PlacedFile } from "./placed_file.ts";

/** Bytes that can be read from any place. */
export interface Bytes {
  /** What messages call them, such as the file's path. */
  readonly name: string;
  /** How many there are. */
  readonly size: number;
  /**
   * A copy of those from `start` up to `end`.
   * @throws Error that begins with the name, where there are fewer.
   */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends what reading needs; nothing is read afterwards. A second call does nothing. */
  close(): void;
}

/** Bytes that a file in an archive or of a source may have, at most: it is read as a whole. */
export const MAX_MEMBER_BYTES = 256 * 2 ** 20;

/** @throws Error that says that a file is too large to be read as a whole. */
export function requireMemberSize(size: number): void {
  if (size <= MAX_MEMBER_BYTES) return;
  throw new Error(`it claims to be of ${size} bytes; a picture is read up to ${MAX_MEMBER_BYTES}`);
}

/** How many times its own size a compressed file may hold, and how much any may: pictures hardly get smaller. */
const MAX_RATIO = 100, ANY_INFLATED_BYTES = 2 ** 30;

/**
 * @param name what to call the compressed file
 * @param size bytes that it holds, as far as is known
 * @param packed bytes that it has itself
 * @throws Error that says that a file was made to fill a disk.
 */
export function requireInflatedSize(name: string, size: number, packed: number): void {
  const most = Math.max(ANY_INFLATED_BYTES, MAX_RATIO * packed);
  if (size <= most) return;
  throw new Error(
    `${name}: it holds ${size} bytes or more, in ${packed}; no more than ${most} are taken for pictures`,
  );
}

/** Bytes in memory, as {@link Bytes}. */
export function bytesOf(name: string, data: Uint8Array): Bytes {
  return {
    name,
    size: data.length,
    read: (start, end) => {
      if (end > data.length) return Promise.reject(endsBefore(name, end, data.length));
      return Promise.resolve(new Uint8Array(data.subarray(start, end)));
    },
    close() {},
  };
}

function endsBefore(name: string, end: number, size: number): Error {
  return new Error(`${name}: it is cut off: it has ${size} bytes, at least ${end} belong to it`);
}

/**
 * Opens a file. Needs the permission to read it.
 * @throws Error of the system that names the path.
 */
export async function openBytes(path: string): Promise<Bytes> {
  const file = await Deno.open(path), { size } = await file.stat(), parts = new PlacedFile(file);
  return {
    name: path,
    size,
    read: async (start, end) => {
      const bytes = end > size ? undefined : await parts.read(start, end);
      if (bytes?.length === end - start) return bytes;
      throw endsBefore(path, end, Math.min(size, start + (bytes?.length ?? size)));
    },
    close: () => parts.close(),
  };
}

/** Bytes read at a time by {@link piecesOf}. */
const PIECE_BYTES = 2 ** 18;

/** All bytes from the first on, in pieces. */
export async function* piecesOf(bytes: Bytes): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes.size; at += PIECE_BYTES) {
    yield await bytes.read(at, Math.min(bytes.size, at + PIECE_BYTES));
  }
}

/**
 * Inflates gzip of one or more members, in pieces.
 * @throws Error that begins with the name, where the data is damaged or truncated.
 */
export async function* inflate(bytes: Bytes): AsyncGenerator<Uint8Array> {
  const [{ createGunzip }, { Readable }] = await Promise.all([import("node:zlib"), import("node:stream")]);
  const gunzip = createGunzip(), packed = Readable.from(piecesOf(bytes));
  packed.on("error", (error) => gunzip.destroy(error));
  packed.pipe(gunzip);
  try {
    for await (const piece of gunzip) yield piece;
  } catch (error) {
    if ((error as { code?: string }).code?.startsWith("Z_") === false) throw error;
    throw new Error(`${bytes.name}: the gzip data is damaged or truncated (${(error as Error).message})`);
  } finally {
    packed.destroy();
  }
}

/** Bytes that a {@link Spool} keeps in memory. */
const SPOOL_MEMORY_BYTES = 256 * 2 ** 20;

/**
 * Bytes that are kept as they come, in memory, and from a limit on in a file without a name in the user's cache directory
 * that is gone with the process.
 */
export class Spool implements Bytes {
  size = 0;
  #pieces: { start: number; data: Uint8Array }[] = [];
  #file?: PlacedFile;

  /** @param memory bytes that are kept in memory, default 256 MiB */
  constructor(readonly name: string, readonly memory: number = SPOOL_MEMORY_BYTES) {}

  /**
   * Adds a piece; one call at a time.
   * @throws Error that begins with the name, where a file is needed and cannot be written.
   */
  async append(data: Uint8Array): Promise<void> {
    if (!this.#file && this.size + data.length > this.memory) await this.#spill();
    if (this.#file) await this.#file.write(this.size, data);
    else this.#pieces.push({ start: this.size, data: data.slice() });
    this.size += data.length;
  }

  async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (end > this.size) throw endsBefore(this.name, end, this.size);
    if (this.#file) return await this.#file.read(start, end);
    const bytes = new Uint8Array(end - start);
    let low = 0;
    for (let high = this.#pieces.length - 1; low < high;) {
      const middle = (low + high + 1) >> 1;
      if (this.#pieces[middle].start <= start) low = middle;
      else high = middle - 1;
    }
    for (let at = start; at < end; low++) {
      const { start: from, data } = this.#pieces[low], part = data.subarray(at - from, end - from);
      bytes.set(part, at - start);
      at += part.length;
    }
    return bytes;
  }

  close(): void {
    this.#pieces = [];
    this.#file?.close();
    this.#file = undefined;
    this.size = 0;
  }

  async #spill(): Promise<void> {
    const dir = await cacheDirectory("pictures");
    const why = `${this.name}: more than ${this.memory} bytes are kept in a file`;
    if (dir === undefined || !await isGranted({ name: "write", path: dir })) {
      throw new Error(`${why}, which needs the permission to write ${dir ?? "the user's cache directory"}`);
    }
    this.#file = await PlacedFile.nameless(dir);
    for (const { start, data } of this.#pieces) await this.#file.write(start, data);
    this.#pieces = [];
  }
}
