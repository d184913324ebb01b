/** Files of the web, downloaded once. */
import { progressBar, sha256, writeFile } from "../../core/mod.ts";
import { cacheDirectory, isGranted } from "../cache.ts";

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
function requireAddress(address: string): URL {
  const url = URL.parse(address);
  if (url?.protocol === "https:" || url?.protocol === "http:" && LOOPBACK.includes(url.hostname)) return url;
  throw new Error(
    url
      ? `${address}: pictures are loaded by https: (http: from this machine alone)`
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

/** Writes what comes behind what is there, up to the size; gives how many bytes there are then. */
async function append(
  file: Deno.FsFile,
  { response, start, size }: Answer,
  touch: () => void,
  name: string,
): Promise<number> {
  const bar = progressBar(`download ${name}, KiB`, Number.isNaN(size) ? undefined : Math.ceil(size / 1024));
  let done = start;
  try {
    await file.truncate(start);
    await file.seek(start, Deno.SeekMode.Start);
    for await (const piece of response.body!) {
      touch();
      if (done + piece.length > size) {
        throw new Error(`the server sends more than the ${size} bytes that it announced`);
      }
      for (let written = 0; written < piece.length;) written += await file.write(piece.subarray(written));
      done += piece.length;
      bar.update(Math.round(done / 1024));
    }
    await file.sync();
    return done;
  } finally {
    bar.stop();
  }
}

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

/** Whether something is there. */
const exists = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);

/** Downloads a file to a path, unless another program, which is waited for, has done so meanwhile. */
async function load(url: URL, path: string): Promise<void> {
  const partial = `${path}.part`, stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const touch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(new Error(`no byte came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  };
  const file = await Deno.open(partial, { read: true, write: true, create: true });
  try {
    await file.lock(true).catch(() => {}); // some file systems have no locks
    if (await exists(path)) return await Deno.remove(partial).catch(() => {});
    touch();
    const [part, have] = await partOf(partial, file), answer = await ask(url, part, have, stop.signal);
    const { mark, size, start } = answer;
    if (start === 0) await writeFile(`${partial}.json`, JSON.stringify({ mark, size }));
    const done = await append(file, answer, touch, path.replace(/.*\//, ""));
    if (done < size) {
      throw new Error(`it broke off at ${done} of ${size} bytes; a next call goes on from there`);
    }
    await Deno.rename(partial, path);
    await Deno.remove(`${partial}.json`);
  } finally {
    clearTimeout(timer);
    file.close();
  }
}

/**
 * Downloads a file, once: a later call gives the file that is there, without asking the server. A download that broke off
 * is gone on with, if the server says that the file is still the same. Needs the permissions for the host, and to read and
 * write the cache.
 * @param address of https:, or of http: on this machine
 * @returns the path of the file
 * @throws Error that begins with the address: another protocol, no permission, the server's refusal, fewer or more bytes than
 *   it announced, or a minute without any.
 */
export async function downloadFile(address: string, options: DownloadOptions = {}): Promise<string> {
  const url = requireAddress(address), { downloadDir = await cacheDirectory("downloads") } = options;
  if (downloadDir === undefined) {
    throw new Error(
      `${address}: no directory for downloads is known: name one by downloadDir, or set HOME and let it be read`,
    );
  }
  url.hash = "";
  const name = url.pathname.replace(/.*\//, "").replace(/[^\w.-]/g, "_").slice(-100) || "file";
  const dir = `${downloadDir}/${(await sha256(new TextEncoder().encode(url.href))).slice(0, 16)}`,
    path = `${dir}/${name}`;
  if (await isGranted({ name: "read", path }) && await exists(path)) return path;
  if (!await isGranted({ name: "net", host: url.host })) {
    throw new Error(`${address}: it needs the permission to reach its host: --allow-net=${url.host}`);
  }
  if (!await isGranted({ name: "write", path: dir })) {
    throw new Error(
      `${address}: it needs the permission to write ${downloadDir}: --allow-write=${downloadDir}`,
    );
  }
  try {
    await Deno.mkdir(dir, { recursive: true });
    await load(url, path);
    return path;
  } catch (error) {
    throw new Error(`${address}: ${(error as Error).message}`, { cause: error });
  }
}
