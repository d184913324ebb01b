/** Features of real images, and their file. */
import { assertEquals } from "@std/assert";
import { HostArray, scores, tf } from "../../../mod.ts";
import { wasmOnly } from "../../support.ts";
import { greyModel, greys } from "./tiny.ts";

Deno.test("all images are in the moments, the first ones' features are kept", async () => {
  const batches = (async function* () {
    for (const value of [0, 0.25, 0.5]) yield [await Promise.resolve(greys(4, value))];
  })();
  const before = tf.memory().numTensors, done: number[] = [];
  const reference = await scores.makeReference(greyModel, batches, { keep: 6, onBatch: (n) => done.push(n) });
  assertEquals(tf.memory().numTensors, before);
  assertEquals([reference.moments.count, ...reference.features.shape, ...done], [12, 6, 2, 4, 8, 12]);
  assertEquals([...reference.features.data], [0, 0, 0, 0, 0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]);
  assertEquals([...reference.moments.mean], [0.25, 0.25]);
});

Deno.test("its file gives it back to whoever asks for the same, and to no other", wasmOnly, () => {
  const moments = new scores.Moments(2);
  moments.add(new HostArray(Float32Array.of(1, 2, 3, 5.5), [2, 2]));
  const reference: scores.Reference = { moments, features: new HostArray(Float32Array.of(1, 2), [1, 2]) };
  const bytes = scores.encodeReference(reference, "these");
  const read = scores.decodeReference(bytes, "these")!;
  assertEquals(read.features, reference.features);
  assertEquals(read.moments.covariance(), moments.covariance());
  assertEquals(scores.decodeReference(bytes, "others"), undefined);
  assertEquals(scores.decodeReference(bytes.slice(0, 50), "these"), undefined);
});
