/** Transforms of images, and the arrays they change. */
import { assertEquals, assertThrows } from "@std/assert";
import { HostArray, transforms } from "../../mod.ts";
import torch from "../golden/torch.json" with { type: "json" };
import { assertClose } from "../support.ts";

Deno.test("bilinear resizing 28 to 32: PyTorch's numbers", async () => {
  const image = Float32Array.from({ length: 784 }, (_, i) => i % 37);
  const out = transforms.resizeBilinear(32)(new HostArray(image, [1, 28, 28, 1]));
  assertEquals(out.shape, [1, 32, 32, 1]);
  await assertClose(out.data, torch.resize32, 1e-6);
});

Deno.test("padding, scaling, normalising", () => {
  const x = new HostArray(Uint8Array.of(0, 51, 102, 255), [1, 2, 2, 1]);
  const rounded = (a: HostArray) => Array.from(a.data, (v) => Math.round(v * 1e6) / 1e6);
  assertEquals(rounded(transforms.toFloat()(x)), [0, 0.2, 0.4, 1]);
  assertEquals(rounded(transforms.toFloat(-0.5, 0.5)(x)), [-0.5, -0.3, -0.1, 0.5]);
  assertEquals(rounded(transforms.compose(transforms.toFloat(), transforms.normalize(0.4, 0.2))(x)), [
    -2,
    -1,
    0,
    3,
  ]);
  const padded = transforms.padZeros(1)(transforms.toFloat()(x));
  assertEquals(padded.shape, [1, 4, 4, 1]);
  assertEquals(rounded(padded), [0, 0, 0, 0, 0, 0, 0.2, 0, 0, 0.4, 1, 0, 0, 0, 0, 0]);
  assertThrows(
    () => new HostArray(new Float32Array(3), [2, 2]),
    Error,
    "3 numbers do not fill the shape [2,2] of 4",
  );
});
