/**
 * Attention without its scores in memory (Dao et al. 2022): a thread a query, or a key in the second gradient, past
 * which blocks of the others go by in workgroup memory. Tensors are [B,T,C], heads side by side in the channels.
 */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import type { Gpu } from "./gpu.ts";
import type { Shader } from "./shader.ts";

/** Threads of a workgroup, and rows of a block. */
const ROWS = 32;

/** What a thread is: its row, where that begins, and where its statistics lie. */
const WHO = `
  let row = id.x * THREADS + t; let inside = row < u.T;
  let mine = min(row, u.T - 1u);
  let at = (id.z * u.T + mine) * u.C + id.y * D;
  let stat = (id.z * u.heads + id.y) * u.T + mine;`;

/** What all three kernels share: the dispatch but for its tensors, and what its shader needs. */
function common(gpu: Gpu, q: TensorInfo, heads: number, scale: number) {
  const [b, T, C] = q.shape, D = C / heads, { half } = gpu;
  const bytes = 2 * ROWS * D * (half ? 2 : 4);
  if (bytes > gpu.limits.maxComputeWorkgroupStorageSize) {
    throw new Error(
      `Attention heads of ${D} channels need ${bytes} bytes of workgroup memory; this device has ` +
        `${gpu.limits.maxComputeWorkgroupStorageSize}. Use more heads`,
    );
  }
  const groups: [number, number, number] = [Math.ceil(T / ROWS), heads, b];
  const dispatch = { key: [D, half], sizes: { T, C, heads }, floats: { scale }, groups };
  const shader = (declarations: string[], body: string): Shader => ({
    threads: ROWS,
    consts: { D },
    f16: half,
    declarations: `
alias Real = ${half ? "f16" : "f32"};
alias Sum = array<f32, D>;
var<workgroup> blockA: array<Real, ${ROWS * D}>;
var<workgroup> blockB: array<Real, ${ROWS * D}>;
${declarations.join("")}`,
    body: WHO + body,
  });
  return { dispatch, shader };
}

/** WGSL of `fill_BLOCK(first, batch, head, t)`: rows first… of a buffer to a block. */
const fill = (block: string, buffer: string): string => `
fn fill_${block}(first: u32, batch: u32, head: u32, t: u32) {
  for (var i = t; i < THREADS * D; i += THREADS) {
    let row = first + i / D;
    var value = 0.0;
    if (row < u.T) { value = ${buffer}[(batch * u.T + row) * u.C + head * D + i % D]; }
    ${block}[i] = Real(value);
  }
}`;

/** WGSL of `load_BUFFER(at)`, which makes a head's row of a buffer the thread's own, `own_BUFFER`. */
const own = (buffer: string): string => `
var<private> own_${buffer}: array<Real, D>;
fn load_${buffer}(at: u32) {
  for (var d = 0u; d < D; d++) { own_${buffer}[d] = Real(${buffer}[at + d]); }
}`;

/** WGSL of `dot_BLOCK(row)`: the product of the thread's own row of a buffer and a row of the block, in f32. */
const dot = (block: string, buffer: string): string => `
fn dot_${block}(row: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < D; d++) { sum = fma(f32(own_${buffer}[d]), f32(${block}[row * D + d]), sum); }
  return sum;
}`;

