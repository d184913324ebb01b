/** ZIP archives (APPNOTE 6.3, with ZIP64), by zip.js. */
import type { Entry, FileEntry } from "npm:@zip.js/zip.js@2.24.0";
import type { Archive, Member } from "./images/archive.ts";
import { type Bytes, requireMemberSize } from "./images/bytes.ts";

/** Methods of compression. */
const STORED = 0, DEFLATED = 8;
/** What a file's own header begins with, and its bytes before the name. */
const LOCAL_HEADER = 0x04034b50, LOCAL_HEADER_BYTES = 30;

/** @throws Error if a file is encrypted or compressed by another method than deflate. */
function requireReadable({ encrypted, compressionMethod }: FileEntry): void {
  if (encrypted) throw new Error("it is encrypted: make the archive without a password");
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED) {
    throw new Error(`its compression method ${compressionMethod} is neither stored (0) nor deflated (8)`);
  }
}

/**
 * The pieces of a file in a ZIP archive, inflated up to the size that it claims.
 * @throws Error as {@link requireReadable}; and if its data is damaged, or holds more or less than it claims.
 */
async function* piecesOf(entry: FileEntry): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  requireReadable(entry);
  const { uncompressedSize } = entry;
  const { readable, writable } = new TransformStream<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >();
  const writer = writable.getWriter();
  const options = { useWebWorkers: false, checkSignature: true, checkOverlappingEntry: true };
  // zip.js leaves the stream as it is where it fails.
  entry.getData(new WritableStream({ write: (piece) => writer.write(piece) }), options)
    .then(() => writer.close(), (error) => writer.abort(error)).catch(() => {});
  let size = 0;
  for await (const piece of readable) {
    size += piece.length;
    if (size > uncompressedSize) {
      throw new Error(`it holds more than the ${uncompressedSize} bytes that it claims`);
    }
    yield piece;
  }
  if (size < uncompressedSize) {
    throw new Error(`it holds ${size} bytes, not the ${uncompressedSize} that it claims`);
  }
}

/**
 * What a file in an archive holds, whole: several times as fast as in pieces, as pictures are many and small.
 * @throws Error as {@link piecesOf}; before any memory is taken, if the file claims to be larger than a picture is.
 */
async function contentOf(bytes: Bytes, entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
  requireReadable(entry);
  const { offset, compressionMethod, compressedSize, uncompressedSize, signature } = entry;
  for (const size of [uncompressedSize, compressedSize]) requireMemberSize(size);
  const header = await bytes.read(offset, offset + LOCAL_HEADER_BYTES), view = new DataView(header.buffer);
  if (view.getUint32(0, true) !== LOCAL_HEADER) throw new Error(`there is no header of it at byte ${offset}`);
  const start = offset + LOCAL_HEADER_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  const packed = await bytes.read(start, start + compressedSize);
  const [{ crc32, inflateRaw }, { promisify }] = await Promise.all([
    import("node:zlib"),
    import("node:util"),
  ]);
  const content = compressionMethod === STORED
    ? packed
    : await promisify(inflateRaw)(packed, { maxOutputLength: uncompressedSize + 1 }).catch((error: Error) => {
      throw new Error(`its data is damaged, or more than it claims (${error.message})`);
    });
  if (content.length !== uncompressedSize) {
    throw new Error(`it holds ${content.length} bytes, not the ${uncompressedSize} that it claims`);
  }
  if (crc32(content) !== signature) throw new Error("its data is damaged: its checksum is another");
  return new Uint8Array(content);
}

/** A file of a ZIP archive, which can also be read in pieces. */
export interface ZipMember extends Member {
  /** Its content in pieces. */
  pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>>;
}

/** A ZIP archive. */
export interface ZipArchive extends Archive {
  readonly members: readonly ZipMember[];
}

/**
 * Opens a ZIP archive: its directory is read, its files when they are asked for. Names are only names: one with `..` or of
 * a root is read like any other, as nothing is written anywhere.
 * @throws Error that begins with the archive's name, if it is none or its directory is damaged. Reading a file throws one if
 *   that is encrypted, compressed by another method than deflate, claims more than 256 MiB, or is damaged.
 */
export async function openZip(bytes: Bytes): Promise<ZipArchive> {
  const { Reader, ZipReader } = await import("npm:@zip.js/zip.js@2.24.0");
  class BytesReader extends Reader<Bytes> {
    override size = bytes.size;
    override readUint8Array(start: number, length: number): Promise<Uint8Array> {
      return bytes.read(start, Math.min(bytes.size, start + length));
    }
  }
  const zip = new ZipReader(new BytesReader(bytes), { filenameValidation: "tolerant", useWebWorkers: false });
  let entries: Entry[];
  try {
    entries = await zip.getEntries();
  } catch (error) {
    throw new Error(`${bytes.name}: the ZIP archive is damaged or cut off (${(error as Error).message})`);
  }
  const files = new Map<string, ZipMember>();
  for (const entry of entries) {
    if (entry.directory) continue;
    files.set(entry.filename, {
      name: entry.filename,
      size: entry.uncompressedSize,
      read: () => contentOf(bytes, entry),
      pieces: () => piecesOf(entry),
    });
  }
  return { name: bytes.name, members: [...files.values()], others: 0, close: () => bytes.close() };
}
