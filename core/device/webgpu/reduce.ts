/** Sums along rows: of a bias's gradient, of parts, of an image's pixels. */
import * as ops from "../../ops/mod.ts";
import { tf } from "../../tf.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";

/** Columns of a workgroup, and threads; the rest are lanes that share the rows. */
const COLUMNS = 16, THREADS = 128;
/** Least rows of a workgroup, and most workgroups along the rows. */
const MIN_ROWS = 512, MAX_PARTS = 256;

/** out[b, c] = Σ_r x[b, r, c], added up in a fixed order. */
export function sumRows(
  gpu: Gpu,
  x: TensorInfo,
  [batch, rows, columns]: [number, number, number],
  shape: number[],
): TensorInfo {
  const per = Math.max(MIN_ROWS, Math.ceil(rows / MAX_PARTS)), parts = Math.ceil(rows / per);
  const out = gpu.output(parts === 1 ? shape : [batch, parts, columns]);
  gpu.run("SumRows", {
    read: { x },
    write: { out },
    sizes: { rows, columns, per, parts },
    groups: [parts, Math.ceil(columns / COLUMNS), batch],
    shader: () => ({
      threads: THREADS,
      consts: { COLUMNS },
      declarations: "var<workgroup> sums: array<f32, THREADS>;",
      body: `
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
    }),
  });
  if (parts === 1) return out;
  const whole = sumRows(gpu, out, [batch, parts, columns], shape);
  gpu.free(out);
  return whole;
}

/** Σ over the parts of two numbers a channel: parts [P,2,C] to two tensors [C]. */
export function sumPairs(gpu: Gpu, parts: TensorInfo): [TensorInfo, TensorInfo] {
  const [count, , channels] = parts.shape;
  const first = gpu.output([channels]), second = gpu.output([channels]);
  gpu.runEach("SumPairs", channels, {
    read: { parts },
    write: { first, second },
    sizes: { count },
    shader: () => ({
      body: `
  var a = 0.0; var b = 0.0;
  for (var p = 0u; p < u.count; p++) {
    a += parts[p * 2u * u.n + gid];
    b += parts[(p * 2u + 1u) * u.n + gid];
  }
  first[gid] = a; second[gid] = b;`,
    }),
  });
  return [first, second];
}

export function registerReduce(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.SumPixels, ({ x }) => {
    const [n, h, w, c] = x.shape;
    return { y: sumRows(gpu, x, [n, h * w, c], [n, c]) };
  });
  ops.replaceKernel("webgpu", "Sum", (original) => ({ x }, attrs) => {
    const axes = tf.util.parseAxisParam(attrs.axis, x.shape).toSorted((a, b) => a - b);
    const rank = x.shape.length;
    const leading = rank > 0 && axes.length > 0 && axes.every((a, i) => a === i);
    if (!leading || attrs.keepDims || x.dtype !== "float32" || size(x.shape) === 0) {
      return original({ x }, attrs);
    }
    const shape = x.shape.slice(axes.length), columns = size(shape);
    if (columns > 1) return sumRows(gpu, x, [1, size(x.shape) / columns, columns], shape);
    // One number: neighbours first become sixteen columns, where they can.
    const all = size(x.shape);
    if (all % COLUMNS || all < MIN_ROWS) return original({ x }, attrs);
    const sixteen = sumRows(gpu, x, [1, all / COLUMNS, COLUMNS], [COLUMNS]);
    const out = sumRows(gpu, sixteen, [1, COLUMNS, 1], shape);
    gpu.free(sixteen);
    return out;
  });
}
