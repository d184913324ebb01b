/** learn.tta. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DataLoader,
  DataLoaders,
  flipBatch,
  type Loader,
  loaderOf,
  type Tensor,
  tf,
  TrainLearner,
} from "../../mod.ts";
import { numbers } from "../support.ts";
import { line } from "./lines.ts";

Deno.test("learn.tta: the mean of the predictions with and without the changes", async () => {
  const learn = await line([]);
  const [plain] = await learn.capturePreds();
  const negate = ([x, y]: Tensor[]) => [tf.neg(x), y], zero = ([x, y]: Tensor[]) => [tf.mul(x, 0), y];
  const [mean, targets] = await learn.tta(negate, zero);
  // of x, −x and 0 a line gives b on average
  mean.data.forEach((v) => assert(Math.abs(v - 0.25) < 1e-5, `${v}`));
  assertEquals([mean.shape, targets.shape], [plain.shape, [8, 1]]);
  const flipped = flipBatch([tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 2, 3, 1]), 7]);
  assertEquals([await numbers(flipped[0]), flipped[1]], [[3, 2, 1, 6, 5, 4], 7]);
});

Deno.test("tta of a loader that shuffles is refused", async () => {
  const learn = await line([]), { train, valid } = learn.dls;
  const shuffled = new DataLoader((valid as DataLoader).dataset, { batchSize: 2, shuffle: true });
  const again = (valid: Loader) =>
    new TrainLearner(learn.model, new DataLoaders(train, valid), { cbs: learn.cbs });
  await assertRejects(() => again(shuffled).tta((b) => b), Error, "make it without shuffle");
  const hidden = loaderOf(() => shuffled.batches(), { length: 4 });
  await assertRejects(() => again(hidden).tta((b) => b), Error, "make it without shuffle");
});
