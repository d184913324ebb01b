/** Convolution against its definition on the shapes that devices have kernels of their own for. */
import { assertThrows } from "@std/assert";
import { F, tf } from "../../../mod.ts";
import type { Tensor } from "../../../mod.ts";
import { assertTensor, checkGradients, numbers, random } from "../../support.ts";

/** The definition of a convolution, one product at a time. */
async function slowConv(x: Tensor, w: Tensor, b: Tensor | null, stride: number, padding: number) {
  const [n, h, wd, ci] = x.shape, [kh, kw, , co] = w.shape;
  const ho = Math.floor((h! + 2 * padding - kh) / stride) + 1;
  const wo = Math.floor((wd! + 2 * padding - kw!) / stride) + 1;
  const [xs, ws, bs] = [await numbers(x), await numbers(w), b ? await numbers(b) : null];
  const out: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let y = 0; y < ho; y++) {
      for (let z = 0; z < wo; z++) {
        for (let o = 0; o < co!; o++) {
          let sum = bs ? bs[o] : 0;
          for (let ky = 0; ky < kh; ky++) {
            for (let kx = 0; kx < kw!; kx++) {
              const iy = y * stride + ky - padding, ix = z * stride + kx - padding;
              if (iy < 0 || iy >= h! || ix < 0 || ix >= wd!) continue;
              for (let c = 0; c < ci!; c++) {
                sum += xs[((i * h! + iy) * wd! + ix) * ci! + c] * ws[((ky * kw! + kx) * ci! + c) * co! + o];
              }
            }
          }
          out.push(sum);
        }
      }
    }
  }
  return { shape: [n, ho, wo, co!], out };
}

const CONVS: [name: string, x: number[], k: number, co: number, stride: number, padding: number][] = [
  ["3×3", [2, 7, 9, 6], 3, 5, 1, 1],
  ["3×3 of 16 channels", [3, 8, 8, 16], 3, 16, 1, 1],
  ["3×3 from one channel", [2, 9, 6, 1], 3, 8, 1, 1],
  ["3×3 to one channel", [2, 5, 5, 9], 3, 1, 1, 1],
  ["3×3 from three channels, stride 2", [3, 9, 7, 3], 3, 10, 2, 1],
  ["3×3 to two channels", [2, 7, 6, 10], 3, 2, 1, 1],
  ["3×3 to three channels, stride 2", [2, 9, 3, 5], 3, 3, 2, 1],
  ["3×3 of one channel", [3, 6, 5, 1], 3, 1, 1, 1],
  ["5×5 from one channel", [5, 8, 9, 1], 5, 16, 1, 2],
  ["3×3 to one channel of many", [2, 12, 10, 20], 3, 1, 1, 1],
  ["3×3 without padding", [1, 8, 5, 3], 3, 4, 1, 0],
  ["3×3 stride 2", [2, 8, 8, 7], 3, 12, 2, 1],
  ["3×3 stride 2, odd size", [2, 9, 7, 4], 3, 3, 2, 1],
  ["1×1", [2, 5, 6, 13], 1, 10, 1, 0],
  ["1×1 stride 2", [2, 6, 7, 5], 1, 4, 2, 0],
  ["5×5", [1, 9, 8, 2], 5, 3, 1, 2],
  ["5×5 stride 2", [2, 11, 10, 3], 5, 6, 2, 2],
  ["3×3 stride 3", [1, 10, 11, 2], 3, 3, 3, 1],
  ["many images of few pixels", [17, 2, 2, 3], 3, 9, 1, 1],
  ["a filter larger than the image", [5, 2, 3, 9], 3, 17, 1, 1],
  ["a filter larger than the image, stride 2", [9, 2, 2, 16], 3, 8, 2, 1],
  ["5×5 filter larger than the image", [4, 3, 4, 2], 5, 3, 1, 2],
  ["5×5 filter larger than the image, stride 2", [3, 4, 5, 3], 5, 5, 2, 2],
  ["small images, stride 2, odd size", [14, 7, 5, 20], 3, 11, 2, 1],
  ["small images of many channels, stride 2", [13, 4, 4, 50], 3, 9, 2, 1],
  ["small images, more than a block of them", [150, 2, 3, 6], 3, 8, 1, 1],
  ["small images, stride 3", [12, 4, 5, 7], 5, 9, 3, 2],
  ["a filter for one pixel", [7, 1, 1, 6], 3, 11, 1, 1],
  ["large image", [1, 40, 33, 4], 3, 9, 1, 1],
  ["3×3 in tiles", [4, 16, 16, 8], 3, 16, 1, 1],
  ["3×3 in tiles, odd size", [4, 14, 15, 16], 3, 8, 1, 1],
  ["3×3 in tiles without padding", [6, 15, 13, 8], 3, 8, 1, 0],
  ["5×5 in tiles", [2, 10, 12, 8], 5, 16, 1, 2],
  ["5×5 in tiles, odd size", [3, 9, 7, 16], 5, 8, 1, 2],
  ["5×5 in tiles without padding", [2, 13, 11, 8], 5, 8, 1, 0],
];

for (const [name, shape, k, co, stride, padding] of CONVS) {
  const inputs = () => [random(shape, 1), random([k, k, shape[3], co], 2), random([co], 3)];
  Deno.test(`conv2d ${name}: definition`, async () => {
    const [x, w, b] = inputs();
    for (const bias of [b, null]) {
      const { shape, out } = await slowConv(x, w, bias, stride, padding);
      await assertTensor(F.conv2d(x, w, bias, { stride, padding }), shape, out);
    }
  });
  Deno.test(`conv2d ${name}: gradients`, async () => {
    await checkGradients((x, w, b) => F.conv2d(x, w, b, { stride, padding }), inputs());
  });
}

Deno.test("conv2d and linear with a residual: the sum, gradients, and its shape is asked for", async () => {
  // Direct, of few pixels, by tiles, and of 1×1, each with what is added in its own epilogue.
  for (
    const [shape, k, co, padding] of [[[2, 5, 6, 7], 3, 5, 1], [[3, 2, 2, 7], 3, 9, 1], [
      [4, 16, 16, 8],
      3,
      16,
      1,
    ], [
      [2, 5, 6, 13],
      1,
      10,
      0,
    ]] as const
  ) {
    const [x, w, b] = [random([...shape], 1), random([k, k, shape[3], co], 2), random([co], 3)];
    const residual = random([...shape.slice(0, 3), co], 4);
    const sum = await numbers(tf.add(F.conv2d(x, w, b, { padding }), residual));
    await assertTensor(F.conv2d(x, w, b, { padding, residual }), residual.shape, sum);
    const f = (x: Tensor, w: Tensor, b: Tensor, residual: Tensor) => F.conv2d(x, w, b, { padding, residual });
    await checkGradients(f, [x, w, b, residual]);
    assertThrows(() => F.conv2d(x, w, b, { padding, residual: x }), Error, "residual has shape");
  }
  const [x, w, b, r] = [random([2, 5, 7], 1), random([3, 7], 2), random([3], 3), random([2, 5, 3], 4)];
  await assertTensor(F.linear(x, w, b, r), [2, 5, 3], await numbers(tf.add(F.linear(x, w, b), r)));
  await checkGradients((x, w, b, r) => F.linear(x, w, b, r), [x, w, b, r]);
  await checkGradients((x, w, r) => F.linear(x, w, null, r), [x, w, r]);
});
