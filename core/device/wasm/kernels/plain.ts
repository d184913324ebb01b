/** tfjs kernels that training needs and its WASM backend lacks, or runs on one thread where memory is the limit. */
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../pool.ts";
import { type Context, share, size } from "./context.ts";
import { sumRows } from "./conv.ts";
import { MapOp, runMap } from "./fused.ts";

/** Copies `width` floats of each of `rows` rows between two addresses. */
function copyColumns(
  { pool }: Context,
  from: number,
  fromRow: number,
  to: number,
  toRow: number,
  width: number,
  rows: number,
) {
  const { per, tasks } = share(rows, Math.max(1, Math.ceil(4096 / width)));
  pool.run(Kernel.copyColumns, tasks, [from, fromRow, to, toRow, width, rows, per]);
}

/** Sums float32 x over its first `axes` axes. */
function sumLeading(ctx: Context, x: TensorInfo, axes: number, shape: number[]): TensorInfo {
  const rows = size(x.shape.slice(0, axes)), columns = size(x.shape.slice(axes));
  const out = ctx.output(shape);
  const { per, tasks } = share(rows, Math.max(8, Math.ceil(8192 / columns)));
  ctx.temporary(tasks * columns, (parts) => {
    ctx.pool.run(Kernel.sumColumns, tasks, [ctx.at(x), rows, columns, parts, per]);
    sumRows(ctx, parts, tasks, columns, ctx.at(out));
  });
  return out;
}

/** Registers them. */
export function registerPlain(ctx: Context): void {
  const float = (...ts: TensorInfo[]) => ts.every((t) => t.dtype === "float32");
  const alike = (a: TensorInfo, b: TensorInfo) => float(a, b) && tf.util.arraysEqual(a.shape, b.shape);

  for (const [name, op] of [["Add", "add"], ["Sub", "sub"], ["Multiply", "mul"]] as const) {
    ctx.register(name, (original) => (inputs, attrs) => {
      const { a, b } = inputs;
      if (!alike(a, b)) return original!(inputs, attrs);
      const out = ctx.output(a.shape);
      runMap(ctx, MapOp[op], size(a.shape), ctx.at(out), ctx.at(a), ctx.at(b));
      return out;
    });
  }

  // Shares the data; tfjs's own copies it, which would double what the tape saves.
  ctx.register("Identity", () => ({ x }) => {
    ctx.backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  });

  ctx.register("Sum", (original) => (inputs, attrs) => {
    const { x } = inputs;
    const axes: number[] = tf.util.parseAxisParam(attrs.axis, x.shape).toSorted((a, b) => a - b);
    const leading = axes.every((a, i) => a === i) && axes.length < x.shape.length;
    if (!float(x) || !leading || axes.length === 0) return original!(inputs, attrs);
    const kept = x.shape.slice(axes.length);
    return sumLeading(ctx, x, axes.length, attrs.keepDims ? [...axes.map(() => 1), ...kept] : kept);
  });

  ctx.register("Concat", (original) => (inputs, attrs) => {
    const parts = Object.values(inputs).filter((t) => size(t.shape) > 0);
    if (parts.length === 0 || !float(...parts)) return original!(inputs, attrs);
    const axis = tf.util.parseAxisParam(attrs.axis, parts[0].shape)[0];
    const shape = tf.backend_util.computeOutShape(parts.map((t) => t.shape), axis);
    const out = ctx.output(shape);
    const row = size(shape.slice(axis)), rows = size(shape.slice(0, axis));
    let at = ctx.at(out);
    for (const t of parts) {
      const width = size(t.shape.slice(axis));
      copyColumns(ctx, ctx.at(t), width, at, row, width, rows);
      at += width * 4;
    }
    return out;
  });

  ctx.register("SplitV", (original) => (inputs, attrs) => {
    const { x } = inputs;
    if (!float(x)) return original!(inputs, attrs);
    const axis = tf.util.parseAxisParam(attrs.axis, x.shape)[0];
    const sizes = tf.backend_util.prepareSplitSize(x as never, attrs.numOrSizeSplits, axis);
    const row = size(x.shape.slice(axis)), rows = size(x.shape.slice(0, axis));
    let at = ctx.at(x);
    return sizes.map((n: number) => {
      const out = ctx.output(x.shape.with(axis, n));
      const width = size(out.shape.slice(axis));
      copyColumns(ctx, at, row, ctx.at(out), width, width, rows);
      at += width * 4;
      return out;
    });
  });

  ctx.register("Relu", (original) => (inputs, attrs) => {
    const { x } = inputs;
    if (!float(x)) return original!(inputs, attrs);
    const out = ctx.output(x.shape);
    runMap(ctx, MapOp.relu, size(x.shape), ctx.at(out), ctx.at(x));
    return out;
  });

  // out[s, …] = Σ x[i, …] over the i with segmentIds[i] = s; ids outside [0, numSegments) are dropped.
  ctx.register("UnsortedSegmentSum", () => ({ x, segmentIds }, { numSegments }) => {
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
