/** Folders of pictures: what people bring to train on. */
import { type ImageDataset, imageDataset, type ImageOptions } from "./images/dataset.ts";
import { sniff, SNIFF_BYTES } from "./images/format.ts";
import type { ImageEntry, ImageSource } from "./images/source.ts";

/** Names of files that are meant to be pictures: what they hold is decided by their first bytes. */
const SUFFIX = /\.(png|apng|jpe?g|jpe|jfif|webp|gif|bmp|dib|tiff?|avif|hei[cf]|jxl|jp2|psd)$/i;

/** What {@link listFolder} finds. */
interface Listing {
  entries: ImageEntry[];
  /** Files that are no pictures. */
  others: number;
}

/** Whether a file begins as a picture does; not where it cannot be read. */
async function startsAsPicture(path: string): Promise<boolean> {
  const bytes = new Uint8Array(SNIFF_BYTES);
  try {
    using file = await Deno.open(path);
    await file.read(bytes);
  } catch {
    return false;
  }
  return sniff(bytes) !== undefined;
}

/** Lists a folder's pictures, those of its subfolders too. */
async function listFolder(root: string): Promise<Listing> {
  const entries: ImageEntry[] = [], entered = new Set<string>();
  let others = 0;
  const unreadable = (name: string, error: unknown) =>
    add(name, () => Promise.reject(new Error((error as Error).message, { cause: error })));
  function add(name: string, read: ImageEntry["read"]): void {
    const slash = name.indexOf("/");
    entries.push({ name, class: slash > 0 ? name.slice(0, slash) : undefined, read });
  }
  async function enter(folder: string): Promise<void> {
    const path = folder ? `${root}/${folder}` : root, own: Deno.DirEntry[] = [];
    const real = await Deno.realPath(path);
    if (entered.has(real)) return; // a symbolic link to a folder that has been, or is, walked
    entered.add(real);
    for await (const entry of Deno.readDir(path)) if (!entry.name.startsWith(".")) own.push(entry);
    own.sort((a, b) => a.name < b.name ? -1 : 1);
    for (const entry of own) await take(folder ? `${folder}/${entry.name}` : entry.name, entry);
  }
  async function take(name: string, { isSymlink, ...kind }: Deno.DirEntry): Promise<void> {
    const path = `${root}/${name}`;
    try {
      const { isFile, isDirectory } = isSymlink ? await Deno.stat(path) : kind;
      if (isDirectory) return await enter(name);
      if (isFile && (SUFFIX.test(name) || await startsAsPicture(path))) add(name, () => Deno.readFile(path));
      else others++;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      unreadable(name, error);
    }
  }
  await enter("");
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  return { entries, others };
}

/**
 * A folder as a source of pictures, see {@link imageFolder}.
 * @throws Error that names the folder, where it is none or cannot be read.
 */
export async function folderSource(dir: string | URL): Promise<ImageSource> {
  const path = typeof dir === "string" ? dir : (await import("node:url")).fileURLToPath(dir);
  const root = path.replace(/(?<=.)[/\\]+$/, "");
  try {
    return { name: root, ...await listFolder(root) };
  } catch (cause) {
    throw new Error(`${root} is no folder of pictures that can be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * The pictures in a folder and its subfolders, as a dataset: PNG, JPEG, WebP, GIF and BMP of any size, of animations the
 * first frame, turned upright as their EXIF data says. What a file is decide its first bytes, not its suffix. Its class is
 * the name of the subfolder of `dir` that it is in, however deep; classes are sorted by name. Items are in the order of
 * their paths. Hidden files are passed over without a word and other files are counted; symbolic links are followed, each
 * folder being entered once. Needs the permission to read the folder.
 * @param dir the folder
 * @param options see {@link ImageOptions}; `size` must be given
 * @throws Error that names the folder, where it is none, and as {@link imageDataset}.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { encodePng, imageFolder } from "../mod.ts";
 * import { writeFile } from "../core/mod.ts";
 * const dir = await Deno.makeTempDir();
 * const grey = encodePng({ width: 2, height: 2, channels: 1, data: new Uint8Array(4) });
 * for (const name of ["cats", "dogs"]) {
 *   await Deno.mkdir(`${dir}/${name}`);
 *   await writeFile(`${dir}/${name}/1.png`, grey);
 * }
 * using pictures = await imageFolder(dir, { size: 32, log: () => {} });
 * const [images, labels] = await pictures.items(Int32Array.of(1));
 * assert(images.shape.join() === "1,32,32,3" && pictures.classes[labels.data[0]] === "dogs");
 * ```
 */
export async function imageFolder(dir: string | URL, options: ImageOptions): Promise<ImageDataset> {
  return await imageDataset(await folderSource(dir), options);
}
