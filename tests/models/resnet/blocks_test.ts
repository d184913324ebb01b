/** ResBlock and conv. */
import { assertEquals, assertThrows } from "@std/assert";
import { F, resnet, type Tensor, tf } from "../../../mod.ts";
import { assertClose, random } from "../../support.ts";

Deno.test("ResBlock by hand: act(convs(x) + idconv(pool(x)))", async () => {
  const block = new resnet.ResBlock(3, 5, { stride: 2 }), x = random([2, 7, 7, 3], 4);
  const sum = tf.add(block.convs.call(x), block.idconv!.call(F.averagePool(x))) as Tensor;
  await assertClose(block.call(x), F.generalRelu(sum, 0.1, 0.4), 1e-5);
  assertEquals(block.call(x).shape, [2, 4, 4, 5]);
  const same = new resnet.ResBlock(4, 4);
  assertEquals([same.idconv, same.pool], [null, null]);
  assertEquals(resnet.conv(1, 8, { stride: 1, act: null }).layers.length, 1);
});

Deno.test("an even kernel, of which stride 1 would not keep the size, is refused", () => {
  for (
    const make of [resnet.conv, (...args: Parameters<typeof resnet.conv>) => new resnet.ResBlock(...args)]
  ) {
    for (const kernelSize of [2, 4]) {
      assertThrows(() => make(1, 2, { kernelSize }), RangeError, `an odd number, not ${kernelSize}`);
    }
    for (const [kernelSize, size, stride] of [[1, 7, 1], [5, 7, 2], [3, 8, 3]]) {
      const y = make(1, 2, { kernelSize, stride }).call(tf.ones([1, size, size, 1]));
      assertEquals(y.shape, [1, Math.ceil(size / stride), Math.ceil(size / stride), 2]);
    }
  }
});
