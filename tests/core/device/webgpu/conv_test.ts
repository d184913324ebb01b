/** tfjs's own convolution of the same name: filters of any sides, strides that leave rows over. */
import { assertThrows } from "@std/assert";
import { F, grad, tf } from "../../../../mod.ts";
import { assertClose, device, random } from "../../../support.ts";

const onGpu = { ignore: device.name !== "webgpu" };

/** Compared with the op of the table, which a test of its own compares with its definition. */
const SIZES: [x: number[], filter: number[], stride: number, padding: number][] = [
  [[2, 6, 7, 3], [1, 3, 3, 4], 1, 0],
  [[2, 6, 7, 4], [3, 1, 4, 8], 1, 1],
  [[1, 8, 9, 2], [2, 5, 2, 3], 2, 1],
  [[2, 8, 8, 3], [3, 3, 3, 5], 2, 0],
  [[1, 9, 10, 4], [4, 2, 4, 4], 3, 1],
];
for (const [shape, sides, stride, padding] of SIZES) {
  Deno.test(
    `tf.conv2d of [${shape}] by [${sides}], stride ${stride}, padding ${padding}`,
    onGpu,
    async () => {
      const x = random(shape, 1), filter = random(sides, 2);
      const theirs = (x: tf.Tensor, filter: tf.Tensor) =>
        tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, stride, padding, "NHWC", 1, "floor");
      const ours = (x: tf.Tensor, filter: tf.Tensor) => F.conv2d(x, filter, null, { stride, padding });
      const y = ours(x, filter), dy = random(y.shape, 3);
      await assertClose(theirs(x, filter), y, 1e-6);
      const [a, b] = [grad(theirs, [x, filter], dy), grad(ours, [x, filter], dy)];
      await assertClose(a[0], b[0], 1e-6);
      await assertClose(a[1], b[1], 1e-6);
    },
  );
}

Deno.test("tf.conv2d with a filter larger than the padded image is refused", onGpu, () => {
  const x = tf.ones([1, 2, 2, 1]) as tf.Tensor4D, filter = tf.ones([5, 5, 1, 1]) as tf.Tensor4D;
  assertThrows(
    () => tf.conv2d(x, filter, 1, "valid"),
    Error,
    "a filter of 5×5 is larger than the padded image",
  );
  assertThrows(() => tf.conv2d(x, filter, 1, 1), Error, "a filter of 5×5 is larger than the padded image");
});
