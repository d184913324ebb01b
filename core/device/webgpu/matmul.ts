/** Matrix products under tfjs's kernel names. */
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";
import { fetch, runProduct } from "./product.ts";

interface MatMulAttrs {
  transposeA: boolean;
  transposeB: boolean;
  activation?: string;
}

const VEC = (four: boolean) => four ? "vec4f" : "f32";

/** a·b (+ bias) (+ residual) over leading batch axes; undefined where the batches broadcast otherwise. */
function product(
  gpu: Gpu,
  a: TensorInfo,
  b: TensorInfo,
  { transposeA, transposeB }: MatMulAttrs,
  bias?: TensorInfo,
  residual?: TensorInfo,
): TensorInfo | undefined {
  const batchA = size(a.shape.slice(0, -2)), batchB = size(b.shape.slice(0, -2));
  if (a.dtype !== "float32" || b.dtype !== "float32") return undefined;
  if (batchA !== batchB && batchA !== 1 && batchB !== 1) return undefined;
  let [m, k] = a.shape.slice(-2);
  if (transposeA) [m, k] = [k, m];
  const n = b.shape.at(transposeB ? -2 : -1)!;
  const outer = a.shape.length >= b.shape.length && batchA >= batchB
    ? a.shape.slice(0, -2)
    : b.shape.slice(0, -2);
  const shape = [...outer, m, n];
  if (size(shape) === 0 || k === 0) return undefined;
  let batch = size(outer);
  // One b for every a: the batch is only more rows.
  if (batchB === 1 && !transposeA) [m, batch] = [m * batch, 1];
  const [fourA, fourB, fourN] = [(transposeA ? m : k) % 4 === 0, (transposeB ? k : n) % 4 === 0, n % 4 === 0];
  const added = [bias && "fetch_bias(column, u.n - column)", residual && "fetch_residual(at, u.n - column)"];
  return runProduct(gpu, "MatMul", {
    ...{ m, n, k, batch, shape, read: { a, b, bias, residual } },
    types: {
      a: VEC(fourA),
      b: VEC(fourB),
      ...(bias && { bias: VEC(fourN) }),
      ...(residual && { residual: VEC(fourN) }),
    },
    sizes: { strideA: batchA === 1 ? 0 : m * k, strideB: batchB === 1 ? 0 : k * n },
    consts: { TRANSPOSE_A: Number(transposeA), TRANSPOSE_B: Number(transposeB) }, // of the pipeline's key
    ...{ aAlong: transposeA ? "out" : "sum", bAlong: transposeB ? "sum" : "out" },
    loads: `
${fetch("a", fourA)}${fetch("b", fourB)}${bias ? fetch("bias", fourN) : ""}${
      residual ? fetch("residual", fourN) : ""
    }
fn atA(z: u32, row: u32) -> vec4u {
  return vec4u(z * u.strideA + ${transposeA ? "row" : "row * u.k"}, u.m - row, 0u, u32(row < u.m));
}
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return vec4f(0.0); }
  return ${transposeA ? "fetch_a(at.x + k * u.m, at.y)" : "fetch_a(at.x + k, u.k - k)"};
}
fn atB(z: u32, column: u32) -> vec4u {
  return vec4u(z * u.strideB + ${
      transposeB ? "column * u.k" : "column"
    }, u.n - column, 0u, u32(column < u.n));
}
fn loadB(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return vec4f(0.0); }
  return ${transposeB ? "fetch_b(at.x + k, u.k - k)" : "fetch_b(at.x + k * u.n, at.y)"};
}`,
    epilogue: ["sum", ...added.filter(Boolean)].join(" + "),
    split: !bias && !residual && batch === 1,
  });
}

export function registerMatMul(gpu: Gpu): void {
  gpu.register(
    "BatchMatMul",
    ({ a, b }, attrs: MatMulAttrs, original) => product(gpu, a, b, attrs) ?? original(),
  );
  /** a·bᵀ + bias + residual. */
  gpu.register(
    "MatMulAdd",
    ({ a, b, bias, residual }) =>
      product(gpu, a, b, { transposeA: false, transposeB: true }, bias, residual)!,
  );
  gpu.register("_FusedMatMul", ({ a, b, bias, preluActivationWeights }, attrs: MatMulAttrs, original) => {
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights &&
      (!bias || bias.shape.length === 1);
    return (plain ? product(gpu, a, b, attrs, bias) : undefined) ?? original();
  });
}
