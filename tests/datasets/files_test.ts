/** What sources of data share. */
import { assertEquals, assertRejects } from "@std/assert";
import { cacheDirectory, download, findFile, gunzip, sha256 } from "../../datasets/files.ts";
import { wasmOnly } from "../support.ts";
import { gzip } from "./files.ts";

const BYTES = Uint8Array.of(1, 2, 3, 250);

Deno.test({
  name: "gunzip inflates gzip, passes other bytes, and names a damaged file",
  ...wasmOnly,
  async fn() {
    assertEquals(await gunzip(await gzip(BYTES), "data"), BYTES);
    assertEquals(await gunzip(BYTES, "data"), BYTES);
    const damaged = (await gzip(BYTES)).slice(0, -6);
    await assertRejects(() => gunzip(damaged, "data"), Error, "data: the gzip data is damaged");
  },
});

Deno.test({
  name: "findFile finds a file gzipped or not; a cache lies where the environment says",
  ...wasmOnly,
  async fn() {
    const dir = await Deno.makeTempDir();
    try {
      assertEquals(await findFile(dir, "data"), undefined);
      await Deno.writeFile(`${dir}/data`, BYTES);
      assertEquals(await findFile(dir, "data"), `${dir}/data`);
      await Deno.writeFile(`${dir}/data.gz`, await gzip(BYTES));
      assertEquals(await findFile(dir, "data"), `${dir}/data.gz`);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
    const before = Deno.env.get("XDG_CACHE_HOME");
    Deno.env.set("XDG_CACHE_HOME", "/somewhere");
    try {
      assertEquals(await cacheDirectory("digits"), "/somewhere/denoise/digits");
    } finally {
      if (before === undefined) Deno.env.delete("XDG_CACHE_HOME");
      else Deno.env.set("XDG_CACHE_HOME", before);
    }
  },
});

Deno.test({
  name: "download gives the bytes whose content has the hash, and refuses others and what is not there",
  ...wasmOnly,
  async fn() {
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const there = new URL(request.url).pathname === "/data";
      return new Response(there ? await gzip(BYTES) as BodyInit : null, { status: there ? 200 : 404 });
    });
    const url = `http://127.0.0.1:${server.addr.port}/data`;
    try {
      const bytes = await download(url, await sha256(BYTES));
      assertEquals(await gunzip(bytes, "data"), BYTES);
      await assertRejects(() => download(url, "0".repeat(64)), Error, url);
      await assertRejects(() => download(`${url}2`, ""), Error, "404");
    } finally {
      await server.shutdown();
    }
  },
});
