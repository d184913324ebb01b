/** The parts of a data set, as the names of its files tell. */
import { assertEquals } from "@std/assert";
import { filesOfPart } from "../../../datasets/images/splits.ts";
import { wasmOnly } from "../../support.ts";

Deno.test({
  name: "files of a part: by its words, all where none names a part",
  ...wasmOnly,
  fn() {
    const hub = [
      "data/train-00000-of-00002.parquet",
      "data/train-00001-of-00002.parquet",
      "data/test-00000-of-00001.parquet",
    ];
    assertEquals(filesOfPart(hub, "train"), hub.slice(0, 2));
    assertEquals(filesOfPart(hub, "test"), hub.slice(2));
    assertEquals(filesOfPart(hub, "validation"), []);
    assertEquals(filesOfPart(["dev.parquet", "Training/a.parquet"], "validation"), ["dev.parquet"]);
    assertEquals(filesOfPart(["dev.parquet", "Training/a.parquet"], "train"), ["Training/a.parquet"]);
    assertEquals(filesOfPart(["trains.zip", "a.zip"], "train"), ["trains.zip", "a.zip"]);
    assertEquals(filesOfPart(["a.zip"], "test"), []);
    assertEquals(filesOfPart(["extra/a.zip", "b.zip"], "extra"), ["extra/a.zip"]);
  },
});
