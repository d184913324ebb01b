/** Matrix products under tfjs's kernel names. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";
import { addends, fetch, runProduct } from "./product.ts";
import { vectorType } from "./shader.ts";

interface MatMulAttrs {
  transposeA: boolean;
  transposeB: boolean;
  activation?: string;
}

/** a·b (+ bias) (+ residual) over leading batch axes; undefined where the batches broadcast otherwise. */
function product(
  gpu: Gpu,
  a: TensorInfo,
  b: TensorInfo,
  { transposeA, transposeB }: MatMulAttrs,
  bias?: TensorInfo,
  residual?: TensorInfo,
): TensorInfo | undefined {
  ops.requireBatches(a.shape, b.shape);
  const batchA = size(a.shape.slice(0, -2)), batchB = size(b.shape.slice(0, -2));
  if (a.dtype !== "float32" || b.dtype !== "float32") return undefined;
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
  const fourA = (transposeA ? m : k) % 4 === 0, fourB = (transposeB ? k : n) % 4 === 0;
  return runProduct(gpu, "MatMul", {
    m,
    n,
    k,
    batch,
    shape,
    read: { a, b, bias, residual },
    sizes: { strideA: batchA === 1 ? 0 : m * k, strideB: batchB === 1 ? 0 : k * n },
    key: [transposeA, transposeB, fourA, fourB, !!bias, !!residual],
    aAlong: transposeA ? "out" : "sum",
    bAlong: transposeB ? "sum" : "out",
    split: !bias && !residual && batch === 1,
    loads: () => {
      const added = addends(n, bias, residual);
      return {
        types: { a: vectorType(fourA), b: vectorType(fourB), ...added.types },
        epilogue: added.epilogue,
        code: `
${fetch("a", fourA)}${fetch("b", fourB)}${added.code}
fn atA(z: u32, row: u32) -> vec4u {
  return vec4u(z * u.strideA + ${transposeA ? "row" : "row * u.k"}, u.m - row, 0u, u32(row < u.m));
}
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return vec4f(0.0); }
  return ${transposeA ? "fetch_a(at.x + k * u.m, at.y)" : "fetch_a(at.x + k, u.k - k)"};
}
fn atB(z: u32, column: u32) -> vec4u {
  let first = z * u.strideB + ${transposeB ? "column * u.k" : "column"};
  return vec4u(first, u.n - column, 0u, u32(column < u.n));
}
fn loadB(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return vec4f(0.0); }
  return ${transposeB ? "fetch_b(at.x + k, u.k - k)" : "fetch_b(at.x + k * u.n, at.y)"};
}`,
      };
    },
  });
}

export function registerMatMul(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.Linear, ({ x, weight, bias, residual }) => ({
    y: product(gpu, x, weight, { transposeA: false, transposeB: true }, bias, residual)!,
  }));
  ops.replaceKernel(
    "webgpu",
    "BatchMatMul",
    (original) => ({ a, b }, attrs: MatMulAttrs) => product(gpu, a, b, attrs) ?? original({ a, b }, attrs),
  );
  ops.replaceKernel("webgpu", "_FusedMatMul", (original) => (inputs, attrs: MatMulAttrs) => {
    const { a, b, bias, preluActivationWeights } = inputs;
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights &&
      (!bias || (bias.shape.length === 1 && bias.shape[0] === b.shape.at(attrs.transposeB ? -2 : -1)));
    return (plain ? product(gpu, a, b, attrs, bias) : undefined) ?? original(inputs, attrs);
  });
}
