/** The files of an archive or a folder, and pictures in an archive as a source. */
import type { ImageEntry, ImageSource } from "./source.ts";
import { foldersOfPart } from "./splits.ts";

/** A file by its name, which is never used as a path. */
export interface Member {
  /** As the archive has it, with `/` between folders. */
  readonly name: string;
  /** Bytes of its content, as the archive claims. */
  readonly size: number;
  /** Its content, which the caller may keep. */
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** The files of an archive. */
export interface Archive {
  /** What messages call it. */
  readonly name: string;
  /** Its files, in its order; no two of one name (of several the last is the one). */
  readonly members: readonly Member[];
  /** How many things in it are no files that can be read: links, devices. */
  readonly others: number;
  /** Ends reading. */
  close(): void;
}

/** Suffixes of pictures, also of those that are not read, so that they are told with the way to convert them. */
const PICTURE = /\.(png|apng|jpe?g|jfif|jpe|webp|gif|bmp|dib|tiff?|avif|hei[cf]|jxl|jp2|psd)$/i;

/** The folders and the file's name in a name; what only says "here" or "up" is left out. */
const partsOf = (name: string): string[] =>
  name.split(/[/\\]/).filter((part) => !["", ".", ".."].includes(part));

/** Whether a file or one of its folders is hidden, as those that macOS adds are. */
const isHidden = (name: string): boolean =>
  partsOf(name).some((part) => part.startsWith(".") || part === "__MACOSX");

/** How many folders all of these names begin with. */
function sharedFolders(names: readonly string[]): number {
  const [first, ...rest] = names.map((name) => partsOf(name).slice(0, -1));
  return first === undefined ? 0 : rest.reduce((shared, folders) => {
    const differ = folders.findIndex((folder, i) => i >= shared || folder !== first[i]);
    return Math.min(shared, differ < 0 ? folders.length : differ);
  }, first.length);
}

/** Whether a file is meant to be a picture, and not hidden. */
export const isPicture = (name: string): boolean => PICTURE.test(name) && !isHidden(name);

/**
 * The pictures of an archive: its files with a picture's suffix, hidden ones left out, in the order of their names. The
 * folder of a picture is its class; folders that all pictures are in say nothing.
 * @param part which pictures, where the folders are the parts of a data set (`train`, `test`, …), with the classes in them
 * @throws Error that begins with the archive's name, if its folders are parts, but none is that one.
 */
export function archiveSource(archive: Archive, part: string): ImageSource {
  const { name, members } = archive, found = members.filter((member) => isPicture(member.name));
  const shared = sharedFolders(found.map((member) => member.name));
  const folderOf = (member: Member, depth: number) => partsOf(member.name).slice(depth, -1)[0];
  const firsts = [...new Set(found.map((member) => folderOf(member, shared) ?? ""))];
  const parts = foldersOfPart(name, firsts.sort(), part), depth = parts ? shared + 1 : shared;
  const pictures = parts ? found.filter((member) => parts.includes(folderOf(member, shared))) : found;
  const entries = pictures.map((member): ImageEntry => ({
    name: member.name,
    class: folderOf(member, depth),
    size: member.size,
    read: () => member.read(),
  }));
  const hidden = members.filter((member) => isHidden(member.name)).length;
  return {
    name,
    entries: entries.sort((a, b) => a.name < b.name ? -1 : 1),
    others: archive.others + members.length - found.length - hidden,
    close: () => archive.close(),
  };
}
