/** Matrix products under tfjs's kernel names. */
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../pool.ts";
import { type Context, size } from "./context.ts";

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
  const packs = batchB === 1 ? 1 : batch;
  const panels = Math.ceil(n / 8);
  const panelFloats = panels * 8 * k;
  const lda = a.shape[ra - 1], ldb = b.shape[rb - 1];
  ctx.temporary(packs * panelFloats, (packed) => {
    ctx.pool.run(Kernel.pack, packs * panels, [
      ...[ctx.at(b), k * n, transposeB ? 1 : ldb, transposeB ? ldb : 1, k, n, packed],
    ]);
    const rows = Math.max(24, Math.min(96, Math.ceil(m * batch / 8 / 6) * 6));
    ctx.pool.run(Kernel.matmul, batch * Math.ceil(m / rows), [
      ...[ctx.at(a), batchA === 1 ? 0 : m * k, lda, transposeA ? 1 : 0],
      ...[packed, packs === 1 ? 0 : panelFloats, m, n, k, ctx.at(out), m * n, n],
      ...[bias, 0, rows],
    ], (rows + 6) * 8 + 64);
  });
  return out;
}

/** Registers BatchMatMul and _FusedMatMul. */
export function registerMatMul(ctx: Context): void {
  ctx.register("BatchMatMul", (original) => (inputs, attrs: MatMulAttrs) => {
    return product(ctx, inputs.a, inputs.b, attrs) ?? original!(inputs, attrs);
  });
  ctx.register("_FusedMatMul", (original) => (inputs, attrs: MatMulAttrs) => {
    const { a, b, bias, preluActivationWeights } = inputs;
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights &&
      (!bias || bias.shape.length === 1);
    const out = plain && product(ctx, a, b, attrs, bias ? ctx.at(bias) : 0);
    return out || original!(inputs, attrs);
  });
}
