/** A server on this machine that speaks the endpoints of the Hugging Face Hub. */
import { sha256 } from "../core/mod.ts";
import { bodyOf } from "./files_server.ts";

/** The commits of a repository's first two revisions. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567", OTHER = COMMIT.replace("0", "f");

/**
 * Repositories by name, which begin with `datasets/` or `models/`, then by revision: files by path. One called `private` is
 * read with the token `hf_right`; one called `breaks` breaks off at the first answer of over 50,000 bytes; one called `broken` sends large files with a bit that is another.
 */
export type Hub = Record<string, Record<string, Record<string, Uint8Array>>>;

/** Where an answer breaks off. */
const BREAK_AT = 50_000;
/** Files that are kept by their SHA-256. */
const LARGE = /\.(parquet|safetensors)$/;

/** A server of a Hub. */
export interface HubServer {
  /** Its address. */
  readonly url: string;
  /** The files that were asked for, such as `me/net/config.json`, or `me/net/a.safetensors from 100`. */
  readonly seen: string[];
  /** Ends it. */
  stop(): Promise<void>;
}

/** Serves a Hub until it is stopped. */
export function serveHub(hub: Hub): HubServer {
  const seen: string[] = [];
  const json = (value: unknown, status = 200, headers = {}) => Response.json(value, { status, headers });
  let broken = false;
  const onError = () => new Response();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {}, onError }, async (request) => {
    const { pathname, searchParams, origin } = new URL(request.url);
    const [, api, kind = "models", name, verb, rest] =
      pathname.match(/^(\/api)?\/(?:(datasets|models)\/)?([^/]+\/[^/]+)\/([^/]+)\/(.*)$/) ?? [];
    const repo = hub[`${kind}/${name}`], token = request.headers.get("authorization");
    if (!repo) return json({ error: "Repository not found" }, 401);
    if (name === "me/private" && token !== "Bearer hf_right") {
      return json(
        { error: token ? "Access to it is restricted" : "Repository not found" },
        token ? 403 : 401,
      );
    }
    const revisions = Object.keys(repo), commits = [COMMIT, OTHER];
    if (api && verb === "revision") {
      const at = revisions.indexOf(decodeURIComponent(rest));
      return at < 0
        ? json({ error: "Invalid rev id" }, 404)
        : json({ _id: "1", id: name, sha: commits[at], private: false });
    }
    const [commit, ...path] = decodeURI(rest).split("/"), files = repo[revisions[commits.indexOf(commit)]];
    if (api && verb === "tree") {
      const entries = await Promise.all(
        Object.entries(files).map(async ([path, bytes]) => ({
          type: "file",
          path,
          size: bytes.length,
          oid: (await sha256(bytes)).slice(0, 40),
          lfs: LARGE.test(path) && { oid: await sha256(bytes), size: bytes.length, pointerSize: 130 } ||
            undefined,
        })),
      );
      const page = Number(searchParams.get("cursor") ?? 0),
        next = `${origin}${pathname}?recursive=true&cursor=${page + 1}`;
      const headers: HeadersInit = page + 1 < entries.length ? { link: `<${next}>; rel="next"` } : {};
      return json(entries.slice(page, page + 1), 200, headers);
    }
    let bytes = files[path.join("/")];
    if (name === "me/broken" && LARGE.test(path.at(-1)!)) bytes = bytes.with(1000, bytes[1000] ^ 1);
    const [, start, end] = request.headers.get("range")?.match(/bytes=(\d+)-(\d+)/) ?? [];
    const from = Number(start) > 0 ? ` from ${start}` : "";
    if (start === undefined || Number(end) > 0) seen.push(`${name}/${path.join("/")}${from}`);
    const part = start === undefined ? bytes : bytes.slice(Number(start), Number(end) + 1);
    const headers = { etag: '"x"', "content-range": `bytes ${start}-${end}/${bytes.length}` };
    const breaks = name === "me/breaks" && part.length > BREAK_AT && !broken;
    broken ||= breaks;
    const body = bodyOf(part, breaks ? BREAK_AT : undefined);
    return new Response(body, { status: start === undefined ? 200 : 206, headers });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, seen, stop: () => server.shutdown() };
}

/**
 * Runs a body with a Hub, an empty cache and these environment variables.
 * @param body gets the files that are asked for, the cache, and what ends the server
 */
export async function withHub(
  hub: Hub,
  variables: Record<string, string>,
  body: (seen: string[], cache: string, stop: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const { url, seen, stop } = serveHub(hub), cache = await Deno.makeTempDir();
  const all: Record<string, string | undefined> = {
    HF_ENDPOINT: url,
    HF_HUB_CACHE: undefined,
    HUGGINGFACE_HUB_CACHE: undefined,
    HF_TOKEN: undefined,
    HF_HOME: cache,
    ...variables,
  };
  const set = (name: string, value?: string) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  const before = Object.keys(all).map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const [name, value] of Object.entries(all)) set(name, value);
    await body(seen, cache, stop);
  } finally {
    for (const [name, value] of before) set(name, value);
    await stop().catch(() => {});
    await Deno.remove(cache, { recursive: true });
  }
}
