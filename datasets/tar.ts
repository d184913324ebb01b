/**
 * TAR archives (POSIX ustar and pax, GNU's long names), gzipped or not. Packages for Deno give an archive's files in turn,
 * not where they lie; with their places a TAR file is read like a folder.
 */
import type { Archive, Member } from "./images/archive.ts";
import {
  type Bytes,
  inflate,
  MAX_MEMBER_BYTES,
  requireInflatedSize,
  requireMemberSize,
  Spool,
} from "./images/bytes.ts";

const BLOCK_BYTES = 512;
/** Bytes of a long name or of a pax header, at most. */
const MAX_HEADER_BYTES = 2 ** 20;

/** Bytes in a row. */
interface Sequence {
  /** Bytes so far. */
  readonly at: number;
  /** The next n, fewer at the end. */
  take(n: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Passes n over; gives how many there were. */
  skip(n: number): Promise<number>;
}

/** Bytes that have places: what is passed over is not read. */
function sequenceOf(bytes: Bytes): Sequence {
  let at = 0;
  const advance = (n: number): [start: number, end: number] => {
    const start = at;
    at = Math.min(bytes.size, at + n);
    return [start, at];
  };
  return {
    get at() {
      return at;
    },
    take: (n) => bytes.read(...advance(n)),
    skip: (n) => {
      const [start, end] = advance(n);
      return Promise.resolve(end - start);
    },
  };
}

/** Bytes that come in pieces. */
class Stream implements Sequence {
  at = 0;
  #piece: Uint8Array = new Uint8Array();

  constructor(readonly pieces: AsyncGenerator<Uint8Array>) {}

  /** The next bytes, at most n; none at the end. */
  async next(n: number): Promise<Uint8Array> {
    while (this.#piece.length === 0) {
      const { value, done } = await this.pieces.next();
      if (done) return new Uint8Array();
      this.#piece = value;
    }
    const part = this.#piece.subarray(0, n);
    this.#piece = this.#piece.subarray(n);
    this.at += part.length;
    return part;
  }

  async take(n: number): Promise<Uint8Array<ArrayBuffer>> {
    const taken = new Uint8Array(n);
    let done = 0;
    for (let part; done < n && (part = await this.next(n - done)).length > 0; done += part.length) {
      taken.set(part, done);
    }
    return taken.slice(0, done);
  }

  async skip(n: number): Promise<number> {
    let done = 0;
    for (let part; done < n && (part = await this.next(n - done)).length > 0; done += part.length);
    return done;
  }
}

const DECODER = new TextDecoder();

/** The text of a field, up to its first NUL. */
function textOf(block: Uint8Array, start: number, end: number): string {
  const field = block.subarray(start, end), stop = field.indexOf(0);
  return DECODER.decode(stop < 0 ? field : field.subarray(0, stop));
}

/** A number in octal digits, or in base 256 where the first bit is set (GNU); NaN for anything else. */
function numberOf(block: Uint8Array, start: number, end: number): number {
  if (block[start] & 0x80) {
    return block.subarray(start + 1, end).reduce((sum, byte) => sum * 256 + byte, block[start] & 0x7f);
  }
  const digits = textOf(block, start, end).trim();
  return digits === "" ? 0 : /^[0-7]+$/.test(digits) ? parseInt(digits, 8) : NaN;
}

/** Whether a header's checksum is right: the sum of its bytes, with blanks in place of the sum. */
function isHeader(block: Uint8Array): boolean {
  const sum = block.reduce((s, byte, i) => s + (i >= 148 && i < 156 ? 32 : byte), 0);
  return block.length === BLOCK_BYTES && sum === numberOf(block, 148, 156);
}

/** Whether bytes begin with the header of a TAR archive. */
export const isTar = (start: Uint8Array): boolean => isHeader(start.subarray(0, BLOCK_BYTES));

/** The fields of a pax header: lines of a length, a name and a value; undefined where they are none. */
function paxFields(bytes: Uint8Array): Map<string, string> | undefined {
  const fields = new Map<string, string>();
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    const length = parseInt(DECODER.decode(bytes.subarray(at, at + 20)), 10);
    const line = bytes.subarray(at, at + length),
      [, name, value] = DECODER.decode(line).match(/^\d+ ([^=]+)=([^]*)\n$/) ?? [];
    if (line.length !== length || name === undefined) return undefined;
    fields.set(name, value);
    at += length;
  }
  return fields;
}

/** A file of the archive whose content is next. */
interface Next {
  name: string;
  size: number;
}

/**
 * Walks through an archive.
 * @param take reads or passes over the content of a file, which is next in the sequence, and gives how many bytes there were
 * @returns how many things are no files: links, devices
 */
