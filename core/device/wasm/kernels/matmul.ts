/** Matrix products, for our ops and under tfjs's kernel names. */
import { Linear, requireBatches } from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel, MR, NR } from "../assembly/abi.ts";
import { areFloat, type Context, size } from "./context.ts";
import { sumRows } from "./reduce.ts";

/** Where a product is split along its sum: at most so many rows, at least so long a sum, into so many parts. */
const SPLIT_ROWS = 256, SPLIT_K = 512, PARTS = 8;
/** Longest sum that is added up product by product in single precision; longer ones in pieces, which are added up after. */
const MAX_K = 4096;
/** Rows of a task, from few threads' share to what fits the cache. */
const MIN_ROWS_PER_TASK = 24, MAX_ROWS_PER_TASK = 96;

interface MatMulAttrs {
  transposeA: boolean;
  transposeB: boolean;
  activation?: string;
}

/** A product of batches of matrices; steps are in floats. */
interface Product {
  /** A tensor or address, as b. */
  a: TensorInfo | number;
  aBatchStep: number;
  aRowStep: number;
  transposeA: boolean;
  b: TensorInfo | number;
  bBatchStep: number;
  bRowStep: number;
  bColumnStep: number;
  m: number;
  n: number;
  k: number;
  batch: number;
  /** The address of the output, without gaps. */
  out: number;
  bias?: TensorInfo;
  /** What is added to the output, of its shape: a tensor or address. */
  add?: TensorInfo | number;
}

/** Multiplies, a piece of the sum after the other: the sum so far is added to each piece, in the output or beside it in turn. */
function multiplyInPieces(ctx: Context, p: Product): void {
  const pieces = Math.ceil(p.k / MAX_K);
  if (pieces <= 1) return multiply(ctx, p);
  const at = (t: TensorInfo | number) => typeof t === "number" ? t : ctx.address(t);
  const aStep = p.transposeA ? p.aRowStep : 1;
  ctx.temporary(p.batch * p.m * p.n, (beside) => {
    for (let piece = 0, from = 0, sum = p.add; piece < pieces; piece++, from += MAX_K) {
      const out = (pieces - piece) % 2 ? p.out : beside;
      multiply(ctx, {
        ...p,
        a: at(p.a) + 4 * from * aStep,
        b: at(p.b) + 4 * from * p.bRowStep,
        k: Math.min(MAX_K, p.k - from),
        bias: piece === 0 ? p.bias : undefined,
        add: sum,
        out,
      });
      sum = out;
    }
  });
}

/** Packs b and multiplies. */
function multiply(ctx: Context, p: Product): void {
  const { m, n, k, batch } = p;
  const packs = p.bBatchStep ? batch : 1;
  const panels = Math.ceil(n / NR), panelFloats = panels * NR * k;
  const share = Math.ceil(m * batch / 8 / MR) * MR;
  const rowsPerTask = Math.max(MIN_ROWS_PER_TASK, Math.min(MAX_ROWS_PER_TASK, share));
  ctx.temporary(packs * panelFloats, (packed) => {
    ctx.pool.run(Kernel.pack, packs * panels, {
      matrix: p.b,
      batchStep: p.bBatchStep,
      rowStep: p.bRowStep,
      columnStep: p.bColumnStep,
      k,
      n,
      panels: packed,
    });
    ctx.pool.run(Kernel.matmul, batch * Math.ceil(m / rowsPerTask), {
      a: p.a,
      aBatchStep: p.aBatchStep,
      aRowStep: p.aRowStep,
      transposeA: p.transposeA,
      panels: packed,
      panelBatchStep: packs === 1 ? 0 : panelFloats,
      m,
      n,
      k,
      out: p.out,
      outBatchStep: m * n,
      outRowStep: n,
      bias: p.bias,
      add: p.add,
      rowsPerTask,
    });
  });
}

/** a·b (+ bias) (+ add) over leading batch axes; undefined for other types than float32. */
function product(
  ctx: Context,
  a: TensorInfo,
  b: TensorInfo,
  { transposeA, transposeB }: MatMulAttrs,
  bias?: TensorInfo,
  add?: TensorInfo,
): TensorInfo | undefined {
  requireBatches(a.shape, b.shape);
  const [outerA, outerB] = [a, b].map((t) => t.shape.slice(0, -2));
  const [aRows, aColumns] = a.shape.slice(-2), [bRows, bColumns] = b.shape.slice(-2);
  const batchA = size(outerA), batchB = size(outerB);
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(outerA, outerB);
  let batch = size(outer);
  if (!areFloat(a, b)) return undefined;
  let m = transposeA ? aColumns : aRows;
  const k = transposeA ? aRows : aColumns, n = transposeB ? bRows : bColumns;
  const out = ctx.output([...outer, m, n]);
  // One B for every A: the batch is only more rows.
  if (batchB === 1 && !transposeA) [m, batch] = [m * batch, 1];
  const common = {
    a,
    aRowStep: aColumns,
    transposeA,
    b,
    bRowStep: transposeB ? 1 : bColumns,
    bColumnStep: transposeB ? bColumns : 1,
    m,
    n,
    bias,
    add,
  };
  const long = m <= SPLIT_ROWS && k >= SPLIT_K && k % PARTS === 0 && k <= PARTS * MAX_K;
  if (transposeA && !transposeB && batch === 1 && !bias && !add && long) {
    // Few rows, a long sum (a weight's gradient): parts of the sum are the batch, and are added up after.
    ctx.temporary(PARTS * m * n, (parts) => {
      const part = k / PARTS;
      multiply(ctx, {
        ...common,
        out: parts,
        k: part,
        batch: PARTS,
        aBatchStep: part * aColumns,
        bBatchStep: part * bColumns,
      });
      sumRows(ctx, parts, PARTS, m * n, out);
    });
    return out;
  }
  multiplyInPieces(ctx, {
    ...common,
    out: ctx.address(out),
    k,
    batch,
    aBatchStep: batchA === 1 ? 0 : m * k,
    bBatchStep: batchB === 1 ? 0 : k * n,
  });
  return out;
}

/** Registers Linear, and tfjs's BatchMatMul and _FusedMatMul by the same function. */
export function registerMatMul(ctx: Context): void {
  ctx.kernel(Linear, ({ x, weight, bias, residual }) => ({
    y: product(ctx, x, weight, { transposeA: false, transposeB: true }, bias, residual)!,
  }));
  ctx.replace(
    "BatchMatMul",
    (original) => (inputs, attrs: MatMulAttrs) =>
      product(ctx, inputs.a, inputs.b, attrs) ?? original(inputs, attrs),
  );
  ctx.replace("_FusedMatMul", (original) => (inputs, attrs: MatMulAttrs) => {
    const { a, b, bias, preluActivationWeights } = inputs;
    const linear = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights;
    const whole = !bias || (size(bias.shape) === b.shape.at(attrs.transposeB ? -2 : -1) && areFloat(bias));
    return (linear && whole && product(ctx, a, b, attrs, bias)) || original(inputs, attrs);
  });
}
