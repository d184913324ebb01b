/** Files of the web, downloaded once. */
import { type ProgressBar, progressBar } from "../vis/progress.ts";
import { cacheDirectory, isGranted } from "./cache.ts";
import { exists, sha256, writeFile } from "./files.ts";

/** Options of what is downloaded from an `https:` address. */
export interface DownloadOptions {
  /** Where downloads are kept; default `denoise/downloads` in the user's cache directory. */
  downloadDir?: string;
}

/** Longest time without a byte from the server. */
const SILENCE_MS = 60_000;

/** What is kept beside a download that is not whole: what it is a part of. */
interface Part {
  /** The server's mark of the content, which changes with it. */
  mark: string;
  /** Bytes of the whole. */
  size: number;
}

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** @throws Error for an address that is neither https nor of this machine. */
export function requireAddress(address: string): URL {
  const url = URL.parse(address);
  if (url?.protocol === "https:" || url?.protocol === "http:" && LOOPBACK.includes(url.hostname)) return url;
  throw new Error(
    url
      ? `${address}: files are loaded by https: (http: from this machine alone)`
      : `${address}: it is no address of the web`,
  );
}

/** A server's answer, from a place on, with the mark and the size of the whole. */
interface Answer extends Part {
  response: Response;
  /** The place of its first byte. */
  start: number;
}

/** Asks for a file, from a place on if it still has the mark. */
async function ask(url: URL, part: Part | undefined, have: number, signal: AbortSignal): Promise<Answer> {
  const headers = new Headers({ "accept-encoding": "identity" }); // a size and a place are of the file itself
  if (part && have > 0) {
    headers.set("range", `bytes=${have}-`);
    headers.set("if-range", part.mark);
  }
  const response = await fetch(url, { headers, signal });
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    throw new Error(`${response.status} ${response.statusText}`.trim());
  }
  requireAddress(response.url); // where it was sent on to
  const get = (name: string) => response.headers.get(name),
    mark = strongMark(get("etag")) ?? get("last-modified") ?? "";
  const [, from, whole] = get("content-range")?.match(/^bytes (\d+)-\d+\/(\d+)$/) ?? [];
  if (response.status === 206 && Number(from) === have && Number(whole) === part?.size) {
    return { response, start: have, mark, size: part.size };
  }
  if (response.status === 206) {
    await response.body.cancel();
    throw new Error(`the server gives the part ${get("content-range")}, not that from ${have} on`);
  }
  return { response, start: 0, mark, size: Number(get("content-length") ?? NaN) };
}

/** A mark that only the same bytes have; a weak one says that they mean the same. */
const strongMark = (etag: string | null): string | null => etag?.startsWith("W/") ? null : etag;

/** A file is so large before its progress is shown. */
const SHOWN_BYTES = 2 ** 20;

/**
 * Shows how far a download is, where it takes a while.
 * @param name what it is called
 * @param size bytes of the whole; NaN where that is not known
 */
function downloadBar(name: string, size: number): ProgressBar {
  if (size < SHOWN_BYTES) return { update() {}, stop() {} };
  const bar = progressBar(
    `download ${name.replace(/.*\//, "")}, KiB`,
    Number.isNaN(size) ? undefined : Math.ceil(size / 1024),
  );
  return { update: (bytes) => bar.update(Math.round(bytes / 1024)), stop: () => bar.stop() };
}

/** What {@link append} is told. */
export interface Appending {
  /** The file's path, of which the name is shown. */
  path: string;
  /** Where the first byte belongs. */
  start: number;
  /** Bytes of the whole, which it has no more of; NaN where that is not known. */
  size: number;
  /** Called with each piece before it is written. */
  onPiece(piece: Uint8Array): void;
}

/** Writes what comes behind what is there; gives how many bytes there are then. */
export async function append(
  file: Deno.FsFile,
  pieces: AsyncIterable<Uint8Array>,
  { path, start, size, onPiece }: Appending,
): Promise<number> {
  const bar = downloadBar(path, size);
  let done = start;
  try {
    await file.truncate(start);
    await file.seek(start, Deno.SeekMode.Start);
    for await (const piece of pieces) {
      done += piece.length;
      if (done > size) throw new Error(`the server sends more than the ${size} bytes that it announced`);
      onPiece(piece);
      for (let written = 0; written < piece.length;) written += await file.write(piece.subarray(written));
      bar.update(done);
    }
    await file.sync();
    return done;
  } finally {
    bar.stop();
  }
}

/**
 * Makes a file whole beside its place, from what there is of it, unless another program, which is waited for, has done so
 * meanwhile.
 * @param body makes what is open whole; what it has written before it throws is kept
 */
export async function withPart(
  path: string,
  body: (file: Deno.FsFile, partial: string) => Promise<void>,
): Promise<void> {
  const partial = `${path}.part`;
  const file = await Deno.open(partial, { read: true, write: true, create: true });
  try {
    await file.lock(true).catch(() => {}); // some file systems have no locks
    if (await exists(path)) return await Deno.remove(partial).catch(() => {});
    await body(file, partial);
    await Deno.rename(partial, path);
  } finally {
    file.close();
  }
}

