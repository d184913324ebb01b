/** Sums along rows: of a bias's gradient, of parts, of an image's pixels. */
import { tf } from "../../tf.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";

/** Columns of a workgroup, and threads; the rest are lanes that share the rows. */
const COLUMNS = 16, THREADS = 128;
/** Rows of a workgroup at least, and workgroups along the rows at most. */
const ROWS = 512, MOST = 256;

/** out[b, c] = Σ_r x[b, r, c], added up in a fixed order. */
export function sumRows(
  gpu: Gpu,
  x: TensorInfo,
  [batch, rows, columns]: [number, number, number],
  shape: number[],
): TensorInfo {
  const per = Math.max(ROWS, Math.ceil(rows / MOST)), parts = Math.ceil(rows / per);
  const out = gpu.output(parts === 1 ? shape : [batch, parts, columns]);
  gpu.run("SumRows", {
    ...{
      read: { x },
      write: { out },
      threads: THREADS,
      groups: [parts, Math.ceil(columns / COLUMNS), batch],
    },
    sizes: { rows, columns, per, parts },
    declarations: `var<workgroup> sums: array<f32, THREADS>;`,
    body: `
  const COLUMNS = ${COLUMNS}u;
  let c = id.y * COLUMNS + t % COLUMNS;
  let end = min(u.rows, (id.x + 1u) * u.per);
  var sum = 0.0;
  if (c < u.columns) {
    for (var r = id.x * u.per + t / COLUMNS; r < end; r += THREADS / COLUMNS) {
      sum += x[(id.z * u.rows + r) * u.columns + c];
    }
  }
  sums[t] = sum;
  workgroupBarrier();
  if (t < COLUMNS && c < u.columns) {
    for (var lane = 1u; lane < THREADS / COLUMNS; lane++) { sum += sums[lane * COLUMNS + t]; }
    out[(id.z * u.parts + id.x) * u.columns + c] = sum;
  }`,
  });
  if (parts === 1) return out;
  const whole = sumRows(gpu, out, [batch, parts, columns], shape);
  gpu.free(out);
  return whole;
}

export function registerReduce(gpu: Gpu): void {
  gpu.register("SumPixels", ({ x }) => {
    const n = x.shape[0], c = x.shape.at(-1)!;
    return sumRows(gpu, x, [n, size(x.shape) / n / c, c], [n, c]);
  });
  gpu.register("Sum", ({ x }, { axis, keepDims }, original) => {
    const axes = tf.util.parseAxisParam(axis, x.shape).toSorted((a, b) => a - b);
    const rank = x.shape.length;
    const leading = rank > 0 && axes.length > 0 && axes.every((a, i) => a === i);
    if (!leading || keepDims || x.dtype !== "float32" || size(x.shape) === 0) return original();
    const shape = x.shape.slice(axes.length), columns = size(shape);
    if (columns > 1) return sumRows(gpu, x, [1, size(x.shape) / columns, columns], shape);
    // One number: neighbours first become sixteen columns, where they can.
    const all = size(x.shape);
    if (all % COLUMNS || all < ROWS) return original();
    const sixteen = sumRows(gpu, x, [1, all / COLUMNS, COLUMNS], [COLUMNS]);
    const out = sumRows(gpu, sixteen, [1, COLUMNS, 1], shape);
    gpu.free(sixteen);
    return out;
  });
}
