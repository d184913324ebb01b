/** What the tests of sources share. */
import { assertRejects } from "@std/assert";
import { decodeImage } from "../../datasets/images/decode.ts";
import type { ImageEntry, ImageSource } from "../../mod.ts";

/** A file that `make_sources.py` made. */
export const golden = (name: string): string =>
  new URL(`../golden/sources/${name}`, import.meta.url).pathname;

/** The colour of the first pixel of an entry, or why it cannot be read. */
export async function colourOf(entry: ImageEntry): Promise<number[] | string> {
  try {
    const read = await entry.read(),
      { data, channels } = read instanceof Uint8Array ? await decodeImage(read, 1e6) : read;
    return [...data.subarray(0, channels)];
  } catch (error) {
    return (error as Error).message;
  }
}

/** Names, classes and colours of a source's entries. */
export async function contentsOf(
  { entries }: ImageSource,
): Promise<[string, string | undefined, number[] | string][]> {
  const rows: [string, string | undefined, number[] | string][] = [];
  for (const entry of entries) rows.push([entry.name, entry.class, await colourOf(entry)]);
  return rows;
}

/** Holds an error to its message, of which `FILE` is the path of a file with these bytes. */
export async function assertRefused(
  name: string,
  bytes: Uint8Array,
  open: (path: string) => Promise<unknown>,
  says: string,
): Promise<void> {
  await inFiles({ [name]: bytes }, async (dir) => {
    await assertRejects(() => open(`${dir}/${name}`), Error, says.replaceAll("FILE", `${dir}/${name}`));
  });
}

/** Runs a body with a directory that has these files. */
export async function inFiles(
  files: Record<string, Uint8Array>,
  body: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    for (const [name, bytes] of Object.entries(files)) {
      await Deno.mkdir(`${dir}/${name}`.replace(/[^/]*$/, ""), { recursive: true });
      await Deno.writeFile(`${dir}/${name}`, bytes);
    }
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
