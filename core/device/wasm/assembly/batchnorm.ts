/** Batch normalisation over rows [R,C] (images and pixels alike): sums by parts of the rows, then one affine pass. */
import { bytes, float, int, ptr } from "./args";
import { fma, loadN, storeN } from "./simd";

/**
 * parts[task] = Σ u and Σ u·v a channel over the task's rows. Forward u = v = x − x's first row, so that nothing cancels
 * when the mean is far from 0; backward u = dy and v = x.
 * args: 0 x, 1 dy or 0, 2 rows, 3 C, 4 parts [tasks,2,C], 5 rows a task.
 */
export function channelSums(args: usize, task: i32): void {
  const C = int(args, 3), per = int(args, 5);
  const r0 = task * per, r1 = min(int(args, 2), r0 + per);
  const x = ptr(args, 0), dy = ptr(args, 1), row = bytes(C);
  const s1 = ptr(args, 4) + bytes(task * 2 * C), s2 = s1 + row;
  memory.fill(s1, 0, 2 * row);
  for (let r = r0; r < r1; r++) {
    const at = <usize> r * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), k = bytes(c);
      let v = loadN(x + at + k, n), u = v;
      if (dy) u = loadN(dy + at + k, n);
      else u = v = f32x4.sub(v, loadN(x + k, n));
      storeN(s1 + k, f32x4.add(loadN(s1 + k, n), u), n);
      storeN(s2 + k, fma(u, v, loadN(s2 + k, n)), n);
    }
  }
}

/** One sum of {@link channelSums} over all parts, in double precision: a few numbers a channel, and the parts are many. */
function total(at: usize, parts: i32, C: i32): f64 {
  let s: f64 = 0;
  for (let p = 0; p < parts; p++) s += load<f32>(at + bytes(2 * p * C));
  return s;
}

/**
 * From the parts of {@link channelSums} forward: μ, σ² (biased), 1/√(σ²+eps), and a, b so that the output is a·x + b.
 * args: 0 parts, 1 number of parts, 2 rows, 3 C, 4 x, 5 γ, 6 β, 7 eps, 8 μ, 9 σ², 10 1/σ, 11 a, 12 b.
 */
export function batchNormStats(args: usize, task: i32): void {
  const parts = int(args, 1), C = int(args, 3);
  const rows = <f32> int(args, 2);
  for (let c = 0; c < C; c++) {
    const k = bytes(c);
    const first = ptr(args, 0) + k, s1 = total(first, parts, C), s2 = total(first + bytes(C), parts, C);
    const shift = s1 / rows;
    const mean = load<f32>(ptr(args, 4) + k) + <f32> shift;
    const variance = <f32> max<f64>(0, s2 / rows - shift * shift);
    const rstd: f32 = 1 / sqrt<f32>(variance + float(args, 7));
    const a = load<f32>(ptr(args, 5) + k) * rstd;
    store<f32>(ptr(args, 8) + k, mean);
    store<f32>(ptr(args, 9) + k, variance);
    store<f32>(ptr(args, 10) + k, rstd);
    store<f32>(ptr(args, 11) + k, a);
    store<f32>(ptr(args, 12) + k, load<f32>(ptr(args, 6) + k) - mean * a);
  }
}

/**
 * From the parts backward: dβ = Σ dy, dγ = Σ dy·x̂, and the coefficients of
 * dx = a·dy + b·x + c = γ/σ·(dy − dβ/R − x̂·dγ/R).
 * args: 0 parts, 1 number of parts, 2 rows, 3 C, 4 γ, 5 μ, 6 1/σ, 7 dγ, 8 dβ, 9 a, 10 b, 11 c.
 */
export function batchNormGradStats(args: usize, task: i32): void {
  const parts = int(args, 1), C = int(args, 3);
  const rows = <f32> int(args, 2);
  for (let c = 0; c < C; c++) {
    const k = bytes(c);
    const first = ptr(args, 0) + k, s1 = total(first, parts, C), s2 = total(first + bytes(C), parts, C);
    const mean = load<f32>(ptr(args, 5) + k), rstd = load<f32>(ptr(args, 6) + k);
    const dBeta = <f32> s1, dGamma = <f32> ((s2 - mean * s1) * rstd);
    const a = load<f32>(ptr(args, 4) + k) * rstd, b = -a * rstd * dGamma / rows;
    store<f32>(ptr(args, 7) + k, dGamma);
    store<f32>(ptr(args, 8) + k, dBeta);
    store<f32>(ptr(args, 9) + k, a);
    store<f32>(ptr(args, 10) + k, b);
    store<f32>(ptr(args, 11) + k, -a * dBeta / rows - b * mean);
  }
}

/** y = a·u (+ b·x) + c a channel. args: 0 u, 1 x or 0, 2 rows, 3 C, 4 y, 5 rows a task, 6 a, 7 b, 8 c. */
export function channelAffine(args: usize, task: i32): void {
  const C = int(args, 3), per = int(args, 5);
  const r0 = task * per, r1 = min(int(args, 2), r0 + per);
  const u = ptr(args, 0), x = ptr(args, 1), y = ptr(args, 4), row = bytes(C);
  for (let r = r0; r < r1; r++) {
    const at = <usize> r * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), k = bytes(c);
      let z = fma(loadN(u + at + k, n), loadN(ptr(args, 6) + k, n), loadN(ptr(args, 8) + k, n));
      if (x) z = fma(loadN(x + at + k, n), loadN(ptr(args, 7) + k, n), z);
      storeN(y + at + k, z, n);
    }
  }
}
