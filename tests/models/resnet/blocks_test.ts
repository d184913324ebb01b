/** ResBlock and conv. */
import { assertEquals } from "@std/assert";
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