export function registerAttention(gpu: Gpu): void {
  /** y = softmax(scale·QKᵀ)·V; stats [B,heads,T,2] are a row's largest score and the inverse of its sum. */
  ops.registerKernel("webgpu", ops.Attention, ({ q, k, v }, { heads, scale }) => {
    const { dispatch, shader } = common(gpu, q, heads, scale);
    const [b, T] = q.shape, y = gpu.output(q.shape), stats = gpu.output([b, heads, T, 2]);
    gpu.run("Attention", {
      ...dispatch,
      read: { q, k, v },
      write: { y, stats },
      shader: () =>
        shader(
          [fill("blockA", "k"), fill("blockB", "v"), own("q"), dot("blockA", "q")],
          `
  load_q(at);
  var sum: Sum;
  var largest = -3.4e38; var weight = 0.0;
  for (var first = 0u; first < u.T; first += THREADS) {
    workgroupBarrier();
    fill_blockA(first, id.z, id.y, t);
    fill_blockB(first, id.z, id.y, t);
    workgroupBarrier();
    for (var j = 0u; j < min(THREADS, u.T - first); j++) {
      let score = dot_blockA(j) * u.scale;
      let next = max(largest, score);
      let keep = exp(largest - next); let e = exp(score - next);
      weight = weight * keep + e;
      for (var d = 0u; d < D; d++) { sum[d] = fma(e, f32(blockB[j * D + d]), sum[d] * keep); }
      largest = next;
    }
  }
  if (inside) {
    for (var d = 0u; d < D; d++) { y[at + d] = sum[d] / weight; }
    stats[2u * stat] = largest;
    stats[2u * stat + 1u] = 1.0 / weight;
  }`,
        ),
    });
    return { y, stats };
  });

  ops.registerKernel("webgpu", ops.AttentionGrad, ({ q, k, v, y, stats, dy }, { heads, scale }) => {
    const { dispatch, shader } = common(gpu, q, heads, scale);
    const [b, T] = q.shape;
    const [dq, dk, dv] = [q, k, v].map((x) => gpu.output(x.shape));
    // Σ dy·y of a query's row, which both gradients need.
    const deltas = gpu.output([b, heads, T]);
    gpu.run("AttentionQueryGrad", {
      ...dispatch,
      read: { q, k, v, y, stats, dy },
      write: { dq, deltas },
      shader: () =>
        shader(
          [
            fill("blockA", "k"),
            fill("blockB", "v"),
            own("q"),
            own("dy"),
            dot("blockA", "q"),
            dot("blockB", "dy"),
          ],
          `
  load_q(at); load_dy(at);
  var delta = 0.0;
  for (var d = 0u; d < D; d++) { delta = fma(dy[at + d], y[at + d], delta); }
  let largest = stats[2u * stat]; let inverse = stats[2u * stat + 1u];
  var sum: Sum;
  for (var first = 0u; first < u.T; first += THREADS) {
    workgroupBarrier();
    fill_blockA(first, id.z, id.y, t);
    fill_blockB(first, id.z, id.y, t);
    workgroupBarrier();
    for (var j = 0u; j < min(THREADS, u.T - first); j++) {
      let p = exp(dot_blockA(j) * u.scale - largest) * inverse;
      let ds = p * (dot_blockB(j) - delta) * u.scale;
      for (var d = 0u; d < D; d++) { sum[d] = fma(ds, f32(blockA[j * D + d]), sum[d]); }
    }
  }
  if (inside) {
    for (var d = 0u; d < D; d++) { dq[at + d] = sum[d]; }
    deltas[stat] = delta;
  }`,
        ),
    });
    gpu.run("AttentionKeyGrad", {
      ...dispatch,
      read: { q, k, v, stats, dy, deltas },
      write: { dk, dv },
      shader: () =>
        shader(
          [
            fill("blockA", "q"),
            fill("blockB", "dy"),
            own("k"),
            own("v"),
            dot("blockA", "k"),
            dot("blockB", "v"),
          ],
          `
  load_k(at); load_v(at);
  var sumK: Sum; var sumV: Sum;
  for (var first = 0u; first < u.T; first += THREADS) {
    workgroupBarrier();
    fill_blockA(first, id.z, id.y, t);
    fill_blockB(first, id.z, id.y, t);
    workgroupBarrier();
    for (var j = 0u; j < min(THREADS, u.T - first); j++) {
      let other = (id.z * u.heads + id.y) * u.T + first + j;
      let p = exp(dot_blockA(j) * u.scale - stats[2u * other]) * stats[2u * other + 1u];
      let ds = p * (dot_blockB(j) - deltas[other]) * u.scale;
      for (var d = 0u; d < D; d++) {
        sumK[d] = fma(ds, f32(blockA[j * D + d]), sumK[d]);
        sumV[d] = fma(p, f32(blockB[j * D + d]), sumV[d]);
      }
    }
  }
  if (inside) {
    for (var d = 0u; d < D; d++) { dk[at + d] = sumK[d]; dv[at + d] = sumV[d]; }
  }`,
        ),
    });
    gpu.free(deltas);
    return { dq, dk, dv };
  });
}
