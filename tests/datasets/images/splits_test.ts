/** The parts of a data set, as the names of its files tell. */
import { assertEquals, assertThrows } from "@std/assert";
import { filesOfPart, foldersOfPart } from "../../../datasets/images/splits.ts";
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

Deno.test({
  name: "folders of a part: where all are parts, and none else",
  ...wasmOnly,
  fn() {
    assertEquals(foldersOfPart("a", ["Train", "val", "test"], "train"), ["Train"]);
    assertEquals(foldersOfPart("a", ["Train", "val", "test"], "validation"), ["val"]);
    assertEquals(foldersOfPart("a", ["cat", "test"], "train"), undefined);
    assertEquals(foldersOfPart("a", ["train", ""], "train"), undefined);
    assertEquals(foldersOfPart("a", [], "train"), undefined);
    assertEquals(foldersOfPart("a", ["cat", "test"], "test"), ["test"]);
    assertThrows(
      () => foldersOfPart("a.zip", ["cat", "dog"], "test"),
      Error,
      "a.zip: none of its folders is of test: there are cat, dog",
    );
    assertThrows(
      () => foldersOfPart("a.zip", ["train", "test"], "validation"),
      Error,
      "is of validation: there are train, test",
    );
    assertThrows(() => foldersOfPart("a.zip", [""], "test"), Error, "is of test: there are none");
  },
});
