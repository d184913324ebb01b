/** Files of data sets on the Hugging Face Hub, by its official client, kept in the cache that its Python client has too. */
import type { HubApiError, ListFileEntry } from "npm:@huggingface/hub@2.17.5";
import { progressBar, writeFile } from "../core/mod.ts";
import { hubCache, isGranted, variable } from "./cache.ts";

/** A data set's address, taken apart. */
export interface HubAddress {
  /** `OWNER/NAME` */
  name: string;
  /** A branch, a tag or a commit. */
  revision: string;
  /** A file or a folder in it; empty for all. */
  path: string;
}

/** A file of a data set. */
export interface HubFile {
  /** Its path in the data set. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Downloads it, unless it is in the cache; gives its place there. */
  download(): Promise<string>;
}

/** Where the Hub's data sets have Parquet files that it has made of them. */
export const CONVERTED = "refs/convert/parquet";

const FORM = "hf://datasets/OWNER/NAME[@REVISION][/PATH]";
/** The parts of an address; a revision with slashes is one of the Hub's own, or has them as %2F. */
const ADDRESS =
  /^hf:\/\/datasets\/(?<name>[\w.-]+\/[\w.-]+)(?:@(?<revision>refs\/(?:convert|pr)\/[^/]+|[^/]+))?(?:\/(?<path>.*))?$/;

/**
 * Takes an address apart.
 * @throws Error for one of another form.
 */
export function parseHubAddress(address: string): HubAddress {
  const { name, revision = "main", path = "" } = address.match(ADDRESS)?.groups ?? {};
  if (name === undefined) throw new Error(`${address}: a data set of Hugging Face is ${FORM}`);
  return { name, revision: decodeURIComponent(revision), path: path.replace(/\/+$/, "") };
}

/** What every request needs. */
interface Access {
  hubUrl: string;
  accessToken?: string;
}

async function accessOf(address: string): Promise<Access> {
  const accessToken = await variable("HF_TOKEN"),
    hubUrl = await variable("HF_ENDPOINT") ?? "https://huggingface.co";
  if (accessToken !== undefined && !accessToken.startsWith("hf_")) {
    throw new Error(`${address}: HF_TOKEN is no access token of Hugging Face: those begin with hf_`);
  }
  return { hubUrl: hubUrl.replace(/\/+$/, ""), accessToken };
}

/** What an error of the Hub means. */
function explain(address: string, error: unknown, { accessToken, hubUrl }: Access): Error {
  const { statusCode, message } = error as HubApiError, { name } = parseHubAddress(address);
  const why = statusCode === 401 || statusCode === 404
    ? `there is no such data set, revision or file, or it is private${
      accessToken ? ", and HF_TOKEN may not read it" : ": HF_TOKEN is to be an access token that may read it"
    }`
    : statusCode === 403
    ? `it may not be read with ${
      accessToken ? "this HF_TOKEN" : "no HF_TOKEN"
    }; see ${hubUrl}/datasets/${name} for its terms`
    : "the Hub could not be asked";
  return new Error(`${address}: ${why} (${message})`, { cause: error });
}

/** Whether a path from the Hub is one inside a folder. */
const isInside = (path: string): boolean =>
  path.split(/[/\\]/).every((part) => part !== "" && part !== "." && part !== "..");

/** Whether something is there. */
const exists = (path: string): Promise<boolean> => Deno.stat(path).then(() => true, () => false);

const folderOf = (path: string): string => path.replace(/\/[^/]*$/, "");

/** Writes a stream to a file, checked by its size and, where it is known, its SHA-256. */
async function save(path: string, blob: Blob, { path: name, size, lfs }: ListFileEntry): Promise<void> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256"),
    bar = progressBar(`download ${name.split("/").at(-1)}, KiB`, Math.ceil(size / 1024));
  const file = await Deno.open(path, { write: true, create: true, truncate: true });
  let done = 0;
  try {
    for await (const piece of blob.stream()) {
      done += piece.length;
      if (done > size) throw new Error(`${name} is longer than its ${size} bytes`);
      hash.update(piece);
      for (let written = 0; written < piece.length;) written += await file.write(piece.subarray(written));
      bar.update(Math.round(done / 1024));
    }
    await file.sync();
  } finally {
    bar.stop();
    file.close();
  }
  if (done !== size) throw new Error(`${name} broke off at ${done} of ${size} bytes`);
  const got = hash.digest("hex");
  if (lfs && lfs.oid !== got) throw new Error(`the SHA-256 of ${name} is ${got}, not ${lfs.oid}`);
}

/** Makes the name of a file in a commit, which is a link to its content (a copy where there are no links). */
async function link(blob: string, pointer: string, up: string): Promise<void> {
  await Deno.remove(pointer).catch(() => {}); // a link to what is gone
  await Deno.symlink(`${up}blobs/${blob.split("/").at(-1)}`, pointer).catch(() => Deno.rename(blob, pointer));
}

