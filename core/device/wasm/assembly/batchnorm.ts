/** Batch normalisation over rows [R,C] (images and pixels alike): sums by parts of the rows, then one affine pass. */
import { BatchNormGradStatsArgs, BatchNormStatsArgs, ChannelAffineArgs, ChannelSumsArgs } from "./abi";
import { bytes, float, int, ptr } from "./args";
import { fma, loadN, SMALLER, splat, storeN } from "./simd";

/**
 * parts[task] = Σ u and Σ u·v a channel over the task's rows. Forward u = v = {@link SMALLER}·(x − x's first row), so
 * that nothing cancels when the mean is far from 0; backward, where there is a dy, u = dy and v = x.
 */
export function channelSums(args: usize, task: i32): void {
  const C = int(args, ChannelSumsArgs.channels), per = int(args, ChannelSumsArgs.rowsPerTask);
  const r0 = task * per, r1 = min(int(args, ChannelSumsArgs.rows), r0 + per);
  const x = ptr(args, ChannelSumsArgs.x), dy = ptr(args, ChannelSumsArgs.dy), row = bytes(C);
  const s1 = ptr(args, ChannelSumsArgs.parts) + bytes(task * 2 * C), s2 = s1 + row;
  memory.fill(s1, 0, 2 * row);
  for (let r = r0; r < r1; r++) {
    const at = <usize> r * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), k = bytes(c);
      let v = loadN(x + at + k, n), u = v;
      if (dy) u = loadN(dy + at + k, n);
      else u = v = f32x4.mul(f32x4.sub(v, loadN(x + k, n)), splat(SMALLER));
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

/** From the parts of {@link channelSums} forward: μ, σ² (biased), 1/√(σ²+eps), and the output's scale and shift. */
export function batchNormStats(args: usize, task: i32): void {
  const parts = int(args, BatchNormStatsArgs.partCount), C = int(args, BatchNormStatsArgs.channels);
  const rows = <f32> int(args, BatchNormStatsArgs.rows);
  for (let c = 0; c < C; c++) {
    const k = bytes(c);
    const first = ptr(args, BatchNormStatsArgs.parts) + k, s1 = total(first, parts, C);
    const s2 = total(first + bytes(C), parts, C);
    const shift = s1 / SMALLER / rows;
    const mean = load<f32>(ptr(args, BatchNormStatsArgs.x) + k) + <f32> shift;
    const variance = <f32> max<f64>(0, s2 / SMALLER / SMALLER / rows - shift * shift);
    // NaN where the variance is more than a float holds, which would make zeros of all.
    const rstd: f32 = 1 / sqrt<f32>(variance + float(args, BatchNormStatsArgs.eps)) + (variance - variance);
    const a = load<f32>(ptr(args, BatchNormStatsArgs.gamma) + k) * rstd;
    store<f32>(ptr(args, BatchNormStatsArgs.mean) + k, mean);
    store<f32>(ptr(args, BatchNormStatsArgs.variance) + k, variance);
    store<f32>(ptr(args, BatchNormStatsArgs.rstd) + k, rstd);
    store<f32>(ptr(args, BatchNormStatsArgs.scale) + k, a);
    store<f32>(ptr(args, BatchNormStatsArgs.shift) + k, load<f32>(ptr(args, BatchNormStatsArgs.beta) + k) - mean * a);
  }
}

/**
 * From the parts backward: dβ = Σ dy, dγ = Σ dy·x̂, and the coefficients of
 * dx = a·dy + b·x + c = γ/σ·(dy − dβ/R − x̂·dγ/R).
 */
export function batchNormGradStats(args: usize, task: i32): void {
  const parts = int(args, BatchNormGradStatsArgs.partCount), C = int(args, BatchNormGradStatsArgs.channels);
  const rows = <f32> int(args, BatchNormGradStatsArgs.rows);
  for (let c = 0; c < C; c++) {
    const k = bytes(c);
    const first = ptr(args, BatchNormGradStatsArgs.parts) + k, s1 = total(first, parts, C);
    const s2 = total(first + bytes(C), parts, C);
    const mean = load<f32>(ptr(args, BatchNormGradStatsArgs.mean) + k);
    const rstd = load<f32>(ptr(args, BatchNormGradStatsArgs.rstd) + k);
    const dBeta = <f32> s1, dGamma = <f32> ((s2 - mean * s1) * rstd);
    const a = load<f32>(ptr(args, BatchNormGradStatsArgs.gamma) + k) * rstd, b = -a * rstd * dGamma / rows;
    store<f32>(ptr(args, BatchNormGradStatsArgs.dGamma) + k, dGamma);
    store<f32>(ptr(args, BatchNormGradStatsArgs.dBeta) + k, dBeta);
    store<f32>(ptr(args, BatchNormGradStatsArgs.dyScale) + k, a);
    store<f32>(ptr(args, BatchNormGradStatsArgs.xScale) + k, b);
    store<f32>(ptr(args, BatchNormGradStatsArgs.shift) + k, -a * dBeta / rows - b * mean);
  }
}

/** y = a·u (+ b·x) + c a channel. */
export function channelAffine(args: usize, task: i32): void {
  const C = int(args, ChannelAffineArgs.channels), per = int(args, ChannelAffineArgs.rowsPerTask);
  const r0 = task * per, r1 = min(int(args, ChannelAffineArgs.rows), r0 + per);
  const u = ptr(args, ChannelAffineArgs.u), x = ptr(args, ChannelAffineArgs.x), y = ptr(args, ChannelAffineArgs.y);
  const row = bytes(C);
  const uScale = ptr(args, ChannelAffineArgs.uScale), xScale = ptr(args, ChannelAffineArgs.xScale);
  const shift = ptr(args, ChannelAffineArgs.shift);
  for (let r = r0; r < r1; r++) {
    const at = <usize> r * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), k = bytes(c);
      let z = fma(loadN(u + at + k, n), loadN(uScale + k, n), loadN(shift + k, n));
      if (x) z = fma(loadN(x + at + k, n), loadN(xScale + k, n), z);
      storeN(y + at + k, z, n);
    }
  }
}
