/** The lesson's U-Net and its initialisation. */
import { assert, assertEquals } from "@std/assert";
import { initDdpm, tf, UNet, unet } from "../../../mod.ts";
import { assertClose, numbers } from "../../support.ts";
import { TINY } from "../../tiny.ts";

Deno.test("initDdpm: zero second convolutions and output, orthogonal downsamplers, the rest untouched", async () => {
  const model = new UNet(TINY);
  const middle = await numbers(model.mid_block!.resnets[0].conv2.weight);
  initDdpm(model);
  for (const block of [...model.down_blocks, ...model.up_blocks]) {
    for (const { conv1, conv2 } of block.resnets) {
      assert((await numbers(conv2.weight)).every((v) => v === 0));
      assert((await numbers(conv2.bias!)).some((v) => v !== 0));
      assert((await numbers(conv1.weight)).some((v) => v !== 0));
    }
  }
  assert((await numbers(model.conv_out.weight)).every((v) => v === 0));
  assertEquals(await numbers(model.mid_block!.resnets[0].conv2.weight), middle);
  const halving = Array.from(model.namedModules(), ([, part]) => part)
    .filter((part) => part instanceof unet.Downsample2D);
  const down = tf.reshape(halving[0].conv.weight, [72, 8]);
  await assertClose(tf.matMul(down, down, true), tf.eye(8), 1e-5);
});