async function walk(
  name: string,
  sequence: Sequence,
  take: (file: Next) => Promise<number>,
): Promise<number> {
  let others = 0, longName: string | undefined, pax = new Map<string, string>();
  const shared = new Map<string, string>();
  const fail = (why: string): never => {
    throw new Error(`${name}: the TAR archive ${why}`);
  };
  while (true) {
    const at = sequence.at, block = await sequence.take(BLOCK_BYTES);
    if (block.length === 0 && at > 0) return others;
    if (block.length < BLOCK_BYTES) fail(`is cut off in the header at byte ${at}`);
    if (block.every((byte) => byte === 0)) return others;
    if (!isHeader(block)) fail(`is damaged: there is no header at byte ${at}`);
    const type = String.fromCharCode(block[156] || 0x30), ustar = textOf(block, 257, 262) === "ustar";
    const prefix = ustar && block[262] === 0 ? textOf(block, 345, 500) : "";
    const short = (prefix ? `${prefix}/` : "") + textOf(block, 0, 100);
    const file = pax.get("path") ?? longName ?? shared.get("path") ?? short, header = "LKxgX".includes(type);
    const size = header ? numberOf(block, 124, 136) : Number(pax.get("size") ?? numberOf(block, 124, 136));
    if (!Number.isSafeInteger(size) || size < 0) fail(`is damaged: the size of ${file} is no number`);
    if (header && size > MAX_HEADER_BYTES) {
      fail(`is damaged: a header at byte ${at} claims ${size} bytes, more than ${MAX_HEADER_BYTES}`);
    }
    let found: number;
    if (header) {
      const content = await sequence.take(size);
      found = content.length;
      if (type === "L") longName = textOf(content, 0, content.length);
      if (found === size && (type === "x" || type === "g")) {
        const fields = paxFields(content) ?? fail(`is damaged: the pax header at byte ${at} cannot be read`);
        for (const [key, value] of fields) (type === "x" ? pax : shared).set(key, value);
      }
    } else {
      const isFile = (type === "0" || type === "7") && !file.endsWith("/");
      if (!isFile && type !== "5" && !file.endsWith("/")) others++;
      // Links and devices have no content whatever their size says.
      found = isFile
        ? await take({ name: file, size })
        : "123456".includes(type)
        ? size
        : await sequence.skip(size);
      longName = undefined;
      pax = new Map();
    }
    if (found < size) fail(`is cut off: ${header ? "a header" : file} has ${found} of ${size} bytes`);
    const content = header || !"123456".includes(type) ? size : 0;
    await sequence.skip((BLOCK_BYTES - content % BLOCK_BYTES) % BLOCK_BYTES);
  }
}

function archiveOf(name: string, members: Member[], others: number, close: () => void): Archive {
  const last = new Map(members.map((member) => [member.name, member])); // what was appended later replaces a file
  return { name, members: [...last.values()], others, close };
}

/** A file whose content lies in bytes. */
function memberOf({ name, size }: Next, bytes: Bytes, start: number): Member {
  return {
    name,
    size,
    read: async () => {
      requireMemberSize(size);
      return await bytes.read(start, start + size);
    },
  };
}

/**
 * Opens a TAR archive: its headers are read, its files when they are asked for. Names are only names, see `openZip`.
 * @throws Error that begins with the archive's name, where it is damaged or cut off.
 */
export async function openTar(bytes: Bytes): Promise<Archive> {
  const members: Member[] = [], sequence = sequenceOf(bytes);
  const others = await walk(bytes.name, sequence, (file) => {
    members.push(memberOf(file, bytes, sequence.at));
    return sequence.skip(file.size);
  });
  return archiveOf(bytes.name, members, others, () => bytes.close());
}

/**
 * Opens a gzipped TAR archive: it is inflated once, and its files are kept, up to 256 MiB in memory, else in a file without a
 * name.
 * @throws Error that begins with the archive's name, where it is damaged or cut off, or holds over 1 GiB and over 100 times
 *   its own size: then it was made to fill a disk.
 */
export async function openTarGz(bytes: Bytes): Promise<Archive> {
  const { name } = bytes, members: Member[] = [], kept = new Spool(name), stream = new Stream(inflate(bytes));
  try {
    const others = await walk(name, stream, async (file) => {
      requireInflatedSize(name, stream.at + file.size, bytes.size);
      members.push(memberOf(file, kept, kept.size));
      const keep = file.size <= MAX_MEMBER_BYTES; // no other is read
      let found = 0;
      for (let part; found < file.size && (part = await stream.next(file.size - found)).length > 0;) {
        if (keep) await kept.append(part);
        found += part.length;
      }
      return found;
    });
    return archiveOf(name, members, others, () => kept.close());
  } catch (error) {
    kept.close();
    throw error;
  } finally {
    await stream.pieces.return(undefined);
    bytes.close();
  }
}
