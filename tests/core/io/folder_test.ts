/** Folders on this disk, on the web and on the Hugging Face Hub. */
import { assertEquals, assertRejects } from "@std/assert";
import { type Folder, openFolder, sha256 } from "../../../core/mod.ts";
import { serveFiles } from "../../files_server.ts";
import { withHub } from "../../hub.ts";
import { wasmOnly } from "../../support.ts";

const BIG = Uint8Array.from({ length: 100_000 }, (_, i) => i * i % 251);
const FILES = { "config.json": new TextEncoder().encode("{}"), "unet/big file.safetensors": BIG };

/** Runs a body with a directory of the files, and one for downloads. */
async function inDirectories(body: (dir: string, downloadDir: string) => Promise<void>): Promise<void> {
  const [dir, downloadDir] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    await Deno.mkdir(`${dir}/unet`);
    for (const [path, bytes] of Object.entries(FILES)) await Deno.writeFile(`${dir}/${path}`, bytes);
    await body(dir, downloadDir);
  } finally {
    for (const made of [dir, downloadDir]) await Deno.remove(made, { recursive: true });
  }
}

/** What is found in a folder of these files, and read. */
async function contents(folder: Folder): Promise<unknown[]> {
  const found: unknown[] = [await folder.find("nothing.json"), await folder.find("unet")];
  for (const path of Object.keys(FILES)) {
    const file = (await folder.find(path))!;
    found.push([file.path, file.size, await Deno.readFile(await file.download())]);
  }
  return found;
}
const EXPECTED = [undefined, undefined, ...Object.entries(FILES).map(([path, b]) => [path, b.length, b])];

Deno.test({
  name: "a folder has the same files on this disk, on the web and on the Hub",
  ...wasmOnly,
  fn: () =>
    inDirectories(async (dir, downloadDir) => {
      assertEquals(await contents(await openFolder(dir)), EXPECTED);
      await using server = serveFiles(dir);
      const url = `${server.url}/`;
      assertEquals(await contents(await openFolder(url, { downloadDir })), EXPECTED);
      const asked = server.asked.length;
      const again = await openFolder(server.url, { downloadDir }); // the slash is no part of the address
      for (const path of Object.keys(FILES)) await (await again.find(path))!.download();
      assertEquals(server.asked.length, asked);
      await withHub({ "models/me/net": { main: FILES } }, {}, async () => {
        for (const where of ["hf://me/net", "me/net", "me/net@main"]) {
          assertEquals(await contents(await openFolder(where)), EXPECTED);
        }
        const part = await openFolder("hf://me/net/unet/");
        assertEquals(
          (await part.find("big file.safetensors"))!.name,
          "hf://me/net/unet/big file.safetensors",
        );
        assertEquals(await part.find("config.json"), undefined);
      });
    }),
});

Deno.test({
  name: "a folder of the web: servers without parts or sizes, downloads that broke off, names, queries",
  ...wasmOnly,
  fn: () =>
    inDirectories(async (dir, downloadDir) => {
      for (const options of [{ ranges: false }, { sizes: false }, { ranges: false, sizes: false }]) {
        await using server = serveFiles(dir, options);
        const own = `${downloadDir}/${Object.keys(options)}`;
        assertEquals(await contents(await openFolder(server.url, { downloadDir: own })), EXPECTED);
      }
      await using server = serveFiles(dir, { breakAt: 60_000 });
      const file = (await (await openFolder(`${server.url}?key=1#x`, { downloadDir })).find(
        "unet/big file.safetensors",
      ))!;
      assertEquals(file.name, `${server.url}/unet/big%20file.safetensors?key=1`);
      await assertRejects(() => file.download(), Error, `${file.name}: `);
      assertEquals(await Deno.readFile(await file.download()), BIG);
      assertEquals(server.asked, [
        "/unet/big%20file.safetensors?key=1 0-0",
        "/unet/big%20file.safetensors?key=1",
        "/unet/big%20file.safetensors?key=1 60000-",
      ]);
      const folder = await openFolder(`${server.url}/unet`, { downloadDir });
      for (const path of ["..%2fconfig.json", "%2e%2e%2fconfig.json", "..\\config.json", "a?b#c"]) {
        assertEquals(await folder.find(path), undefined);
      }
      assertEquals(server.asked.slice(3), [
        "/unet/..%252fconfig.json 0-0",
        "/unet/%252e%252e%252fconfig.json 0-0",
        "/unet/..%5Cconfig.json 0-0",
        "/unet/a%3Fb%23c 0-0",
      ]);
    }),
});

Deno.test({
  name: "a folder: files that are larger than their server said, and another SHA-256, are refused",
  ...wasmOnly,
  fn: () =>
    inDirectories(async (dir, downloadDir) => {
      const path = "unet/big file.safetensors";
      for (const sizes of [true, false]) {
        await using server = serveFiles(dir, { sizes });
        const file = (await (await openFolder(server.url, { downloadDir })).find("config.json"))!;
        await Deno.writeFile(`${dir}/config.json`, BIG);
        const says = `${file.name}: the server sends more than the 2 bytes that it may have`;
        await assertRejects(() => file.download(), Error, says);
        await Deno.writeFile(`${dir}/config.json`, FILES["config.json"]);
      }
      await using server = serveFiles(dir);
      await withHub({ "models/me/net": { main: FILES } }, {}, async () => {
        const right = await sha256(BIG), wrong = await sha256(new Uint8Array());
        for (const where of [dir, server.url, "hf://me/net"]) {
          const open = (hash: string) =>
            openFolder(where, { downloadDir, sha256: { [path]: hash, "other": wrong } });
          const good = await open(right.toUpperCase());
          assertEquals(good.unchecked(), [path, "other"]);
          assertEquals(await Deno.readFile(await (await good.find(path))!.download()), BIG);
          await good.find("other");
          assertEquals(good.unchecked(), ["other"]);
          const file = (await (await open(wrong)).find(path))!;
          const says = `${file.name}: its SHA-256 is ${right}, not ${wrong}`;
          const { message } = await assertRejects(() => file.download(), Error, says);
          assertEquals(message.includes("without which it is downloaded again"), where !== dir);
          await assertRejects(
            () => open("123"),
            Error,
            '"unet/big file.safetensors" is 64 hexadecimal digits',
          );
        }
      });
    }),
});

Deno.test({
  name: "a folder: what is no place is named, and a server's refusal",
  ...wasmOnly,
  fn: () =>
    inDirectories(async (dir, downloadDir) => {
      const refused = (where: string, says: string) =>
        assertRejects(() => openFolder(where, { downloadDir }), Error, `${where}: ${says}`);
      await refused(
        "ftp://example.com/a",
        "a path, an https: address, hf://OWNER/NAME or OWNER/NAME is opened",
      );
      await refused("http://example.com/a", "files are loaded by https:");
      await refused("hf://me", "a model of Hugging Face is hf://OWNER/NAME");
      await withHub({}, {}, async () => {
        const says =
          "it is no directory that can be read, and hf://me/nothing: there is no such model, revision";
        await refused("me/nothing", says);
      });
      await using server = serveFiles(dir, { status: 403 });
      const folder = await openFolder(server.url, { downloadDir });
      const says = `${server.url}/config.json: 403 Forbidden`;
      await assertRejects(() => folder.find("config.json"), Error, says);
      assertEquals(await (await openFolder(`${dir}/none`)).find("a"), undefined);
    }),
});
