/** Data sets of the Hugging Face Hub, from a server on this machine that speaks its endpoints. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { sha256 } from "../../core/mod.ts";
import { hubFiles, parseHubAddress } from "../../datasets/hugging_face.ts";
import { openImages, openImageSource } from "../../mod.ts";
import { wasmOnly } from "../support.ts";
import { contentsOf, golden } from "./sources.ts";

const TABLE = await Deno.readFile(golden("zstd.parquet")), ZIP = await Deno.readFile(golden("pictures.zip"));
const PNG =
  await (async () =>
    (await (await openImageSource(golden("pictures.zip"))).entries[0].read()) as Uint8Array)();
const COMMIT = "0123456789abcdef0123456789abcdef01234567", OTHER = COMMIT.replace("0", "f");

/** Data sets by name, then by revision: files by path. */
type Hub = Record<string, Record<string, Record<string, Uint8Array>>>;
const HUB: Hub = {
  "me/tables": {
    main: {
      "README.md": new Uint8Array(5),
      "data/train-00000-of-00002.parquet": TABLE,
      "data/train-00001-of-00002.parquet": TABLE,
      "data/test-00000-of-00001.parquet": TABLE,
    },
    "v1/old": { "data/train.parquet": TABLE },
  },
  "me/configs": { main: { "a/train.parquet": TABLE, "b/train.parquet": TABLE } },
  "me/zips": { main: { "train.zip": ZIP, "test.zip": ZIP, "more/extra.zip": ZIP } },
  "me/pictures": { main: { "train/cat/1.png": PNG, "train/dog/2.png": PNG, "test/cat/3.png": PNG } },
  "me/script": {
    main: { "script.py": new Uint8Array(3) },
    "refs/convert/parquet": { "default/train/0000.parquet": TABLE },
  },
  "me/broken": { main: { "train.parquet": TABLE } },
  "me/evil": { main: { "../../train.parquet": TABLE } },
  "me/private": { main: { "train.parquet": TABLE } },
};

/** Runs a body with the Hub, an empty cache and these variables. */
async function withHub(
  variables: Record<string, string>,
  body: (seen: string[], cache: string, stop: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const seen: string[] = [], cache = await Deno.makeTempDir();
  const json = (value: unknown, status = 200, headers = {}) => Response.json(value, { status, headers });
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, searchParams, origin } = new URL(request.url);
    const [, api, name, verb, rest] = pathname.match(/^(\/api)?\/datasets\/([^/]+\/[^/]+)\/([^/]+)\/(.*)$/) ??
      [];
    const repo = HUB[name], token = request.headers.get("authorization");
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
          lfs:
            path.endsWith(".parquet") && { oid: await sha256(bytes), size: bytes.length, pointerSize: 130 } ||
            undefined,
        })),
      );
      const page = Number(searchParams.get("cursor") ?? 0),
        next = `${origin}${pathname}?recursive=true&cursor=${page + 1}`;
      const headers: HeadersInit = page + 1 < entries.length ? { link: `<${next}>; rel="next"` } : {};
      return json(entries.slice(page, page + 1), 200, headers);
    }
    let bytes = files[path.join("/")];
    if (name === "me/broken") bytes = bytes.with(1000, bytes[1000] ^ 1);
    const [, start, end] = request.headers.get("range")?.match(/bytes=(\d+)-(\d+)/) ?? [];
    if (start === undefined || Number(end) > 0) seen.push(`${name}/${path.join("/")}`);
    const part = start === undefined ? bytes : bytes.slice(Number(start), Number(end) + 1);
    const headers = { etag: '"x"', "content-range": `bytes ${start}-${end}/${bytes.length}` };
    return new Response(part as BodyInit, { status: start === undefined ? 200 : 206, headers });
  });
  const all: Record<string, string | undefined> = {
    HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
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
    await body(seen, cache, () => server.shutdown());
  } finally {
    for (const [name, value] of before) set(name, value);
    await server.shutdown().catch(() => {});
    await Deno.remove(cache, { recursive: true });
  }
}

Deno.test({
  name: "Hugging Face: addresses are taken apart, or refused",
  ...wasmOnly,
  fn() {
    const parse = (address: string) => Object.values(parseHubAddress(address));
    assertEquals(parse("hf://datasets/me/set"), ["me/set", "main", ""]);
    assertEquals(parse("hf://datasets/me/set@v1.0/data/"), ["me/set", "v1.0", "data"]);
    assertEquals(parse("hf://datasets/me/set@v1%2Fold/a/b.zip"), ["me/set", "v1/old", "a/b.zip"]);
    assertEquals(parse("hf://datasets/me/set@refs/convert/parquet/x"), [
      "me/set",
      "refs/convert/parquet",
      "x",
    ]);
    for (const wrong of ["hf://datasets/set", "hf://models/me/set", "hf://me/set", "hf:me/set"]) {
      let message = "";
      try {
        parseHubAddress(wrong);
      } catch (error) {
        message = (error as Error).message;
      }
      assertEquals(
        message,
        `${wrong}: a data set of Hugging Face is hf://datasets/OWNER/NAME[@REVISION][/PATH]`,
      );
    }
  },
});

