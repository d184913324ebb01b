/** DeviceCB. */
import { assertEquals } from "@std/assert";
import { DeviceCB, HostArray, type tf } from "../../mod.ts";
import "../support.ts";

Deno.test("DeviceCB: nested host arrays become tensors", () => {
  const learn = { batch: [[new HostArray(Float32Array.of(1), [1])], new HostArray(Uint8Array.of(7), [1])] };
  new DeviceCB().beforeBatch(learn as never);
  const [[x], y] = learn.batch as unknown as [[tf.Tensor], tf.Tensor];
  assertEquals([x.dtype, y.dtype], ["float32", "int32"]);
});