/** Files in a folder and those below. */
async function filesBelow(dir: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    found.push(
      ...isDirectory ? await filesBelow(`${dir}/${name}`, `${prefix}${name}/`) : [`${prefix}${name}`],
    );
  }
  return found.sort();
}

/** The files of a commit that are in the cache. */
async function cachedFiles(snapshot: string): Promise<HubFile[]> {
  return (await filesBelow(snapshot)).map((path) => ({
    path,
    size: 0,
    download: () => Promise.resolve(`${snapshot}/${path}`),
  }));
}

/** The files of a data set that are listed by the Hub. */
async function listedFiles(
  name: string,
  commit: string,
  cache: string,
  access: Access,
  address: string,
): Promise<HubFile[]> {
  const { downloadFile, listFiles } = await import("npm:@huggingface/hub@2.17.5");
  const repo = { type: "dataset", name } as const,
    files: HubFile[] = [],
    snapshot = `${cache}/snapshots/${commit}`;
  for await (const entry of listFiles({ ...access, repo, revision: commit, recursive: true })) {
    if (entry.type !== "file") continue;
    const { path, size } = entry, mark = entry.lfs?.oid ?? entry.xetHash ?? entry.oid ?? "";
    if (!isInside(path) || !/^\w+$/.test(mark)) {
      throw new Error(`${address}: the Hub names a file ${path} of content ${mark}`);
    }
    const pointer = `${snapshot}/${path}`, blob = `${cache}/blobs/${mark}`;
    files.push({
      path,
      size,
      download: async () => {
        if (await exists(pointer)) return pointer;
        await Deno.mkdir(`${cache}/blobs`, { recursive: true });
        await Deno.mkdir(folderOf(pointer), { recursive: true });
        if (!await exists(blob)) {
          const content = await downloadFile({ ...access, repo, path, revision: commit });
          if (!content) throw new Error(`${address}: ${path} is not there`);
          const part = `${blob}.${crypto.randomUUID().slice(0, 8)}.incomplete`; // others may load it too
          try {
            await save(part, content, entry);
            await Deno.rename(part, blob);
          } catch (error) {
            await Deno.remove(part).catch(() => {});
            const { statusCode, message } = error as HubApiError;
            throw statusCode
              ? explain(address, error, access)
              : new Error(`${address}: ${message}`, { cause: error });
          }
        }
        await link(blob, pointer, "../".repeat(path.split("/").length + 1));
        return pointer;
      },
    });
  }
  return files;
}

/**
 * The files of a data set on the Hub, or of the folder or the one file that the address names. They are downloaded when they
 * are asked for, into the cache that Hugging Face's clients share (`HF_HUB_CACHE`, else `hub` in `HF_HOME`, else
 * `~/.cache/huggingface/hub`). Where the Hub cannot be reached, those are given that are there. `HF_TOKEN` is sent if it is
 * set; `HF_ENDPOINT` names another server.
 * @throws Error that begins with the address: it is of another form, there is no such data set, it is private or its terms
 *   have not been accepted, the Hub cannot be reached, or it has no such file.
 */
export async function hubFiles(address: string): Promise<HubFile[]> {
  const { name, revision, path } = parseHubAddress(address),
    access = await accessOf(address),
    hub = await hubCache();
  if (hub === undefined) {
    throw new Error(`${address}: no cache is known: let HF_HOME or HOME be read (--allow-env)`);
  }
  const cache = `${hub}/datasets--${name.replaceAll("/", "--")}`, ref = `${cache}/refs/${revision}`;
  const { datasetInfo } = await import("npm:@huggingface/hub@2.17.5");
  let files: HubFile[];
  try {
    const { host } = new URL(access.hubUrl);
    if (!await isGranted({ name: "net", host })) throw new TypeError(`it needs --allow-net=${host}`);
    const { sha } = await datasetInfo({ ...access, name, revision, additionalFields: ["sha"] });
    if (!/^[0-9a-f]{40}$/.test(sha)) throw new Error(`${address}: the Hub says that its commit is ${sha}`);
    files = await listedFiles(name, sha, cache, access, address);
    if (revision !== sha && isInside(revision)) {
      await Deno.mkdir(folderOf(ref), { recursive: true });
      await writeFile(ref, sha);
    }
  } catch (error) {
    if ((error as HubApiError).statusCode) throw explain(address, error, access);
    if (!(error instanceof TypeError)) throw error; // fetch has those where there is no network
    const commit = /^[0-9a-f]{40}$/.test(revision) ? revision : await Deno.readTextFile(ref).catch(() => "");
    const snapshot = `${cache}/snapshots/${commit}`;
    if (commit === "" || !await exists(snapshot)) throw explain(address, error, access);
    files = await cachedFiles(snapshot);
  }
  const wanted = files.filter((file) =>
    path === "" || file.path === path || file.path.startsWith(`${path}/`)
  );
  if (wanted.length > 0) return wanted;
  throw new Error(`${address}: there is no ${path || "file"} in it`);
}
