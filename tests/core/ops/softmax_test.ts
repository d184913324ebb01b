/** Softmax and its logarithm against their definitions. */
import { tf } from "../../../mod.ts";
import { assertTensor, checkGradients, numbers, random } from "../../support.ts";

for (const columns of [1, 3, 8, 13]) {
  Deno.test(`softmax and logSoftmax of ${columns} columns: definition and gradients`, async () => {
    const x = random([37, columns], 1), xs = await numbers(x);
    const e = xs.map(Math.exp);
    const sum = (i: number) => {
      const from = Math.floor(i / columns) * columns;
      return e.slice(from, from + columns).reduce((a, b) => a + b);
    };
    await assertTensor(tf.softmax(x as never), [37, columns], e.map((v, i) => v / sum(i)));
    await assertTensor(tf.logSoftmax(x as never), [37, columns], xs.map((v, i) => v - Math.log(sum(i))));
    await checkGradients((x) => tf.softmax(x as never), [random([5, columns], 2)]);
    await checkGradients((x) => tf.logSoftmax(x as never), [random([5, columns], 2)]);
  });
}
