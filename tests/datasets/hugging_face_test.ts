/** Data sets of the Hugging Face Hub, from a server on this machine that speaks its endpoints. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { sha256 } from "../../core/mod.ts";
import { openImages, openImageSource } from "../../mod.ts";
import { COMMIT, type Hub, withHub } from "../hub.ts";
import { wasmOnly } from "../support.ts";
import { contentsOf, golden } from "./sources.ts";

const TABLE = await Deno.readFile(golden("zstd.parquet")), ZIP = await Deno.readFile(golden("pictures.zip"));
const PNG =
  await (async () =>
    (await (await openImageSource(golden("pictures.zip"))).entries[0].read()) as Uint8Array)();
const HUB: Hub = {
  "datasets/me/tables": {
    main: {
      "README.md": new Uint8Array(5),
      "data/train-00000-of-00002.parquet": TABLE,
      "data/train-00001-of-00002.parquet": TABLE,
      "data/test-00000-of-00001.parquet": TABLE,
    },
    "v1/old": { "data/train.parquet": TABLE },
  },
  "datasets/me/configs": { main: { "a/train.parquet": TABLE, "b/train.parquet": TABLE } },
  "datasets/me/zips": { main: { "train.zip": ZIP, "test.zip": ZIP, "more/extra.zip": ZIP } },
  "datasets/me/pictures": { main: { "train/cat/1.png": PNG, "train/dog/2.png": PNG, "test/cat/3.png": PNG } },
  "datasets/me/script": {
    main: { "script.py": new Uint8Array(3) },
    "refs/convert/parquet": { "default/train/0000.parquet": TABLE },
  },
  "datasets/me/broken": { main: { "train.parquet": TABLE } },
  "datasets/me/evil": { main: { "../../train.parquet": TABLE } },
  "datasets/me/private": { main: { "train.parquet": TABLE } },
};

Deno.test({
  name:
    "Hugging Face: a table's part is downloaded once, into the cache of Hugging Face's clients, and found there without a network",
  ...wasmOnly,
  async fn() {
    await withHub(HUB, {}, async (seen, cache, stop) => {
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
    await withHub(HUB, {}, async (seen) => {
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
    await withHub(HUB, {}, async () => {
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
      HUB,
      { HF_TOKEN: "hf_wrong" },
      () => refused("private", "it may not be read with this HF_TOKEN; see http://"),
    );
    await withHub(
      HUB,
      { HF_TOKEN: "secret" },
      () => refused("private", "HF_TOKEN is no access token of Hugging Face"),
    );
    await withHub(HUB, { HF_TOKEN: "hf_right" }, async () => {
      const source = await openImageSource(at("private"));
      assertEquals(source.entries.length, 5);
      await source.close!();
    });
  },
});
