/** Files of the web, downloaded once. */
import { assertEquals, assertRejects } from "@std/assert";
import { downloadFile } from "../../../core/io/download.ts";
import { wasmOnly } from "../../support.ts";
import { range } from "../../datasets/files.ts";

const BYTES = Uint8Array.from(range(100_000), (i) => i * i % 251);

/** A server of BYTES, of which each answer is told; `break` ends the first one in the middle. */
function serve(seen: string[], { etag = '"v1"', ranges = true } = {}) {
  let broken = false;
  return Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {}, onError: () => new Response() },
    (request) => {
      const { pathname, search } = new URL(request.url), range = request.headers.get("range");
      seen.push(`${pathname}${search} ${range ?? "whole"}`);
      if (pathname === "/missing.zip") return new Response(null, { status: 404, statusText: "Not Found" });
      const headers = new Headers({ etag: pathname === "/changes.zip" ? `"${seen.length}"` : etag });
      const same = request.headers.get("if-range") === headers.get("etag");
      const start = range && ranges && same ? Number(range.match(/\d+/)![0]) : 0, rest = BYTES.slice(start);
      if (start > 0) headers.set("content-range", `bytes ${start}-${BYTES.length - 1}/${BYTES.length}`);
      headers.set("content-length", String(rest.length));
      if (pathname === "/strange.zip" && start > 0) headers.set("content-range", "bytes 5-10/11");
      const breaks = pathname !== "/whole.zip" && !broken;
      if (breaks) broken = true;
      const body = new ReadableStream({
        async start(controller) {
          controller.enqueue(breaks ? rest.subarray(0, 60_000) : rest);
          await new Promise((resolve) => setTimeout(resolve, 20)); // so that the part arrives before the end
          if (breaks) controller.error(new Error("broken off"));
          else controller.close();
        },
      });
      return new Response(body, { status: start > 0 ? 206 : 200, headers });
    },
  );
}

/** Runs a body with a server and a cache. */
async function withServer(
  options: Parameters<typeof serve>[1],
  body: (url: string, downloadDir: string, seen: string[]) => Promise<void>,
): Promise<void> {
  const seen: string[] = [], server = serve(seen, options), downloadDir = await Deno.makeTempDir();
  try {
    await body(`http://127.0.0.1:${server.addr.port}`, downloadDir, seen);
  } finally {
    await server.shutdown();
    await Deno.remove(downloadDir, { recursive: true });
  }
}

Deno.test({
  name: "a download is kept, by its address, under its name",
  ...wasmOnly,
  async fn() {
    await withServer({}, async (url, downloadDir, seen) => {
      const path = await downloadFile(`${url}/whole.zip?v=1#here`, { downloadDir });
      assertEquals([await Deno.readFile(path), path.split("/").at(-1)], [BYTES, "whole.zip"]);
      assertEquals(await downloadFile(`${url}/whole.zip?v=1`, { downloadDir }), path);
      const other = await downloadFile(`${url}/whole.zip?v=2`, { downloadDir });
      assertEquals([other === path, seen], [false, ["/whole.zip?v=1 whole", "/whole.zip?v=2 whole"]]);
      const files = (dir: string) => Array.from(Deno.readDirSync(dir), ({ name }) => name);
      assertEquals(files(path.replace(/\/[^/]*$/, "")), ["whole.zip"]); // nothing beside it
    });
  },
});

Deno.test({
  name: "downloads of one address at the same time are one",
  ...wasmOnly,
  async fn() {
    await withServer({}, async (url, downloadDir, seen) => {
      const address = `${url}/whole.zip`, options = { downloadDir };
      const [path, ...others] = await Promise.all([0, 1, 2].map(() => downloadFile(address, options)));
      assertEquals([others, await Deno.readFile(path)], [[path, path], BYTES]);
      assertEquals(seen, ["/whole.zip whole"]);
      assertEquals([...Deno.readDirSync(path.replace(/[^/]*$/, ""))].map(({ name }) => name), ["whole.zip"]);
    });
  },
});

Deno.test({
  name:
    "a download that broke off goes on from there; from the start where the file has changed or the server gives no parts",
  ...wasmOnly,
  async fn() {
    for (
      const [name, options, second] of [
        ["/broken.zip", {}, "/broken.zip bytes=60000-"],
        ["/changes.zip", {}, "/changes.zip bytes=60000-"],
        ["/broken.zip", { ranges: false }, "/broken.zip bytes=60000-"],
        ["/broken.zip", { etag: 'W/"weak"' }, "/broken.zip whole"],
      ] as const
    ) {
      await withServer(options, async (url, downloadDir, seen) => {
        await assertRejects(() => downloadFile(url + name, { downloadDir }), Error, `${url}${name}: `);
        assertEquals(await Deno.readFile(await downloadFile(url + name, { downloadDir })), BYTES);
        assertEquals(seen, [`${name} whole`, second]);
      });
    }
  },
});

Deno.test({
  name: "downloads: what a server refuses or gets wrong, and what is no address of the web, is named",
  ...wasmOnly,
  async fn() {
    await withServer({}, async (url, downloadDir) => {
      const options = { downloadDir };
      await assertRejects(
        () => downloadFile(`${url}/missing.zip`, options),
        Error,
        `${url}/missing.zip: 404 Not Found`,
      );
      await assertRejects(() => downloadFile(`${url}/strange.zip`, options), Error, `${url}/strange.zip: `);
      const says = "strange.zip: the server gives the part bytes 5-10/11, not that from 60000 on";
      await assertRejects(() => downloadFile(`${url}/strange.zip`, options), Error, says);
      const plain = "http://example.com/a.zip";
      await assertRejects(
        () => downloadFile(plain, options),
        Error,
        `${plain}: files are loaded by https: (http: from`,
      );
      await assertRejects(
        () => downloadFile("https://", options),
        Error,
        "https://: it is no address of the web",
      );
      await assertRejects(
        () => downloadFile("ftp://example.com/a.zip", options),
        Error,
        "ftp://example.com/a.zip: files are",
      );
    });
  },
});

Deno.test({
  name: "downloads: a permission that is missing is named, and not asked for",
  ...wasmOnly,
  permissions: { read: true, write: false, net: false, env: false },
  async fn() {
    const url = "https://example.com/a.zip";
    await assertRejects(() => downloadFile(url), Error, `${url}: no directory for downloads is known`);
    const says = `${url}: it needs the permission to reach its host: --allow-net=example.com`;
    await assertRejects(() => downloadFile(url, { downloadDir: "/tmp/none" }), Error, says);
  },
});
