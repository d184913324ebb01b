/** Sums: of an image's pixels, of parts, and tfjs's Sum, Mean, Cumsum and UnsortedSegmentSum. */
import { SumPixels } from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../assembly/abi.ts";
import { areFloat, type Context, size } from "./context.ts";

/** Floats of a task of {@link sumRows}. */
const LENGTH_PER_TASK = 4096;

/** out[i] = Σ_r parts[r · length + i], the parts at an address. */
export function sumRows(ctx: Context, parts: number, rows: number, length: number, out: TensorInfo): void {
  ctx.pool.run(Kernel.sumRows, Math.ceil(length / LENGTH_PER_TASK), {
    parts,
    rows,
    length,
    out,
    lengthPerTask: LENGTH_PER_TASK,
  });
}

/** How items lie in memory. */
type Items = [outer: number, rows: number, columns: number];

/** Floats of a task of {@link sum}, at least, and columns at most. */
const MIN_FLOATS_PER_TASK = 8192, MAX_COLUMNS_PER_TASK = 4096;
/** Into how many tasks a sum is divided if it is long enough. */
const TASKS = 16;

/** out[o, c] = Σ_part parts[o, part, c] / divisor, the parts doubles at an address. */
export function sumTotals(
  ctx: Context,
  parts: number,
  partCount: number,
  columns: number,
  out: TensorInfo,
  divisor: number,
): void {
  const length = size(out.shape);
  ctx.pool.run(Kernel.sumTotals, Math.ceil(length / LENGTH_PER_TASK), {
    parts,
    partCount,
    columns,
    length,
    out,
    divisor,
    lengthPerTask: LENGTH_PER_TASK,
  });
}

/**
 * Sums in double precision: out[o, c] = Σ_r x[o, r, c] / divisor.
 * @param x a tensor, or floats at an address
 */
export function sum(
  ctx: Context,
  x: TensorInfo | number,
  [outer, rows, columns]: Items,
  out: TensorInfo,
  divisor = 1,
): void {
  const columnsPerTask = Math.min(columns, MAX_COLUMNS_PER_TASK);
  const chunks = Math.ceil(columns / columnsPerTask), floats = rows * columnsPerTask;
  const wanted = Math.min(Math.ceil(TASKS / (outer * chunks)), Math.ceil(floats / MIN_FLOATS_PER_TASK));
  const rowsPerPart = Math.ceil(rows / wanted), partCount = Math.ceil(rows / rowsPerPart);
  const outerPerTask = partCount === 1 ? Math.ceil(MIN_FLOATS_PER_TASK / floats) : 1;
  const tasks = Math.ceil(outer / outerPerTask) * partCount * chunks;
  ctx.temporary(2 * outer * partCount * columns, (parts) => {
    ctx.pool.run(Kernel.sumParts, tasks, {
      x,
      outer,
      rows,
      columns,
      parts,
      rowsPerPart,
      columnsPerTask,
      outerPerTask,
    });
    sumTotals(ctx, parts, partCount, columns, out, divisor);
  });
}

/**
 * out[o, c] = Σ_r x[o, r, c] of int32.
 * @throws RangeError for a sum that int32 does not hold
 */
function sumWhole(
  ctx: Context,
  x: TensorInfo,
  [outer, rows, columns]: Items,
  out: TensorInfo,
): void {
  const totals = new Float64Array(outer * columns), values = ctx.values(x);
  for (let row = 0; row < outer * rows; row++) {
    const to = Math.floor(row / rows) * columns, from = row * columns;
    for (let c = 0; c < columns; c++) totals[to + c] += values[from + c];
  }
  const past = totals.find((total) => total !== (total | 0));
  if (past !== undefined) {
    throw new RangeError(`sum: ${past} is more than int32 holds; cast x to float32 first`);
  }
  ctx.values(out).set(totals);
}

/** Σ or the mean of float32 x, or Σ of int32, over axes, a run of neighbouring ones at a time. */
function reduce(ctx: Context, x: TensorInfo, axes: number[], mean: boolean): TensorInfo {
  let shape = x.shape.slice(), current = x;
  for (let last = axes.length - 1; last >= 0;) {
    let first = last;
    while (first > 0 && axes[first - 1] === axes[first] - 1) first--;
    const from = axes[first], to = axes[last] + 1;
    const rows = size(shape.slice(from, to));
    const kept = [...shape.slice(0, from), ...shape.slice(to)];
    const out = ctx.output(kept, x.dtype);
    const items: Items = [size(shape.slice(0, from)), rows, size(shape.slice(to))];
    if (x.dtype === "int32") sumWhole(ctx, current, items, out);
    else sum(ctx, current, items, out, mean ? rows : 1);
    if (current !== x) ctx.backend.disposeData(current.dataId);
    [current, shape, last] = [out, kept, first - 1];
  }
  return current;
}

/** tfjs's Sum or Mean. */
function replaceReduction(ctx: Context, name: "Sum" | "Mean"): void {
  ctx.replace(name, (original) => (inputs, attrs) => {
    const { x } = inputs;
    const axes = [...new Set(tf.util.parseAxisParam(attrs.axis, x.shape))].sort((a, b) => a - b);
    const ours = areFloat(x) || (x.dtype === "int32" && name === "Sum");
    if (!ours || axes.length === 0) return original(inputs, attrs);
    const out = reduce(ctx, x, axes, name === "Mean");
    if (attrs.keepDims) out.shape = x.shape.map((n, i) => axes.includes(i) ? 1 : n);
    return out;
  });
}

/** Registers them. */
export function registerReduce(ctx: Context): void {
  ctx.kernel(SumPixels, ({ x }) => {
    const images = x.shape[0], channels = x.shape.at(-1)!;
    const y = ctx.output([images, channels]);
    sum(ctx, x, [images, size(x.shape) / images / channels, channels], y);
    return { y };
  });
  replaceReduction(ctx, "Sum");
  replaceReduction(ctx, "Mean");

  // In double precision, along one axis.
  ctx.replace("Cumsum", (original) => (inputs, attrs) => {
    const { x } = inputs, [axis] = tf.util.parseAxisParam(attrs.axis, x.shape);
    if (!areFloat(x) || x.shape.length === 0) return original(inputs, attrs);
    const out = ctx.output(x.shape), [to, from] = [out, x].map((t) => ctx.values(t));
    const items = x.shape[axis], inner = size(x.shape.slice(axis + 1)), step = attrs.reverse ? -inner : inner;
    for (let row = 0; row < size(x.shape) / items; row++) {
      let at = Math.floor(row / inner) * items * inner + row % inner, sum = 0;
      if (attrs.reverse) at += (items - 1) * inner;
      for (let i = 0; i < items; i++, at += step) {
        const before = sum;
        sum += from[at];
        to[at] = attrs.exclusive ? before : sum;
      }
    }
    return out;
  });

  // out[s, …] = Σ x[i, …] over the i with segmentIds[i] = s; ids outside [0, numSegments) are dropped.
  ctx.replace("UnsortedSegmentSum", () => ({ x, segmentIds }, { numSegments }) => {
    const width = size(x.shape.slice(1));
    const out = ctx.output([numSegments, ...x.shape.slice(1)], x.dtype);
    const [to, from, ids] = [out, x, segmentIds].map((t) => ctx.values(t));
    to.fill(0);
    ids.forEach((id, i) => {
      if (id < 0 || id >= numSegments) return;
      for (let j = 0; j < width; j++) to[id * width + j] += from[i * width + j];
    });
    return out;
  });
}
