/** What sources of data share: finding files, gzip, downloads that are checked. */
import { isGranted, progressBar, sha256 } from "../core/mod.ts";

const DOWNLOAD_MS = 300_000;

/** The path of a file in a directory, gzipped or not; undefined where it is not there or may not be read. */
export async function findFile(dir: string, name: string): Promise<string | undefined> {
  for (const path of [`${dir}/${name}.gz`, `${dir}/${name}`]) {
    if (await isGranted({ name: "read", path }) && await Deno.stat(path).then((s) => s.isFile, () => false)) {
      return path;
    }
  }
}

/** Bytes inflated at a time. */
const CHUNK_BYTES = 65_536;

/** The bytes of parts in a row. */
function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Inflates gzip of one or more members up to a length; other bytes pass through up to it. What lies beyond is neither
 * inflated nor looked at, so that a small file takes no more memory than it should hold.
 * @param name what to call the file in errors
 * @param limit most bytes that are given; whoever has more of them checks for one more than there should be
 * @throws Error that names the file where the data is damaged or truncated.
 */
export async function gunzip(bytes: Uint8Array, name: string, limit: number): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.subarray(0, limit);
  const { Inflate } = await import("npm:pako@3.0.3");
  const inflate = new Inflate({ chunkSize: CHUNK_BYTES }), parts: Uint8Array[] = [], full = new Error("full");
  let length = 0;
  inflate.onData = (chunk: Uint8Array) => {
    parts.push(chunk.slice(0, limit - length));
    length += parts.at(-1)!.length;
    if (length === limit) throw full;
  };
  try {
    inflate.push(bytes, true);
  } catch (error) {
    if (error !== full) throw error;
    return join(parts, length);
  }
  if (inflate.err || !inflate.ended) {
    throw new Error(`${name}: the gzip data is damaged or truncated (${inflate.msg || "it has no end"})`);
  }
  return join(parts, length);
}

/** What gzip adds to data that does not get smaller, at most. */
const PACKING_BYTES = 65_536;

/**
 * Downloads a file, with a progress bar.
 * @param size bytes of what the file holds once inflated; a server that sends more is not listened to
 * @param hash the SHA-256 of that
 * @returns the bytes as they came
 * @throws Error that names the address, if the server has it not, or its content has another length or hash.
 */
export async function download(url: string, size: number, hash: string): Promise<Uint8Array> {
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
  if (!response.ok || !response.body) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const kib = Math.ceil(Number(response.headers.get("content-length") ?? 0) / 1024);
  const bar = progressBar(`download ${url.split("/").at(-1)}, KiB`, kib || undefined);
  const parts: Uint8Array[] = [];
  let done = 0;
  try {
    for await (const part of response.body) {
      parts.push(part);
      done += part.length;
      if (done > size + PACKING_BYTES) {
        throw new Error(`${url}: it is longer than the ${size} bytes it should hold`);
      }
      bar.update(Math.round(done / 1024));
    }
  } finally {
    bar.stop();
  }
  const bytes = join(parts, done), content = await gunzip(bytes, url, size + 1);
  if (content.length !== size) {
    const length = content.length > size ? "more" : content.length;
    throw new Error(`${url}: it holds ${length} bytes, not ${size}`);
  }
  const got = await sha256(content);
  if (got !== hash) throw new Error(`${url}: SHA-256 of its content is ${got}, not ${hash}`);
  return bytes;
}
