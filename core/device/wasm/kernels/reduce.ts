/** Sums: of an image's pixels, of parts, and tfjs's Sum and UnsortedSegmentSum. */
import { registerKernel, replaceKernel, SumPixels } from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel, SumColumnsArgs, SumRowsArgs } from "../assembly/abi.ts";
import { areFloat, type Context, share, size } from "./context.ts";

/** Floats of a task of {@link sumRows}. */
const LENGTH_PER_TASK = 4096;

/** out[i] = Σ_r parts[r · length + i], the parts at an address. */
export function sumRows(ctx: Context, parts: number, rows: number, length: number, out: TensorInfo): void {
  ctx.pool.run(Kernel.sumRows, Math.ceil(length / LENGTH_PER_TASK), SumRowsArgs, {
    parts,
    rows,
    length,
    out,
    lengthPerTask: LENGTH_PER_TASK,
  });
}

/** Sums float32 x over its first `axes` axes. */
function sumLeading(ctx: Context, x: TensorInfo, axes: number, shape: number[]): TensorInfo {
  const rows = size(x.shape.slice(0, axes)), columns = size(x.shape.slice(axes));
  const out = ctx.output(shape);
  const { per, tasks } = share(rows, Math.max(8, Math.ceil(8192 / columns)));
  ctx.temporary(tasks * columns, (parts) => {
    ctx.pool.run(Kernel.sumColumns, tasks, SumColumnsArgs, { x, rows, columns, parts, rowsPerTask: per });
    sumRows(ctx, parts, tasks, columns, out);
  });
  return out;
}

/** Registers them. */
export function registerReduce(ctx: Context): void {
  registerKernel("wasm", SumPixels, ({ x }) => {
    const images = x.shape[0], columns = x.shape.at(-1)!;
    const pixels = size(x.shape) / images / columns;
    const y = ctx.output([images, columns]);
    ctx.pool.run(Kernel.sumColumns, images, SumColumnsArgs, {
      x,
      rows: images * pixels,
      columns,
      parts: y,
      rowsPerTask: pixels,
    });
    return { y };
  });

  replaceKernel("wasm", "Sum", (original) => (inputs, attrs) => {
    const { x } = inputs;
    const axes: number[] = tf.util.parseAxisParam(attrs.axis, x.shape).toSorted((a, b) => a - b);
    const leading = axes.every((a, i) => a === i) && axes.length < x.shape.length;
    if (!areFloat(x) || !leading || axes.length === 0) return original(inputs, attrs);
    const kept = x.shape.slice(axes.length);
    return sumLeading(ctx, x, axes.length, attrs.keepDims ? [...axes.map(() => 1), ...kept] : kept);
  });

  // out[s, …] = Σ x[i, …] over the i with segmentIds[i] = s; ids outside [0, numSegments) are dropped.
  replaceKernel("wasm", "UnsortedSegmentSum", () => ({ x, segmentIds }, { numSegments }) => {
    const width = size(x.shape.slice(1));
    const out = ctx.output([numSegments, ...x.shape.slice(1)]);
    const [to, from] = [out, x].map((t) => ctx.backend.typedArrayFromHeap(t) as Float32Array);
    const ids = ctx.backend.typedArrayFromHeap(segmentIds) as Int32Array;
    to.fill(0);
    ids.forEach((id, i) => {
      if (id < 0 || id >= numSegments) return;
      for (let j = 0; j < width; j++) to[id * width + j] += from[i * width + j];
    });
    return out;
  });
}
