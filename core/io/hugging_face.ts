/** Files of the Hugging Face Hub, by its official client, kept in the cache that its Python client has too. */
import type { HubApiError, ListFileEntry } from "npm:@huggingface/hub@2.17.5";
import { hubCache, isGranted, variable } from "./cache.ts";
import { append, withPart } from "./download.ts";
import { exists, writeFile } from "./files.ts";

/** What the Hub has. */
export type HubKind = "dataset" | "model";

/** The address of a data set or a model, taken apart. */
export interface HubAddress {
  /** `OWNER/NAME` */
  name: string;
  /** A branch, a tag or a commit; default `main`. */
  revision: string;
  /** A file or a folder in it; empty for all. */
  path: string;
}

/** A file of a data set or a model. */
export interface HubFile {
  /** Its path in it. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Downloads it, unless it is in the cache; gives its place there. */
  download(): Promise<string>;
}

/** What a kind is called, and where its names begin, in addresses and on the Hub's pages. */
const KINDS: Readonly<Record<HubKind, { noun: string; prefix: string }>> = {
  dataset: { noun: "data set", prefix: "datasets/" },
  model: { noun: "model", prefix: "" },
};

/** The parts of an address; a revision with slashes is one of the Hub's own, or has them as %2F. */
const REST =
  /^(?<name>[\w.-]+\/[\w.-]+)(?:@(?<revision>refs\/(?:convert|pr)\/[^/]+|[^/]+))?(?:\/(?<path>.*))?$/;
/** A commit's name. */
const COMMIT = /^[0-9a-f]{40}$/;
/** Owners that none of the Hub's models has, as its pages are there. */
const NO_OWNER = /^(datasets|models|spaces)\//;

/**
 * Takes an address apart.
 * @throws Error for one of another form.
 */
export function parseHubAddress(address: string, kind: HubKind): HubAddress {
  const { noun, prefix } = KINDS[kind], start = `hf://${prefix}`;
  const rest = address.startsWith(start) ? address.slice(start.length) : "";
  const { name, revision = "main", path = "" } = rest.match(REST)?.groups ?? {};
  if (name === undefined || kind === "model" && NO_OWNER.test(name)) {
    throw new Error(`${address}: a ${noun} of Hugging Face is ${start}OWNER/NAME[@REVISION][/PATH]`);
  }
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
function explain(address: string, kind: HubKind, error: unknown, { accessToken, hubUrl }: Access): Error {
  const { statusCode, message } = error as HubApiError, { name } = parseHubAddress(address, kind);
  const { noun, prefix } = KINDS[kind];
  const why = statusCode === 401 || statusCode === 404
    ? `there is no such ${noun}, revision or file, or it is private${
      accessToken ? ", and HF_TOKEN may not read it" : ": HF_TOKEN is to be an access token that may read it"
    }`
    : statusCode === 403
    ? `it may not be read with ${
      accessToken ? "this HF_TOKEN" : "no HF_TOKEN"
    }; see ${hubUrl}/${prefix}${name} for its terms`
    : "the Hub could not be asked";
  return new Error(`${address}: ${why} (${message})`, { cause: error });
}

/** Whether a path from the Hub is one inside a folder. */
const isInside = (path: string): boolean =>
  path.split(/[/\\]/).every((part) => part !== "" && part !== "." && part !== "..");

const folderOf = (path: string): string => path.replace(/\/[^/]*$/, "");

/** Makes a file of the Hub whole, checked by its size and, where it is known, its SHA-256. */
async function load(path: string, content: Blob, { path: name, size, lfs }: ListFileEntry): Promise<void> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256"), onPiece = (piece: Uint8Array) => hash.update(piece);
  await withPart(path, async (file, partial) => {
    const there = (await file.stat()).size, start = lfs && there < size ? there : 0; // what has no hash begins anew
    if (start > 0) {
      for await (const piece of (await Deno.open(partial)).readable) onPiece(piece);
    }
    const done = await append(file, (start > 0 ? content.slice(start) : content).stream(), {
      path: name,
      start,
      size,
      onPiece,
    });
    if (done < size) throw new Error(`${name} broke off at ${done} of ${size} bytes`);
    const got = hash.digest("hex");
    if (!lfs || lfs.oid === got) return;
    await Deno.remove(partial);
    throw new Error(`the SHA-256 of ${name} is ${got}, not ${lfs.oid}`);
  });
}

