/** Files that are either whole or not there. */

/**
 * Writes a file under a temporary name beside it and renames it, so that a crash leaves the old one. Needs the
 * permissions to read and to write there (a rename is both).
 * @throws Error that names the path, with the system's error as its cause.
 */
export async function writeFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  try {
    if (typeof content === "string") await Deno.writeTextFile(temporary, content);
    else await Deno.writeFile(temporary, content);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {});
    throw new Error(`Could not write ${path}: ${(cause as Error).message}`, { cause });
  }
}
