/** Scores of images. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Generator, HostArray, scores, tf, transforms } from "../../../mod.ts";
import "../../support.ts";
import { assertNear } from "./golden.ts";
import { greyModel, greys } from "./tiny.ts";

const { ImageEval } = scores;

/** n images of 2×2 with random greys of a mean. */
async function images(n: number, mean: number, seed: number): Promise<HostArray> {
  const { data } = await HostArray.from(new Generator(seed).uniform([n, 2, 2, 1]));
  return new HostArray(Float32Array.from(data, (v) => mean + (v - 0.5) / 4), [n, 2, 2, 1]);
}

const some = ({ data }: HostArray, from: number, to: number) =>
  new HostArray(data.slice(from * 4, to * 4), [to - from, 2, 2, 1]);

const evaluation = await ImageEval.of(greyModel, [[await images(400, 0.5, 1)]] as never);

Deno.test("scores of a stream are those of all at once, which are those of the parts' functions", async () => {
  const samples = await images(230, 0.6, 2), labels = Array.from({ length: 230 }, (_, i) => i % 2);
  const before = tf.memory().numTensors;
  const whole = await evaluation.scores(samples, labels);
  const sums = evaluation.begin(230);
  for (const [from, to] of [[0, 1], [1, 90], [90, 95], [95, 230]]) {
    await sums.add(some(samples, from, to), labels.slice(from, to));
  }
  const streamed = await sums.scores();
  assertEquals(tf.memory().numTensors, before);
  for (const key of ["fid", "fidEqual", "kid", "precision", "recall", "accuracy"] as const) {
    assertNear(streamed[key]!, whole[key]!, 1e-9, key);
  }
  const { features } = await scores.makeReference(greyModel, [[evaluation.prepared(samples)]] as never);
  const real = new HostArray((evaluation.reference.features.data as Float32Array).slice(0, 460), [230, 2]);
  assertNear(whole.kid, scores.kernelDistance(features, real), 1e-9);
  assertNear(whole.fid, await evaluation.fid(samples), 1e-9);
  const [a, b] = [features, real].map((f) => {
    const moments = new scores.Moments(2);
    moments.add(f);
    return moments;
  });
  assertNear(whole.fidEqual, await scores.frechetDistance(a, b), 1e-9);
  assertNear(whole.kid, await evaluation.kid(samples), 1e-9);
  const { precision, recall } = await scores.precisionRecall(real, features);
  assertEquals([whole.precision, whole.recall, whole.n], [precision, recall, 230]);
});

Deno.test("worse images score worse; of real ones the scores are small", async () => {
  const [real, near, far] = await Promise.all(
    [0.5, 0.52, 0.8].map(async (mean, i) => await evaluation.scores(await images(200, mean, 10 + i))),
  );
  assert(real.fid < near.fid && near.fid < far.fid, `${real.fid}, ${near.fid}, ${far.fid}`);
  assert(real.kid < far.kid && real.precision > 0.8 && far.precision < 0.1 && far.recall < 0.1);
  assertEquals(real.accuracy, null);
});

Deno.test("accuracy is the share that is taken for its class", async () => {
  const sums = evaluation.begin(8);
  await sums.add(greys(6, 0.9), [1, 1, 1, 0, 1, 0]);
  await sums.add(greys(2, 0.1), [0, 1]);
  assertEquals((await sums.scores()).accuracy, 5 / 8);
});

Deno.test("images are brought to [0, 1] and to the size, and rounded as files have them", () => {
  const options = { range: [-1, 1] as [number, number], prepare: transforms.padZeros(1) };
  const wide = new ImageEval(greyModel, evaluation.reference, options);
  const { data, shape } = wide.prepared(new HostArray(Float32Array.of(-1.5, 1.5, 0, 0.001), [1, 2, 2, 1]));
  assertEquals(shape, [1, 4, 4, 1]);
  assertEquals(
    [...data.subarray(5, 7), ...data.subarray(9, 11)],
    [0, 1, 128 / 255, 128 / 255].map(Math.fround),
  );
});

Deno.test("no more than 5,000 features are compared one by one", async () => {
  const few = new ImageEval(greyModel, evaluation.reference, { neighbours: 20 });
  const samples = await images(60, 0.5, 3);
  const { precision } = await few.scores(samples);
  const first = await scores.makeReference(greyModel, [[few.prepared(some(samples, 0, 20))]] as never);
  const real = new HostArray((few.reference.features.data as Float32Array).slice(0, 40), [20, 2]);
  assertEquals(precision, (await scores.precisionRecall(real, first.features)).precision);
});

Deno.test("what cannot be scored is refused", async () => {
  const { reference } = evaluation;
  assertThrows(() => new ImageEval(greyModel, reference, { range: [1, 1] }), RangeError, "not [1, 1]");
  const other = { ...greyModel, size: 3 };
  assertThrows(() => new ImageEval(other, reference), RangeError, "have 2 numbers, the model's 3");
  assertThrows(() => evaluation.begin(7), RangeError, "from 8 on, not 7");
  const lean = { ...reference, features: new HostArray(new Float32Array(14), [7, 2]) };
  assertThrows(() => new ImageEval(greyModel, lean).begin(8), RangeError, "has 7 features");
  const sums = evaluation.begin(8);
  await assertRejects(() => sums.add(greys(9, 0)), RangeError, "9 images are more than the 8");
  await assertRejects(() => sums.add(greys(2, 0), [1]), RangeError, "1 labels of 2 images");
  await sums.add(greys(3, 0));
  await assertRejects(() => sums.scores(), Error, "3 of the 8 images");
});
