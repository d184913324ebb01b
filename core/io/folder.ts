/** Folders of files on this disk, on the web or on the Hugging Face Hub: what is asked for is downloaded, and kept. */
import { isGranted } from "./cache.ts";
import { downloadFile, type DownloadOptions, requireAddress, sizeOfDownload } from "./download.ts";
import { exists, sha256OfFile } from "./files.ts";
import { hubFiles, parseHubAddress } from "./hugging_face.ts";
import { showJson } from "./json.ts";

/** A file of a folder. */
export interface FolderFile {
  /** What errors call it: its path or its address. */
  readonly name: string;
  /** Its place in the folder. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /**
   * Downloads it, unless it is on this disk.
   * @returns its path there
   * @throws Error that names it: it cannot be downloaded, or has another size or SHA-256 than it should.
   */
  download(): Promise<string>;
}

/** A folder. */
export interface Folder {
  /** What errors call it: its path or its address. */
  readonly name: string;
  /** What errors say of a file that is not in it. */
  readonly lack: string;
  /** Whether it is a directory of this disk. */
  readonly isLocal: boolean;
  /** What errors call a file in it. */
  nameOf(path: string): string;
  /**
   * A file of the folder.
   * @param path its place in the folder
   * @returns undefined where there is none
   * @throws Error that names it, where it may not be read, or a server refuses to tell.
   */
  find(path: string): Promise<FolderFile | undefined>;
  /** The paths of {@link FolderOptions.sha256} of which no file was asked for, or none is there. */
  unchecked(): string[];
}
type Source = Omit<Folder, "unchecked">;

/** Options of {@link openFolder}. */
export interface FolderOptions extends DownloadOptions {
  /** The SHA-256 that files must have, in hexadecimal, by their paths in the folder; default any. */
  sha256?: Record<string, string>;
}

/** `OWNER/NAME`, which may be a path too. */
const PLAIN = /^\w[\w.-]*\/\w[\w.-]*(@.+)?$/;

/** A directory of this disk. */
function localFolder(dir: string): Source {
  const nameOf = (path: string) => `${dir}/${path}`;
  return {
    name: dir,
    lack: "is not there",
    isLocal: true,
    nameOf,
    async find(path) {
      const name = nameOf(path),
        info = await Deno.stat(name).catch((cause) => {
          if (cause instanceof Deno.errors.NotFound) return undefined;
          throw new Error(`Could not read ${name}: ${cause.message}`, { cause });
        });
      return info?.isFile
        ? { name, path, size: info.size, download: () => Promise.resolve(name) }
        : undefined;
    },
  };
}

/** A folder of the web. A name is a name in it: what would lead elsewhere is escaped. */
function webFolder(address: string, options: DownloadOptions): Source {
  const base = requireAddress(address).pathname.replace(/\/+$/, "");
  const nameOf = (path: string) => {
    const url = new URL(address);
    url.hash = "";
    url.pathname = `${base}/${path.split("/").map(encodeURIComponent).join("/")}`;
    return url.href;
  };
  return {
    name: address,
    lack: "is not there",
    isLocal: false,
    nameOf,
    async find(path) {
      const name = nameOf(path), size = await sizeOfDownload(name, options);
      if (size === undefined) return undefined;
      if (!Number.isNaN(size)) return { name, path, size, download: () => downloadFile(name, options, size) };
      const place = await downloadFile(name, options);
      return { name, path, size: (await Deno.stat(place)).size, download: () => Promise.resolve(place) };
    },
  };
}

/** A model of the Hub, or a folder in it. */
async function hubFolder(address: string): Promise<Source> {
  const { files, offline } = await hubFiles(address, "model"),
    { path: folder } = parseHubAddress(address, "model");
  const nameOf = (path: string) => `${address.replace(/\/+$/, "")}/${path}`, prefix = folder && `${folder}/`;
  return {
    name: address,
    lack: offline ? "is not in the cache, and the Hub could not be asked" : "is not there",
    isLocal: false,
    nameOf,
    find(path) {
      const file = files.find((file) => file.path === prefix + path);
      return Promise.resolve(file && { ...file, name: nameOf(path), path });
    },
  };
}

/** A folder whose files have the SHA-256 that they should have. */
function checked(folder: Source, hashes: Record<string, string>): Folder {
  for (const [path, hash] of Object.entries(hashes)) {
    if (/^[0-9a-f]{64}$/i.test(hash)) continue;
    throw new Error(`sha256 of ${showJson(path)} is 64 hexadecimal digits, not ${showJson(hash)}`);
  }
  const left = new Set(Object.keys(hashes));
  return {
    ...folder,
    unchecked: () => [...left],
    async find(path) {
      const file = await folder.find(path);
      if (!file || !Object.hasOwn(hashes, path)) return file;
      left.delete(path);
      return {
        ...file,
        async download() {
          const place = await file.download(), got = await sha256OfFile(place);
          if (got === hashes[path].toLowerCase()) return place;
          const kept = folder.isLocal ? "" : `; the copy is ${place}, without which it is downloaded again`;
          throw new Error(`${file.name}: its SHA-256 is ${got}, not ${hashes[path]}${kept}`);
        },
      };
    },
  };
}

/** Whether a directory is there that may be read. */
const isThere = async (path: string): Promise<boolean> =>
  await isGranted({ name: "read", path }) && await exists(path);

/**
 * Opens a folder:
 *
 * - a path of this disk
 * - an `https:` address (`http:` on this machine), whose files are downloaded as {@link downloadFile} does
 * - `hf://OWNER/NAME[@REVISION][/PATH]`, a model of Hugging Face, as {@link hubFiles}; also `OWNER/NAME[@REVISION]`, where
 *   that is no path that is there
 * @throws Error that begins with what is given: an address of another form, or a model that is not there, or is private.
 */
export async function openFolder(where: string, options: FolderOptions = {}): Promise<Folder> {
  return checked(await anyFolder(where, options), options.sha256 ?? {});
}

async function anyFolder(where: string, options: DownloadOptions): Promise<Source> {
  if (where.startsWith("hf:")) return await hubFolder(where);
  if (/^https?:/i.test(where)) return webFolder(where, options);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(where)) {
    throw new Error(`${where}: a path, an https: address, hf://OWNER/NAME or OWNER/NAME is opened`);
  }
  if (!PLAIN.test(where) || await isThere(where)) return localFolder(where);
  try {
    return await hubFolder(`hf://${where}`);
  } catch (cause) {
    throw new Error(`${where}: it is no directory that can be read, and ${(cause as Error).message}`, {
      cause,
    });
  }
}