Deno.test({
  name:
    "Hugging Face: a table's part is downloaded once, into the cache of Hugging Face's clients, and found there without a network",
  ...wasmOnly,
  async fn() {
    await withHub({}, async (seen, cache, stop) => {
      const address = "hf://datasets/me/tables", source = await openImageSource(address);
      assertEquals(source.entries.length, 10);
      assertEquals([source.name, source.classes], [address, ["cat", "dog", "fish"]]);
      assertEquals((await contentsOf(source))[6].slice(1), ["cat", [0, 255, 0]]);
      await source.close!();
      // Both files have the same content, which is there once.
      assertEquals(seen, ["me/tables/data/train-00000-of-00002.parquet"]);
      const dir = `${cache}/hub/datasets--me--tables`, oid = await sha256(TABLE);
      assertEquals(await Deno.readTextFile(`${dir}/refs/main`), COMMIT);
      assertEquals(
        await Deno.readFile(`${dir}/snapshots/${COMMIT}/data/train-00001-of-00002.parquet`),
        TABLE,
      );
      assertEquals(
        await Deno.readLink(`${dir}/snapshots/${COMMIT}/data/train-00000-of-00002.parquet`),
        `../../../blobs/${oid}`,
      );
      await stop();
      const again = await openImageSource(address);
      assertEquals(again.entries.length, 10);
      await again.close!();
      await assertRejects(
        () => openImageSource("hf://datasets/me/zips"),
        Error,
        "hf://datasets/me/zips: the Hub could not be asked (",
      );
    });
  },
});

Deno.test({
  name:
    "Hugging Face: parts, revisions, files, archives, pictures as they lie, and what the Hub has made of a script",
  ...wasmOnly,
  async fn() {
    await withHub({}, async (seen) => {
      for (
        const [address, options, count, classes] of [
          ["hf://datasets/me/tables", { split: "test" }, 5, ["cat", "dog", "fish"]],
          ["hf://datasets/me/tables@v1%2Fold", {}, 5, ["cat", "dog", "fish"]],
          ["hf://datasets/me/configs/a", {}, 5, ["cat", "dog", "fish"]],
          ["hf://datasets/me/zips", {}, 3, undefined],
          ["hf://datasets/me/zips/more/extra.zip", {}, 3, undefined],
          ["hf://datasets/me/pictures", {}, 2, undefined],
          ["hf://datasets/me/pictures", { split: "test" }, 1, undefined],
          ["hf://datasets/me/script", {}, 5, ["cat", "dog", "fish"]],
        ] as const
      ) {
        const source = await openImageSource(address, options);
        assertEquals([source.entries.length, source.classes], [count, classes], address);
        await source.close!();
      }
      assert(!seen.some((path) => path.startsWith("me/pictures"))); // they are downloaded when they are read
      using pictures = await openImages("hf://datasets/me/pictures", { size: 8, log: () => {} });
      assertEquals([pictures.classes, pictures.length], [["cat", "dog"], 2]);
    });
  },
});

Deno.test({
  name: "Hugging Face: what is not there, private, ambiguous, damaged or hostile is named",
  ...wasmOnly,
  async fn() {
    const at = (name: string) => `hf://datasets/me/${name}`;
    const refused = async (name: string, says: string, options = {}) => {
      await assertRejects(() => openImageSource(at(name), options), Error, `${at(name)}: ${says}`);
    };
    await withHub({}, async () => {
      await refused(
        "nothing",
        "there is no such data set, revision or file, or it is private: HF_TOKEN is to be an access token",
      );
      await refused(
        "private",
        "there is no such data set, revision or file, or it is private: HF_TOKEN is to be",
      );
      await refused("tables@v9", "there is no such data set, revision or file");
      await refused("tables/nowhere", "there is no nowhere in it");
      await refused("tables", "none of its Parquet files is of validation: data/train-00000", {
        split: "validation",
      });
      await refused("configs", "it has several Parquet files: add one of a/, b/ to the address");
      await refused("zips", "none of its archives is of dev", { split: "dev" });
      await refused("broken", "the SHA-256 of train.parquet is ");
      await refused("evil", "the Hub names a file ../../train.parquet of content ");
    });
    await withHub(
      { HF_TOKEN: "hf_wrong" },
      () => refused("private", "it may not be read with this HF_TOKEN; see http://"),
    );
    await withHub(
      { HF_TOKEN: "secret" },
      () => refused("private", "HF_TOKEN is no access token of Hugging Face"),
    );
    await withHub({ HF_TOKEN: "hf_right" }, async () => {
      const source = await openImageSource(at("private"));
      assertEquals(source.entries.length, 5);
      await source.close!();
    });
  },
});

Deno.test({
  name: "Hugging Face: without a cache that is known, or the permission to reach it, that is said",
  ...wasmOnly,
  permissions: { read: true, net: ["127.0.0.1"], env: ["HF_HOME"] },
  async fn() {
    const address = "hf://datasets/me/set", before = Deno.env.get("HF_HOME");
    Deno.env.delete("HF_HOME");
    await assertRejects(
      () => hubFiles(address),
      Error,
      `${address}: no cache is known: let HF_HOME or HOME be read`,
    );
    Deno.env.set("HF_HOME", "/nowhere");
    try {
      const says = `${address}: the Hub could not be asked (it needs --allow-net=huggingface.co)`;
      await assertRejects(() => hubFiles(address), Error, says);
    } finally {
      if (before === undefined) Deno.env.delete("HF_HOME");
      else Deno.env.set("HF_HOME", before);
    }
  },
});
