/** Transforms of images. */
import { assertEquals, assertThrows } from "@std/assert";
import { Generator, HostArray, transforms } from "../../../../mod.ts";
import golden from "../../../golden/layers.json" with { type: "json" };
import torch from "../../../golden/torch.json" with { type: "json" };
import { assertClose } from "../../../support.ts";

Deno.test("bilinear resizing 28 to 32: PyTorch's numbers", async () => {
  const image = Float32Array.from({ length: 784 }, (_, i) => i % 37);
  const out = transforms.resizeBilinear(32)(new HostArray(image, [1, 28, 28, 1]));
  assertEquals(out.shape, [1, 32, 32, 1]);
  await assertClose(out.data, torch.resize32, 1e-6);
});

Deno.test("bilinear resizing to a smaller size: PyTorch's numbers, without antialiasing", async () => {
  const image = Uint8Array.from({ length: 117 }, (_, i) => i % 17), [shape, expected] = golden.resized;
  const out = transforms.resizeBilinear(5)(new HostArray(image, [1, 13, 9, 1]));
  assertEquals(out.shape, shape);
  await assertClose(out.data, expected, 1e-6);
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
});

Deno.test("changes to images refuse what is no image, and options that make none", () => {
  const {
    compose,
    flipHorizontal,
    normalize,
    padZeros,
    randCopy,
    randErase,
    randomCrop,
    randomFlip,
    resizeBilinear,
    toFloat,
  } = transforms;
  const line = new HostArray(new Float32Array(8), [4, 2]), generator = new Generator(1);
  const changes = [padZeros(1), resizeBilinear(2), compose(toFloat(), padZeros(0)), flipHorizontal];
  for (const change of changes) assertThrows(() => change(line), RangeError, "takes [N,H,W,C], not [4,2]");
  for (const augment of [randCopy(), randErase(), randomCrop(1), randomFlip()]) {
    assertThrows(() => augment(line, generator), RangeError, "takes [N,H,W,C], not [4,2]");
  }
  for (const wrong of [-1, 0.5, NaN, Infinity]) {
    for (const make of [padZeros, resizeBilinear, randomCrop, (n: number) => randCopy({ maxNum: n })]) {
      assertThrows(() => make(wrong), RangeError, `not ${wrong}`);
    }
  }
  for (const wrong of [-0.1, 1.1, NaN]) {
    for (
      const make of [randomFlip, (pct: number) => randErase({ pct }), (pct: number) => randCopy({ pct })]
    ) {
      assertThrows(() => make(wrong), RangeError, `not ${wrong}`);
    }
  }
  assertThrows(() => resizeBilinear(0), RangeError, "not 0");
  for (const std of [0, -1, NaN, Infinity]) assertThrows(() => normalize(0, std), RangeError, `not ${std}`);
  assertThrows(() => normalize(NaN, 1), RangeError, "not NaN");
  assertThrows(() => toFloat(1, 1), RangeError, "not 1 and 1");
});
