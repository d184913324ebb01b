/** Sums, which are added up in a fixed order, in blocks, so that sums of many lose little. */
import * as ops from "../../ops/mod.ts";
import { tf } from "../../tf.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, groupsOf, size } from "./gpu.ts";
import { workgroupSum } from "./shader.ts";

/** Columns of a workgroup of {@link sumRows}, and threads; the rest are lanes that share the rows. */
const COLUMNS = 16, THREADS = 128;
/** Least items of a workgroup's sum, and most workgroups that share one. */
const MIN_ROWS = 512, MIN_ITEMS = 2048, MAX_PARTS = 16384;
/** Items that a thread adds up before it adds their sum to the others. */
const BLOCK = 16;
/** A sum of so many items that tfjs's own is precise. */
const FEW_ITEMS = 1024;

/** How items lie in memory: [batch, rows, columns]. */
type Items = [batch: number, rows: number, columns: number];

/** out[b, c] = factor·Σ_r x[b, r, c]. */
export function sumRows(gpu: Gpu, x: TensorInfo, items: Items, shape: number[], factor = 1): TensorInfo {
  const [batch, rows, columns] = items;
  if (columns === 1) return sumItems(gpu, x, [batch, rows], shape, factor);
  const per = Math.max(MIN_ROWS, Math.ceil(rows / MAX_PARTS)), parts = Math.ceil(rows / per);
  const last = parts === 1, across = Math.ceil(columns / COLUMNS);
  const out = gpu.output(last ? shape : [batch, parts, columns]);
  gpu.run("SumRows", {
    read: { x },
    write: { out },
    sizes: { batch, rows, columns, per, parts, across },
    floats: { factor: last ? factor : 1 },
    groups: [parts, ...groupsOf(batch * across)],
    shader: () => ({
      threads: THREADS,
      consts: { COLUMNS, BLOCK },
      declarations: "var<workgroup> sums: array<f32, THREADS>;",
      body: `
  const LANES = THREADS / COLUMNS;
  let place = id.z * counts.y + id.y; let b = place / u.across;
  let c = place % u.across * COLUMNS + t % COLUMNS;
  let end = min(u.rows, (id.x + 1u) * u.per);
  let here = b < u.batch && c < u.columns;
  var sum = 0.0;
  for (var first = id.x * u.per + t / COLUMNS; here && first < end; first += BLOCK * LANES) {
    var block = 0.0;
    for (var r = first; r < min(end, first + BLOCK * LANES); r += LANES) {
      block += x[(b * u.rows + r) * u.columns + c];
    }
    sum += block;
  }
  sums[t] = sum;
  workgroupBarrier();
  if (t < COLUMNS && here) {
    for (var lane = 1u; lane < LANES; lane++) { sum += sums[lane * COLUMNS + t]; }
    out[(b * u.parts + id.x) * u.columns + c] = sum * u.factor;
  }`,
    }),
  });
  if (last) return out;
  const whole = sumRows(gpu, out, [batch, parts, columns], shape, factor);
  gpu.free(out);
  return whole;
}

/** out[b] = factor·Σ_i x[b, i]. */
export function sumItems(
  gpu: Gpu,
  x: TensorInfo,
  [batch, items]: [number, number],
  shape: number[],
  factor = 1,
): TensorInfo {
  const per = Math.max(MIN_ITEMS, Math.ceil(items / MAX_PARTS)), parts = Math.ceil(items / per);
  const last = parts === 1, threads = items > FEW_ITEMS ? THREADS : THREADS / 4;
  const out = gpu.output(last ? shape : [batch, parts]);
  gpu.run("SumItems", {
    key: [threads],
    read: { x },
    write: { out },
    sizes: { batch, items, per, parts },
    floats: { factor: last ? factor : 1 },
    groups: [parts, ...groupsOf(batch)],
    shader: () => ({
      threads,
      consts: { BLOCK },
      declarations: workgroupSum("f32"),
      body: `
  let b = id.z * counts.y + id.y;
  if (b >= u.batch) { return; }
  let end = min(u.items, (id.x + 1u) * u.per);
  var sum = 0.0;
  for (var first = id.x * u.per + t; first < end; first += BLOCK * THREADS) {
    var block = 0.0;
    for (var i = first; i < min(end, first + BLOCK * THREADS); i += THREADS) { block += x[b * u.items + i]; }
    sum += block;
  }
  sum = total(sum, t);
  if (t == 0u) { out[b * u.parts + id.x] = sum * u.factor; }`,
    }),
  });
  if (last) return out;
  const whole = sumItems(gpu, out, [batch, parts], shape, factor);
  gpu.free(out);
  return whole;
}

