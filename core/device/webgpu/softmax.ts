/** The gradients of softmax and log-softmax: a workgroup a row. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, grid, size } from "./gpu.ts";
import { workgroupSum } from "./shader.ts";

const THREADS = 32;

/** dx of each row from Σ `term` over it; both are WGSL expressions of the element `i`, and `dx` knows `sum`. */
function perRow(
  gpu: Gpu,
  name: string,
  y: TensorInfo,
  dy: TensorInfo,
  { term, dx }: { term: string; dx: string },
): TensorInfo {
  const columns = y.shape.at(-1)!, rows = size(y.shape) / columns, out = gpu.output(y.shape);
  gpu.run(name, {
    read: { y, dy },
    write: { out },
    sizes: { rows, columns },
    groups: grid(rows, 1),
    shader: () => ({
      threads: THREADS,
      declarations: workgroupSum("f32"),
      body: `
  let r = id.y * counts.x + id.x;
  if (r >= u.rows) { return; }
  let row = r * u.columns; let end = row + u.columns;
  var sum = 0.0;
  for (var i = row + t; i < end; i += THREADS) { sum += ${term}; }
  sum = total(sum, t);
  for (var i = row + t; i < end; i += THREADS) { out[i] = ${dx}; }`,
    }),
  });
  return out;
}

export function registerSoftmax(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.SoftmaxGrad, ({ y, dy }) => ({
    dx: perRow(gpu, "SoftmaxGrad", y, dy, { term: "dy[i] * y[i]", dx: "y[i] * (dy[i] - sum)" }),
  }));
  ops.registerKernel("webgpu", ops.LogSoftmaxGrad, ({ y, dy }) => ({
    dx: perRow(gpu, "LogSoftmaxGrad", y, dy, { term: "dy[i]", dx: "dy[i] - exp(y[i]) * sum" }),
  }));
}