/** @throws Error where the cache may not be written. */
async function requireCache(address: string, cache: string): Promise<void> {
  if (await isGranted({ name: "write", path: cache })) return;
  throw new Error(`${address}: it needs the permission to write ${cache}: --allow-write=${cache}`);
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
  const files: HubFile[] = [];
  for (const path of await filesBelow(snapshot)) {
    const place = `${snapshot}/${path}`, info = await Deno.stat(place).catch(() => null);
    if (info) files.push({ path, size: info.size, download: () => Promise.resolve(place) }); // else a link to what is gone
  }
  return files;
}

/** The files of a commit that are listed by the Hub. */
async function listedFiles(
  kind: HubKind,
  name: string,
  commit: string,
  cache: string,
  access: Access,
  address: string,
): Promise<HubFile[]> {
  const { downloadFile, listFiles } = await import("npm:@huggingface/hub@2.17.5");
  const repo = { type: kind, name },
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
        await requireCache(address, cache);
        await Deno.mkdir(`${cache}/blobs`, { recursive: true });
        await Deno.mkdir(folderOf(pointer), { recursive: true });
        if (!await exists(blob)) {
          const content = await downloadFile({ ...access, repo, path, revision: commit });
          if (!content) throw new Error(`${address}: ${path} is not there`);
          try {
            await load(blob, content, entry);
          } catch (error) {
            const { statusCode, message } = error as HubApiError;
            throw statusCode
              ? explain(address, kind, error, access)
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

/** Files of the Hub. */
export interface HubFiles {
  /** Those that there are. */
  readonly files: HubFile[];
  /** Whether the Hub could not be reached, so that they are those of the cache alone. */
  readonly offline: boolean;
}

/**
 * The files of a data set or a model on the Hub, or of the folder or the one file that the address names. They are
 * downloaded when they are asked for, into the cache that Hugging Face's clients share (`HF_HUB_CACHE`, else `hub` in
 * `HF_HOME`, else `~/.cache/huggingface/hub`). Where the Hub cannot be reached, those are given that are there. `HF_TOKEN` is
 * sent if it is set; `HF_ENDPOINT` names another server.
 * @throws Error that begins with the address: it is of another form, there is no such repository, it is private or its terms
 *   have not been accepted, the Hub cannot be reached, or it has no such file.
 */
export async function hubFiles(address: string, kind: HubKind): Promise<HubFiles> {
  const { name, revision, path } = parseHubAddress(address, kind),
    access = await accessOf(address),
    hub = await hubCache();
  if (hub === undefined) {
    throw new Error(`${address}: no cache is known: let HF_HOME or HOME be read (--allow-env)`);
  }
  const cache = `${hub}/${kind}s--${name.replaceAll("/", "--")}`, ref = `${cache}/refs/${revision}`;
  const { datasetInfo, modelInfo } = await import("npm:@huggingface/hub@2.17.5");
  let files: HubFile[], offline = false;
  try {
    const { host } = new URL(access.hubUrl);
    if (!await isGranted({ name: "net", host })) throw new TypeError(`it needs --allow-net=${host}`);
    const asked = { ...access, name, revision, additionalFields: ["sha" as const] };
    const { sha } = kind === "dataset" ? await datasetInfo(asked) : await modelInfo(asked);
    if (!COMMIT.test(sha)) throw new Error(`${address}: the Hub says that its commit is ${sha}`);
    files = await listedFiles(kind, name, sha, cache, access, address);
    if (revision !== sha && isInside(revision) && await isGranted({ name: "write", path: ref })) {
      await Deno.mkdir(folderOf(ref), { recursive: true });
      await writeFile(ref, sha);
    }
  } catch (error) {
    if ((error as HubApiError).statusCode) throw explain(address, kind, error, access);
    if (!(error instanceof TypeError)) throw error; // fetch has those where there is no network
    const isRef = !COMMIT.test(revision) && isInside(revision);
    const commit = isRef ? await Deno.readTextFile(ref).catch(() => "") : revision;
    const snapshot = `${cache}/snapshots/${commit}`;
    if (!COMMIT.test(commit) || !await exists(snapshot)) throw explain(address, kind, error, access);
    files = await cachedFiles(snapshot);
    offline = true;
  }
  const wanted = files.filter((file) =>
    path === "" || file.path === path || file.path.startsWith(`${path}/`)
  );
  if (wanted.length > 0) return { files: wanted, offline };
  throw new Error(`${address}: there is no ${path || "file"} in it`);
}
