/** Matrix products under tfjs's kernel names. */
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../pool.ts";
import { type Context, size } from "./context.ts";
import { sumRows } from "./conv.ts";

interface MatMulAttrs {
  transposeA: boolean;
  transposeB: boolean;
  activation?: string;
}

/** a·b (+ bias) over leading batch axes; `undefined` where the batches broadcast in a way this kernel does not do. */
function product(
  ctx: Context,
  a: TensorInfo,
  b: TensorInfo,
  { transposeA, transposeB }: MatMulAttrs,
  bias = 0,
  add = 0,
): TensorInfo | undefined {
  const ra = a.shape.length, rb = b.shape.length;
  const batchA = size(a.shape.slice(0, -2)), batchB = size(b.shape.slice(0, -2));
  if (a.dtype !== "float32" || b.dtype !== "float32") return undefined;
  if (batchA !== batchB && batchA !== 1 && batchB !== 1) return undefined;
  let [m, k] = [a.shape[ra - 2], a.shape[ra - 1]];
  if (transposeA) [m, k] = [k, m];
  const n = b.shape[rb - (transposeB ? 2 : 1)];
  const outer = ra >= rb && batchA >= batchB ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
  const out = ctx.output([...outer, m, n]);
  let batch = size(outer);
  // One B for every A: the batch is only more rows.
  if (batchB === 1 && !transposeA) [m, batch] = [m * batch, 1];
  const lda = a.shape[ra - 1], ldb = b.shape[rb - 1];
  const common = {
    ...{ a: ctx.at(a), lda, transposeA, b: ctx.at(b), m, n, ldc: n, bias, add },
    steps: (transposeB ? [1, ldb] : [ldb, 1]) as [number, number],
  };
  if (
    transposeA && !transposeB && batch === 1 && !bias && m <= SPLIT_ROWS && k >= SPLIT_K && k % PARTS === 0
  ) {
    // Few rows, a long sum (a weight's gradient): parts of the sum are the batch, and are added up after.
    ctx.temporary(PARTS * m * n, (parts) => {
      const part = k / PARTS;
      multiply(ctx, {
        ...common,
        out: parts,
        k: part,
        batch: PARTS,
        strideA: part * lda,
        strideB: part * ldb,
      });
      sumRows(ctx, parts, PARTS, m * n, ctx.at(out));
    });
    return out;
  }
  multiply(ctx, {
    ...{ ...common, out: ctx.at(out), k, batch },
    strideA: batchA === 1 ? 0 : m * k,
    strideB: batchB === 1 ? 0 : k * n,
  });
  return out;
}

/** Where a product is split along its sum: at most so many rows, at least so long a sum, into so many parts. */
const SPLIT_ROWS = 256, SPLIT_K = 512, PARTS = 8;

/** A product of batches. */
interface Product {
  /** Addresses; 0 for no bias and nothing to add (which transposed a does not do). */
  a: number;
  b: number;
  out: number;
  bias: number;
  add: number;
  m: number;
  n: number;
  k: number;
  batch: number;
  /** Floats between rows of a and of out, and between rows and columns of b. */
  lda: number;
  ldc: number;
  steps: [row: number, column: number];
  transposeA: boolean;
  /** Floats between the batch's matrices; those of out are m·ldc apart. */
  strideA: number;
  strideB: number;
}

/** Packs b and multiplies. */
function multiply(ctx: Context, p: Product): void {
  const { m, n, k, batch } = p;
  const packs = p.strideB ? batch : 1;
  const panels = Math.ceil(n / 8), panelFloats = panels * 8 * k;
  const rows = Math.max(24, Math.min(96, Math.ceil(m * batch / 8 / 6) * 6));
  ctx.temporary(packs * panelFloats, (packed) => {
    ctx.pool.run(Kernel.pack, packs * panels, [p.b, p.strideB, ...p.steps, k, n, packed]);
    ctx.pool.run(Kernel.matmul, batch * Math.ceil(m / rows), [
      ...[p.a, p.strideA, p.lda, p.transposeA ? 1 : 0, packed, packs === 1 ? 0 : panelFloats],
      ...[m, n, k, p.out, m * p.ldc, p.ldc, p.bias, p.add, rows],
    ], (rows + 6) * 8 + 64);
  });
}

/** Registers BatchMatMul, _FusedMatMul and MatMulAdd (a·bᵀ + bias + residual). */
export function registerMatMul(ctx: Context): void {
  ctx.register("BatchMatMul", (original) => (inputs, attrs: MatMulAttrs) => {
    return product(ctx, inputs.a, inputs.b, attrs) ?? original!(inputs, attrs);
  });
  ctx.register("MatMulAdd", () => ({ a, b, bias, residual }) => {
    const attrs = { transposeA: false, transposeB: true };
    return product(ctx, a, b, attrs, bias ? ctx.at(bias) : 0, ctx.at(residual))!;
  });
  ctx.register("_FusedMatMul", (original) => (inputs, attrs: MatMulAttrs) => {
    const { a, b, bias, preluActivationWeights } = inputs;
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights &&
      (!bias || bias.shape.length === 1);
    const out = plain && product(ctx, a, b, attrs, bias ? ctx.at(bias) : 0);
    return out || original!(inputs, attrs);
  });
}
