/** What sources of data share. */
import { assertEquals, assertRejects } from "@std/assert";
import { sha256 } from "../../core/mod.ts";
import { download, findFile, gunzip } from "../../datasets/files.ts";
import { wasmOnly } from "../support.ts";
import { gzip } from "./files.ts";

const BYTES = Uint8Array.of(1, 2, 3, 250);

Deno.test({
  name: "gunzip inflates gzip, passes other bytes, and names a damaged file",
  ...wasmOnly,
  async fn() {
    const zipped = await gzip(BYTES), two = new Uint8Array([...zipped, ...await gzip(BYTES.slice(0, 1))]);
    for (const limit of [0, 1, 3, 4, 5, 1e9]) {
      assertEquals(await gunzip(zipped, "data", limit), BYTES.slice(0, limit));
      assertEquals(await gunzip(BYTES, "data", limit), BYTES.slice(0, limit));
      assertEquals([...await gunzip(two, "data", limit)], [...BYTES, 1].slice(0, limit));
    }
    const message = "data: the gzip data is damaged or truncated (";
    for (let end = 2; end < two.length; end++) {
      if (end === zipped.length) continue;
      await assertRejects(() => gunzip(two.slice(0, end), "data", 100), Error, message);
    }
    const checked = zipped.with(-6, zipped.at(-6)! ^ 1); // its checksum
    await assertRejects(() => gunzip(checked, "data", 100), Error, message);
    await assertRejects(() => gunzip(new Uint8Array([...zipped, 7]), "data", 100), Error, message);
  },
});

Deno.test({
  name: "findFile finds a file gzipped or not",
  ...wasmOnly,
  async fn() {
    const dir = await Deno.makeTempDir();
    try {
      assertEquals(await findFile(dir, "data"), undefined);
      await Deno.mkdir(`${dir}/data`);
      assertEquals(await findFile(dir, "data"), undefined);
      await Deno.remove(`${dir}/data`);
      await Deno.writeFile(`${dir}/data`, BYTES);
      assertEquals(await findFile(dir, "data"), `${dir}/data`);
      await Deno.writeFile(`${dir}/data.gz`, await gzip(BYTES));
      assertEquals(await findFile(dir, "data"), `${dir}/data.gz`);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: "download gives the bytes whose content has the hash, and refuses others and what is not there",
  ...wasmOnly,
  async fn() {
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const { pathname } = new URL(request.url), there = pathname === "/data";
      if (pathname === "/data/endless") {
        return new Response(
          new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(10_000)) }),
        );
      }
      return new Response(there ? await gzip(BYTES) as BodyInit : null, { status: there ? 200 : 404 });
    });
    const url = `http://127.0.0.1:${server.addr.port}/data`;
    try {
      const hash = await sha256(BYTES), bytes = await download(url, 4, hash);
      assertEquals(await gunzip(bytes, "data", 100), BYTES);
      await assertRejects(
        () => download(url, 4, "0".repeat(64)),
        Error,
        `${url}: SHA-256 of its content is ${hash}`,
      );
      await assertRejects(() => download(url, 3, hash), Error, `${url}: it holds more bytes, not 3`);
      await assertRejects(() => download(url, 5, hash), Error, `${url}: it holds 4 bytes, not 5`);
      await assertRejects(
        () => download(`${url}/endless`, 4, hash),
        Error,
        "longer than the 4 bytes it should hold",
      );
      await assertRejects(() => download(`${url}2`, 4, ""), Error, `${url}2: 404`);
    } finally {
      await server.shutdown();
    }
  },
});
