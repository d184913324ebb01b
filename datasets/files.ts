/** What sources of data share: permissions, the user's cache, gzip, downloads that are checked. */
import { progressBar } from "../core/mod.ts";

const DOWNLOAD_MS = 300_000;

/** Whether a permission is there; never asks for it. */
export async function isGranted(descriptor: Deno.PermissionDescriptor): Promise<boolean> {
  return "Deno" in globalThis && (await Deno.permissions.query(descriptor)).state === "granted";
}

/** The path of a file in a directory, gzipped or not; undefined where it is not there or may not be read. */
export async function findFile(dir: string, name: string): Promise<string | undefined> {
  for (const path of [`${dir}/${name}.gz`, `${dir}/${name}`]) {
    if (await isGranted({ name: "read", path }) && await Deno.stat(path).then(() => true, () => false)) {
      return path;
    }
  }
}

/** Where downloads of a source are kept: in the user's cache directory; undefined where the environment tells none. */
export async function cacheDirectory(source: string): Promise<string | undefined> {
  for (const [variable, rest] of [["XDG_CACHE_HOME", ""], ["HOME", "/.cache"], ["LOCALAPPDATA", ""]]) {
    if (!(await isGranted({ name: "env", variable }))) continue;
    const base = Deno.env.get(variable);
    if (base) return `${base}${rest}/denoise/${source}`;
  }
}

/**
 * Inflates gzip; other bytes pass through.
 * @throws Error that names the file where the data is damaged.
 */
export async function gunzip(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream()
      .pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (cause) {
    throw new Error(`${name}: the gzip data is damaged or truncated (${(cause as Error).message})`, {
      cause,
    });
  }
}

/** The SHA-256 of some bytes, in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)).toHex();
}

/**
 * Downloads a file, with a progress bar.
 * @param hash the SHA-256 of what the file holds once inflated
 * @returns the bytes as they came
 * @throws Error if the server has it not, or its content has another hash.
 */
export async function download(url: string, hash: string): Promise<Uint8Array> {
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
      bar.update(Math.round(done / 1024));
    }
  } finally {
    bar.stop();
  }
  const bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const got = await sha256(await gunzip(bytes, url));
  if (got !== hash) throw new Error(`${url}: SHA-256 of its content is ${got}, not ${hash}`);
  return bytes;
}
