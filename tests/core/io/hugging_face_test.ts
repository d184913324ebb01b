/** The Hugging Face Hub: addresses, models and data sets, its cache, permissions. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { hubFiles, parseHubAddress, sha256 } from "../../../core/mod.ts";
import { COMMIT, OTHER, serveHub, withHub } from "../../hub.ts";
import { wasmOnly } from "../../support.ts";

Deno.test({
  name: "Hugging Face: addresses are taken apart, or refused",
  ...wasmOnly,
  fn() {
    const parse = (address: string) => Object.values(parseHubAddress(address, "dataset"));
    assertEquals(parse("hf://datasets/me/set"), ["me/set", "main", ""]);
    assertEquals(parse("hf://datasets/me/set@v1.0/data/"), ["me/set", "v1.0", "data"]);
    assertEquals(parse("hf://datasets/me/set@v1%2Fold/a/b.zip"), ["me/set", "v1/old", "a/b.zip"]);
    assertEquals(parse("hf://datasets/me/set@refs/convert/parquet/x"), [
      "me/set",
      "refs/convert/parquet",
      "x",
    ]);
    const model = (address: string) => Object.values(parseHubAddress(address, "model"));
    assertEquals(model("hf://me/net"), ["me/net", "main", ""]);
    assertEquals(model("hf://me/net@refs/pr/3/sub/folder/"), ["me/net", "refs/pr/3", "sub/folder"]);
    const wrong = {
      dataset: ["hf://datasets/set", "hf://models/me/set", "hf://me/set", "hf:me/set"],
      model: ["hf://net", "hf://models/me/net", "hf://datasets/me/set", "hf:me/net", "me/net"],
    };
    const forms = {
      dataset: "a data set of Hugging Face is hf://datasets/OWNER/NAME[@REVISION][/PATH]",
      model: "a model of Hugging Face is hf://OWNER/NAME[@REVISION][/PATH]",
    };
    for (const kind of ["dataset", "model"] as const) {
      for (const address of wrong[kind]) {
        const { message } = assertThrows(() => parseHubAddress(address, kind), Error);
        assertEquals(message, `${address}: ${forms[kind]}`);
      }
    }
  },
});

const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => i % 251);
const HUB = {
  "models/me/net": {
    main: { "config.json": bytes(7), "unet/big.safetensors": bytes(100_000) },
    "refs/pr/3": { "config.json": bytes(8) },
  },
  "datasets/me/net": { main: { "train.parquet": bytes(5) } },
};

Deno.test({
  name: "Hugging Face: a model's files are downloaded one by one, and what is in the cache is found offline",
  ...wasmOnly,
  async fn() {
    await withHub(HUB, {}, async (seen, cache, stop) => {
      const list = async (address: string) => {
        const { files, offline } = await hubFiles(address, "model");
        return [offline, ...files.map(({ path, size }) => `${path} ${size}`)];
      };
      assertEquals(await list("hf://me/net"), [false, "config.json 7", "unet/big.safetensors 100000"]);
      assertEquals(await list("hf://me/net@refs/pr/3"), [false, "config.json 8"]);
      assertEquals(await list("hf://me/net/unet"), [false, "unet/big.safetensors 100000"]);
      assertEquals((await hubFiles("hf://datasets/me/net", "dataset")).files[0].path, "train.parquet");
      assertEquals(seen, []);

      const [, big] = (await hubFiles("hf://me/net", "model")).files, place = await big.download();
      const dir = `${cache}/hub/models--me--net`;
      assertEquals(place, `${dir}/snapshots/${COMMIT}/unet/big.safetensors`);
      assertEquals(await Deno.readFile(place), bytes(100_000));
      assertEquals(await Deno.readLink(place), `../../../blobs/${await sha256(bytes(100_000))}`);
      assertEquals(await Deno.readTextFile(`${dir}/refs/refs/pr/3`), OTHER);
      assertEquals(seen, ["me/net/unet/big.safetensors"]);

      await stop();
      assertEquals(await list("hf://me/net"), [true, "unet/big.safetensors 100000"]);
      assertEquals(await list(`hf://me/net@${COMMIT}`), [true, "unet/big.safetensors 100000"]);
      const says = "hf://me/net@v2: the Hub could not be asked (";
      await assertRejects(() => hubFiles("hf://me/net@v2", "model"), Error, says);
      const outside = "hf://me/net@..%2F..%2Frefs%2Fmain";
      await assertRejects(
        () => hubFiles(outside, "model"),
        Error,
        `${outside}: the Hub could not be asked (`,
      );
      await Deno.remove(`${dir}/blobs`, { recursive: true }); // Python's client prunes them
      await assertRejects(() => hubFiles("hf://me/net", "model"), Error, "there is no file in it");
    });
  },
});

Deno.test({
  name:
    "Hugging Face: a download that broke off goes on from there, and a part that is none of the file is refused",
  ...wasmOnly,
  async fn() {
    const files = { "unet/big.safetensors": bytes(100_000), "config.bin": bytes(60_000) };
    for (const path of Object.keys(files) as (keyof typeof files)[]) {
      await withHub({ "models/me/breaks": { main: files } }, {}, async (seen, cache) => {
        const file = (await hubFiles("hf://me/breaks", "model")).files.find((file) => file.path === path)!;
        await assertRejects(() => file.download(), Error, "hf://me/breaks: ");
        assertEquals(await Deno.readFile(await file.download()), files[path]);
        const again = path === "config.bin" ? "" : " from 50000"; // it has no SHA-256 to check the whole by
        assertEquals(seen, [`me/breaks/${path}`, `me/breaks/${path}${again}`]);
        const blobs = `${cache}/hub/models--me--breaks/blobs`;
        assertEquals(Array.from(Deno.readDirSync(blobs), ({ name }) => name.includes(".")), [false]);
      });
    }
    await withHub({ "models/me/net": { main: files } }, {}, async (seen, cache) => {
      const path = "unet/big.safetensors", blobs = `${cache}/hub/models--me--net/blobs`;
      await Deno.mkdir(blobs, { recursive: true });
      await Deno.writeFile(`${blobs}/${await sha256(files[path])}.part`, new Uint8Array(70_000));
      const file = (await hubFiles("hf://me/net", "model")).files.find((file) => file.path === path)!;
      await assertRejects(() => file.download(), Error, `hf://me/net: the SHA-256 of ${path} is `);
      assertEquals(await Deno.readFile(await file.download()), files[path]);
      assertEquals(seen, [`me/net/${path} from 70000`, `me/net/${path}`]);
    });
  },
});

Deno.test({
  name: "Hugging Face: without a cache that is known, or the permission to reach or to write, that is said",
  ...wasmOnly,
  permissions: { read: true, net: ["127.0.0.1"], env: ["HF_HOME", "HF_ENDPOINT"] },
  async fn() {
    const variables = ["HF_HOME", "HF_ENDPOINT"], before = variables.map((name) => Deno.env.get(name));
    const { url, stop } = serveHub(HUB), address = "hf://me/net", list = () => hubFiles(address, "model");
    try {
      for (const name of variables) Deno.env.delete(name);
      await assertRejects(list, Error, `${address}: no cache is known: let HF_HOME or HOME be read`);
      Deno.env.set("HF_HOME", "/nowhere");
      const says = `${address}: the Hub could not be asked (it needs --allow-net=huggingface.co)`;
      await assertRejects(list, Error, says);
      Deno.env.set("HF_ENDPOINT", url);
      const [file] = (await list()).files, place = "/nowhere/hub/models--me--net";
      const needs = `${address}: it needs the permission to write ${place}: --allow-write=${place}`;
      await assertRejects(() => file.download(), Error, needs);
    } finally {
      for (const [i, name] of variables.entries()) {
        if (before[i] === undefined) Deno.env.delete(name);
        else Deno.env.set(name, before[i]);
      }
      await stop();
    }
  },
});
