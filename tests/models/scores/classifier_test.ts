/** The classifier that ships, and its features. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DataLoader,
  embeddedFashionMnist,
  loadWeights,
  noGrad,
  resnet,
  scores,
  take,
  tf,
  transforms,
  withMode,
} from "../../../mod.ts";
import { assertClose, numbers, wasmOnly } from "../../support.ts";

const WEIGHTS = new URL(
  "../../../models/scores/weights/fashion_mnist_classifier.safetensors",
  import.meta.url,
);

/** Some test images of [0, 1], and their labels. */
async function testImages(n: number) {
  const { test } = await embeddedFashionMnist();
  const loader = new DataLoader(take(test, n), { batchSize: n, transform: transforms.toFloat() });
  const [[images, labels]] = await Array.fromAsync(loader);
  return { images: images.toTensor(), labels: labels.data };
}

Deno.test("features and logits are the classifier's, whatever mode; nothing is left", async () => {
  const model = await scores.classifierFeatures(), { images } = await testImages(20);
  const before = tf.memory().numTensors;
  const { features, logits } = model.features(images);
  assertEquals(tf.memory().numTensors, before + 2);
  assertEquals([features.shape, logits!.shape, model.size], [[20, 256], [20, 10], 256]);
  const classifier = resnet.getModel3();
  await loadWeights(classifier, await Deno.readFile(WEIGHTS));
  const x = tf.div(tf.sub(images, 0.28), 0.35);
  const expected = withMode(classifier, false, () => noGrad(() => classifier.call(x)));
  await assertClose(logits!, expected, 1e-5);
  // The head makes the logits of the features.
  const head = withMode(
    classifier,
    false,
    () => noGrad(() => classifier[7].call(classifier[6].call(features))),
  );
  await assertClose(head, expected, 1e-5);
});

Deno.test("it tells the clothes of test images apart; its hash is the file's", wasmOnly, async () => {
  const model = await scores.classifierFeatures(), { images, labels } = await testImages(1000);
  const { logits } = model.features(images), predicted = await numbers(tf.argMax(logits!, 1));
  const right = predicted.filter((c, i) => c === labels[i]).length;
  assert(right >= 900, `${right} of 1000`);
  const bytes = await Deno.readFile(WEIGHTS);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  assertEquals(model.hash, hash);
});

Deno.test("weights that are not there, or another network's, are refused", wasmOnly, async () => {
  const missing = new URL("./none.safetensors", import.meta.url);
  await assertRejects(() => scores.classifierFeatures(missing), Error, "none.safetensors");
  const other = new URL("../../../models/ddpm/weights/fashion_mnist.safetensors", import.meta.url);
  await assertRejects(() => scores.classifierFeatures(other), Error);
});