/** factor·Σ x over some axes: neighbours at once, the last ones first. */
function sumAxes(gpu: Gpu, x: TensorInfo, axes: number[], shape: number[], factor: number): TensorInfo {
  const [axis, ...others] = axes.toSorted((a, b) => b - a);
  let first = axis;
  while (others[0] === first - 1) first = others.shift()!;
  const last = others.length === 0;
  const items: Items = [
    size(x.shape.slice(0, first)),
    size(x.shape.slice(first, axis + 1)),
    size(x.shape.slice(axis + 1)),
  ];
  const kept = last ? shape : x.shape.toSpliced(first, axis + 1 - first);
  const sum = sumRows(gpu, x, items, kept, last ? factor : 1);
  if (last) return sum;
  const whole = sumAxes(gpu, sum, others, shape, factor);
  gpu.free(sum);
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

/** What tfjs's reductions take. */
interface ReduceAttrs {
  axis: number | number[];
  keepDims: boolean;
}

/** A sum under tfjs's name, whose result is multiplied by `factor` of the number of items. */
function replaceSum(gpu: Gpu, name: string, factor: (items: number) => number): void {
  ops.replaceKernel("webgpu", name, (original) => ({ x }, attrs: ReduceAttrs) => {
    const axes = tf.util.parseAxisParam(attrs.axis, x.shape);
    const [kept, reduced] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes);
    const items = size(reduced);
    const leading = axes.toSorted((a, b) => a - b).every((axis, i) => axis === i) &&
      axes.length < x.shape.length;
    const ours = x.dtype === "float32" && axes.length > 0 && (leading || items > FEW_ITEMS);
    if (!ours) return original({ x }, attrs);
    const shape = attrs.keepDims ? tf.backend_util.expandShapeToKeepDim(kept, axes) : kept;
    return sumAxes(gpu, x, axes, shape, factor(items));
  });
}

/** What tfjs's running sums and products take. */
interface CumulateAttrs {
  axis: number;
  exclusive: boolean;
  reverse: boolean;
}

/** A running sum or product from the end, made of the one from the start: tfjs's shader is that of the first length it met. */
function replaceReverse(gpu: Gpu, name: string): void {
  ops.replaceKernel("webgpu", name, (original) => ({ x }, attrs: CumulateAttrs) => {
    if (!attrs.reverse) return original({ x }, attrs);
    const { kernelFunc } = tf.getKernel("Reverse", "webgpu"), { backend } = gpu;
    const flip = (x: TensorInfo) =>
      kernelFunc({ inputs: { x }, attrs: { dims: [attrs.axis] }, backend }) as TensorInfo;
    const flipped = flip(x);
    const sums = original({ x: flipped }, { ...attrs, reverse: false }) as TensorInfo;
    const out = flip(sums);
    gpu.free(flipped, sums);
    return out;
  });
}

export function registerReduce(gpu: Gpu): void {
  replaceReverse(gpu, "Cumsum");
  replaceReverse(gpu, "Cumprod");
  ops.registerKernel("webgpu", ops.SumPixels, ({ x }) => {
    const [n, h, w, c] = x.shape;
    return { y: sumRows(gpu, x, [n, h * w, c], [n, c]) };
  });
  replaceSum(gpu, "Sum", () => 1);
  replaceSum(gpu, "Mean", (items) => 1 / items);
}
