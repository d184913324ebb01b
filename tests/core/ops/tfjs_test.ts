/** tfjs's kernels that devices replace give tfjs's values. */
import { tf } from "../../../mod.ts";
import { assertTensor, numbers, random } from "../../support.ts";

Deno.test("our versions of tfjs kernels give tfjs's values", async () => {
  const a = random([3, 5, 7], 1), b = random([3, 5, 7], 2);
  const [x, y] = [await numbers(a), await numbers(b)];
  await assertTensor(tf.add(a, b), a.shape, x.map((v, i) => v + y[i]));
  await assertTensor(tf.sub(a, b), a.shape, x.map((v, i) => v - y[i]));
  await assertTensor(tf.mul(a, b), a.shape, x.map((v, i) => v * y[i]));
  const sums = Array.from(
    { length: 7 },
    (_, c) => x.filter((_, i) => i % 7 === c).reduce((s, v) => s + v, 0),
  );
  await assertTensor(tf.sum(a, [0, 1]), [7], sums);
  await assertTensor(tf.sum(a, [0, 1], true), [1, 1, 7], sums);
  const joined = tf.concat([a, b], 1);
  await assertTensor(tf.split(joined, 2, 1)[1], a.shape, y);
  const segments = tf.unsortedSegmentSum(
    tf.tensor2d([[1, 2], [3, 4], [5, 6]]),
    tf.tensor1d([1, 0, 1], "int32"),
    3,
  );
  await assertTensor(segments, [3, 2], [3, 4, 6, 8, 0, 0]);
});