const tooLarge = (most: number): string => `the server sends more than the ${most} bytes that it may have`;

/** What a download that broke off is a part of, and how much of it there is, if its server can go on with it. */
async function partOf(path: string, file: Deno.FsFile): Promise<[part: Part | undefined, have: number]> {
  try {
    const { mark, size }: Part = JSON.parse(await Deno.readTextFile(`${path}.json`));
    const have = (await file.stat()).size;
    return typeof mark === "string" && mark !== "" && have < size ? [{ mark, size }, have] : [undefined, 0];
  } catch {
    return [undefined, 0];
  }
}

/** Downloads a file to a path. */
async function load(url: URL, path: string, most: number): Promise<void> {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const touch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(new Error(`no byte came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  };
  try {
    await withPart(path, async (file, partial) => {
      touch();
      const [part, have] = await partOf(partial, file);
      const { mark, size, start, response } = await ask(url, part, have, stop.signal);
      if (size > most) {
        await response.body?.cancel();
        throw new Error(tooLarge(most));
      }
      if (start === 0) await writeFile(`${partial}.json`, JSON.stringify({ mark, size }));
      let done = start;
      const onPiece = (piece: Uint8Array) => {
        touch();
        done += piece.length;
        if (done > most) throw new Error(tooLarge(most));
      };
      await append(file, response.body!, { path, start, size, onPiece });
      if (done < size) {
        throw new Error(`it broke off at ${done} of ${size} bytes; a next call goes on from there`);
      }
    });
    await Deno.remove(`${path}.part.json`).catch(() => {});
  } finally {
    clearTimeout(timer);
  }
}

/** Where a download is kept: its folder, and its path in that. */
async function placeOf(address: string, { downloadDir }: DownloadOptions) {
  const url = requireAddress(address), base = downloadDir ?? await cacheDirectory("downloads");
  if (base === undefined) {
    throw new Error(
      `${address}: no directory for downloads is known: name one by downloadDir, or set HOME and let it be read`,
    );
  }
  url.hash = "";
  const name = url.pathname.replace(/.*\//, "").replace(/[^\w.-]/g, "_").slice(-100) || "file";
  const dir = `${base}/${(await sha256(new TextEncoder().encode(url.href))).slice(0, 16)}`;
  return { url, base, dir, path: `${dir}/${name}` };
}

/** Whether a download is there; one that may not be read is not. */
const isKept = async (path: string): Promise<boolean> =>
  await isGranted({ name: "read", path }) && await exists(path);

/** @throws Error where the host may not be reached. */
async function requireHost(address: string, { host }: URL): Promise<void> {
  if (await isGranted({ name: "net", host })) return;
  throw new Error(`${address}: it needs the permission to reach its host: --allow-net=${host}`);
}

/**
 * Downloads a file, once: a later call gives the file that is there, without asking the server. A download that broke off
 * is gone on with, if the server says that the file is still the same. Needs the permissions for the host, and to read and
 * write the cache.
 * @param address of https:, or of http: on this machine
 * @param most bytes that it may have; default any number
 * @returns the path of the file
 * @throws Error that begins with the address: another protocol, no permission, the server's refusal, fewer or more bytes than
 *   it announced, more than `most`, or a minute without any.
 */
export async function downloadFile(
  address: string,
  options: DownloadOptions = {},
  most: number = Infinity,
): Promise<string> {
  const { url, base, dir, path } = await placeOf(address, options);
  if (await isKept(path)) return path;
  await requireHost(address, url);
  if (!await isGranted({ name: "write", path: dir })) {
    throw new Error(`${address}: it needs the permission to write ${base}: --allow-write=${base}`);
  }
  try {
    await Deno.mkdir(dir, { recursive: true });
    await load(url, path, most);
    return path;
  } catch (error) {
    throw new Error(`${address}: ${(error as Error).message}`, { cause: error });
  }
}

/** Answers that say that there is no such file. */
const ABSENT = [404, 410];

/**
 * Bytes of a file that {@link downloadFile} would give: of the one that is there, else as its server says.
 * @returns undefined where there is no such file; NaN where the server does not say how large it is
 * @throws Error that begins with the address: another protocol, no permission, or the server's refusal.
 */
export async function sizeOfDownload(
  address: string,
  options: DownloadOptions = {},
): Promise<number | undefined> {
  const { url, path } = await placeOf(address, options);
  if (await isKept(path)) return (await Deno.stat(path)).size;
  await requireHost(address, url);
  try {
    // Not HEAD, which addresses that are signed for GET refuse.
    const headers = { "accept-encoding": "identity", range: "bytes=0-0" };
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(SILENCE_MS) });
    await response.body?.cancel();
    if (ABSENT.includes(response.status)) return undefined;
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trim());
    requireAddress(response.url);
    const get = (name: string) => response.headers.get(name);
    return Number(
      response.status === 206 ? get("content-range")?.split("/")[1] : get("content-length") ?? NaN,
    );
  } catch (error) {
    throw new Error(`${address}: ${(error as Error).message}`, { cause: error });
  }
}
