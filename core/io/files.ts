/** Files that are either whole or not there. */

/** Temporary names: the file's, the process's id, a random part. */
const TEMPORARY = /^.+\.\d+\.[0-9a-f]{8}\.tmp$/;

/** The directory that a path is in. */
function directoryOf(path: string): string {
  return path.replace(/[^/\\]*$/, "") || ".";
}

/**
 * A new file beside another that is locked as long as its writer lives, so that {@link sweepTemporaryFiles} leaves it
 * alone. File systems without locks never give one either.
 */
async function createTemporary(path: string): Promise<{ temporary: string; file: Deno.FsFile }> {
  while (true) {
    const temporary = `${path}.${Deno.pid}.${crypto.randomUUID().slice(0, 8)}.tmp`;
    const file = await Deno.open(temporary, { write: true, createNew: true });
    const locked = await file.lock(true).then(() => true, () => false);
    // Another process may have swept it before it was locked.
    if (!locked || (await file.stat()).nlink !== 0) return { temporary, file };
    file.close();
  }
}

/** Makes a directory's entries last, where the system lets one open it. */
async function syncDirectory(dir: string): Promise<void> {
  const handle = await Deno.open(dir).catch(() => null);
  await handle?.sync().catch(() => {});
  handle?.close();
}

/**
 * Writes a file under a temporary name beside it, syncs it to the disk and renames it, so that whenever the process or
 * the machine dies the file is the old one or the new one as a whole. A symbolic link is replaced, not followed. Needs
 * the permissions to read and to write the directory (a rename is both).
 * @param path the file; its directory must be there
 * @throws Error that names the path, with the system's error as its cause; the old file is as it was then.
 */
export async function writeFile(path: string, content: Uint8Array | string): Promise<void> {
  if (ending) return await new Promise(() => {});
  const write = replaceFile(path, content);
  writing.add(write);
  try {
    await write;
  } finally {
    writing.delete(write);
  }
}

/** What {@link finishWriting} waits for, and whether it has been called. */
const writing = new Set<Promise<void>>();
let ending = false;

/**
 * Lets the files that are being written become whole, and begins no other: for a process that is about to end. A later
 * {@link writeFile} never settles.
 */
export async function finishWriting(): Promise<void> {
  ending = true;
  await Promise.allSettled(writing);
}

async function replaceFile(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  let made: { temporary: string; file: Deno.FsFile } | undefined;
  try {
    made = await createTemporary(path);
    const { temporary, file } = made;
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    await file.sync();
    await Deno.rename(temporary, path);
    await syncDirectory(directoryOf(path));
  } catch (cause) {
    if (made) await Deno.remove(made.temporary).catch(() => {});
    throw new Error(`Could not write ${path}: ${(cause as Error).message}`, { cause });
  } finally {
    made?.file.close();
  }
}

/**
 * Removes what processes that died in {@link writeFile} left beside a file; what is being written stays. Does nothing
 * where the permissions to read and write the directory are not there, or the directory is not.
 * @param path a file, which need not be there
 * @returns the names of the files that were removed
 */
export async function sweepTemporaryFiles(path: string): Promise<string[]> {
  const swept: string[] = [], dir = directoryOf(path);
  for (const name of ["read", "write"] as const) {
    if ((await Deno.permissions.query({ name, path: dir })).state !== "granted") return swept;
  }
  try {
    for await (const { name, isFile } of Deno.readDir(dir)) {
      if (!isFile || !TEMPORARY.test(name)) continue;
      const stray = `${dir}/${name}`;
      const file = await Deno.open(stray, { write: true }).catch(() => null);
      if (await file?.tryLock(true).catch(() => false)) {
        await Deno.remove(stray).then(() => swept.push(name), () => {});
      }
      file?.close();
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return swept;
}

/** Whether something is there. */
export const exists = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);

/** The SHA-256 of a file, in hexadecimal; it is read piece by piece. */
export async function sha256OfFile(path: string): Promise<string> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256"), file = await Deno.open(path);
  for await (const piece of file.readable) hash.update(piece);
  return hash.digest("hex");
}

/** The SHA-256 of some bytes, in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource)).toHex();
}

/**
 * The bytes at an address; files need read permission, other hosts net permission.
 * @throws Error that names the address and says what went wrong, which is its cause.
 */
export async function readBytes(url: URL): Promise<Uint8Array> {
  try {
    return url.protocol === "file:" ? await Deno.readFile(url) : await fetchBytes(url);
  } catch (cause) {
    throw new Error(`Could not read ${url}: ${(cause as Error).message}`, { cause });
  }
}

async function fetchBytes(url: URL): Promise<Uint8Array> {
  const response = await fetch(url);
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  await response.body?.cancel();
  throw new Error(`${response.status} ${response.statusText}`.trim());
}
