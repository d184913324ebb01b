/** A U-Net over patches. */
import { assertEquals, assertThrows } from "@std/assert";
import { F, type PatchUNetConfig, Tape, tf, unet } from "../../../mod.ts";
import { assertClose, assertTensor, checkGradients, numbers, random } from "../../support.ts";
import { TINY } from "../../tiny.ts";

const SMALL: Partial<PatchUNetConfig> = { ...TINY, attention_head_dim: 8 };

Deno.test("patches lie side by side in the channels, and give the images back", async () => {
  const x = tf.tensor4d(Array.from({ length: 32 }, (_, i) => i), [1, 4, 4, 2]);
  const patches = unet.toPatches(x, 2);
  assertEquals(patches.shape, [1, 2, 2, 8]);
  assertEquals((await numbers(patches)).slice(0, 8), [0, 1, 2, 3, 8, 9, 10, 11]);
  await assertTensor(unet.fromPatches(patches, 2), [1, 4, 4, 2], await numbers(x), 0);
  await assertClose(unet.toPatches(x, 1), x, 0);
  await checkGradients((y) => unet.fromPatches(y, 2), [random([1, 2, 2, 8], 1)]);
  assertThrows(() => unet.toPatches(tf.zeros([1, 5, 4, 1]), 2), RangeError, "patches of 2×2, not [1,5,4,1]");
  assertThrows(() => unet.fromPatches(tf.zeros([1, 2, 2, 6]), 2), RangeError, "not [1,2,2,6]");
});

Deno.test("it is UNet2DModel between both, with the images' channels in its config", async () => {
  const model = new unet.PatchUNet({ ...SMALL, patch_size: 2 });
  assertEquals([model.config.in_channels, model.config.out_channels, model.config.patch_size], [1, 1, 2]);
  assertEquals(new unet.PatchUNet(model.config).parameterCount(), model.parameterCount());
  const inner = new unet.UNet2DModel({ ...SMALL, in_channels: 4, out_channels: 4 });
  inner.loadStateDict(model.stateDict());
  const x = random([2, 8, 8, 1], 1);
  const expected = unet.fromPatches(inner.call(unet.toPatches(x, 2), 3).sample, 2);
  await assertClose(model.call(x, 3), expected, 1e-6);
  await assertClose(model.call([x, 3]), expected, 1e-6);
  assertThrows(() => model.call(x), Error, "there is no t");
  assertThrows(() => new unet.PatchUNet({ ...SMALL, patch_size: 0 }), Error, "patch_size");
});

Deno.test("gradients reach every parameter, the classes' table among them", () => {
  const model = new unet.PatchUNet({ ...SMALL, num_class_embeds: 3 }), tape = new Tape();
  const x = random([2, 8, 8, 1], 1);
  tape.start();
  const loss = F.mseLoss(model.call([x, 1, tf.tensor1d([0, 2], "int32")]), x);
  tape.stop();
  tape.backward(loss);
  assertEquals(Array.from(model.namedParameters()).filter(([, p]) => !p.grad).map(([name]) => name), []);
});
