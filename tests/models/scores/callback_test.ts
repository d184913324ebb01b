/** Scores in training. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Callback,
  diffusion,
  Generator,
  HostArray,
  type Json,
  type Learner,
  scores,
  tf,
} from "../../../mod.ts";
import { numbers, wasmOnly } from "../../support.ts";
import { tinyEdm } from "../../tiny.ts";
import { greyModel } from "./tiny.ts";

const levels = diffusion.levels(diffusion.ve({ sigmaMin: 0.01, sigmaMax: 40 }), 2, { spacing: "karras" });

/** Draws images of 8×8, of two classes in turn. */
async function draw(learn: Learner, n: number, generator: Generator, from: number): Promise<scores.Drawn> {
  const labels = Array.from({ length: n }, (_, i) => (from + i) % 2), told = tf.tensor1d(labels, "int32");
  const denoise = diffusion.denoiser(learn.model, { prediction: "edm", sigmaData: 0.7 });
  const images = await diffusion.sample(diffusion.ofClasses(denoise, told), [n, 8, 8, 1], {
    levels,
    generator,
    clip: [-1, 1],
  });
  told.dispose();
  return { images, labels };
}

async function makeEvaluation(): Promise<scores.ImageEval> {
  const { data } = await HostArray.from(new Generator(1).uniform([40, 8, 8, 1]));
  const batches = (async function* () {
    yield [await Promise.resolve(new HostArray(data as Float32Array, [40, 8, 8, 1]))];
  })();
  return await scores.ImageEval.of(greyModel, batches, { range: [-1, 1] });
}

/** The weights after a fit of five epochs. */
async function fitted(cbs: Callback[]) {
  const learn = tinyEdm(cbs);
  await learn.fit(5);
  return { learn, weights: await numbers(learn.model.parameters()[0]) };
}

Deno.test(
  "each second epoch and the last are scored; the training is the same without",
  wasmOnly,
  async () => {
    const evaluation = await makeEvaluation();
    const score = new scores.ScoreCB({ evaluation, draw, every: 2, n: 12, batch: 8 });
    const told: number[] = [];
    score.log = ({ epoch }) => void told.push(epoch);
    const { learn, weights } = await fitted([score]);
    assertEquals(weights, (await fitted([])).weights);
    assertEquals(score.rows.map(({ epoch }) => epoch), [1, 3, 4]);
    assertEquals(told, [1, 3, 4]);

    // The last row is that of what the network draws now.
    const generator = new Generator(0), sums = evaluation.begin(12);
    for (const [n, from] of [[8, 0], [4, 8]]) {
      const { images, labels } = await draw(learn, n, generator, from);
      await sums.add(images, labels);
    }
    const { epoch: _, ...last } = score.rows[2];
    assertEquals(last, await sums.scores());
    assert(score.rows[0].fid !== last.fid && last.accuracy! >= 0 && last.accuracy! <= 1);
  },
);

Deno.test("a checkpoint keeps the rows, and takes no others", async () => {
  const evaluation = await makeEvaluation(), make = () => new scores.ScoreCB({ evaluation, draw, n: 8 });
  const [one, two] = [make(), make()];
  const row = { epoch: 3, n: 8, fid: 1.5, fidEqual: 2, kid: NaN, precision: 1, recall: 0, accuracy: null };
  one.rows.push(row);
  two.loadState(one.state());
  assertEquals(two.rows, [row]);
  assertThrows(
    () => two.loadState([{ ...row, fid: "x" }] as Json),
    Error,
    'ScoreCB: "0.fid" is "x", not a number',
  );
  for (
    const [options, says] of [[{ every: 0 }, "every"], [{ batch: 1.5 }, "batch"], [{ n: 7 }, "n is"]] as const
  ) {
    assertThrows(() => new scores.ScoreCB({ evaluation, draw, ...options }), RangeError, says);
  }
});
