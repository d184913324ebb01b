/** Pooling and upsampling by whole factors: each thread makes one output element. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";

/**
 * An image tensor made element by element: the body knows n, row, column and c of the output element `gid`, and
 * `input(n, row, column, c)`, the place of an input element.
 */
function perPixel(
  gpu: Gpu,
  name: string,
  x: TensorInfo,
  shape: number[],
  factor: number,
  body: string,
): TensorInfo {
  const y = gpu.output(shape), [, height, width, channels] = shape;
  gpu.runEach(name, size(shape), {
    read: { x },
    write: { y },
    sizes: { height, width, channels, inHeight: x.shape[1], inWidth: x.shape[2], factor },
    shader: () => ({
      declarations: `
fn input(n: u32, row: u32, column: u32, c: u32) -> u32 {
  return ((n * u.inHeight + row) * u.inWidth + column) * u.channels + c;
}`,
      body: `
  let c = gid % u.channels; let pixel = gid / u.channels;
  let column = pixel % u.width; let row = pixel / u.width % u.height; let n = pixel / u.width / u.height;
  ${body}`,
    }),
  });
  return y;
}

/** Sum of the block of x at (row, column)·factor, cut off at the image's end. */
const BLOCK = `
  let rows = min(u.factor, u.inHeight - row * u.factor);
  let columns = min(u.factor, u.inWidth - column * u.factor);
  var sum = 0.0;
  for (var i = 0u; i < rows; i++) {
    for (var j = 0u; j < columns; j++) {
      sum += x[input(n, row * u.factor + i, column * u.factor + j, c)];
    }
  }`;

/** The gradient of a block's mean for one of its pixels. */
const BLOCK_SHARE = `
  let i = row / u.factor; let j = column / u.factor;
  let rows = min(u.factor, u.height - i * u.factor); let columns = min(u.factor, u.width - j * u.factor);
  y[gid] = x[input(n, i, j, c)] / f32(rows * columns);`;

export function registerResample(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.Upsample, ({ x }, { factor }) => {
    const [n, h, w, c] = x.shape;
    const body = "y[gid] = x[input(n, row / u.factor, column / u.factor, c)];";
    return { y: perPixel(gpu, "Upsample", x, [n, h * factor, w * factor, c], factor, body) };
  });
  ops.registerKernel("webgpu", ops.UpsampleGrad, ({ dy }, { factor }) => {
    const [n, h, w, c] = dy.shape, shape = [n, h / factor, w / factor, c];
    return { dx: perPixel(gpu, "UpsampleGrad", dy, shape, factor, `${BLOCK} y[gid] = sum;`) };
  });
  ops.registerKernel("webgpu", ops.AveragePool, ({ x }, { factor }) => {
    const [n, h, w, c] = x.shape, shape = [n, Math.ceil(h / factor), Math.ceil(w / factor), c];
    const body = `${BLOCK} y[gid] = sum / f32(rows * columns);`;
    return { y: perPixel(gpu, "AveragePool", x, shape, factor, body) };
  });
  ops.registerKernel("webgpu", ops.AveragePoolGrad, ({ dy }, { factor, shape }) => ({
    dx: perPixel(gpu, "AveragePoolGrad", dy, shape, factor, BLOCK_SHARE),
  }));
}
