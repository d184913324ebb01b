/** Group normalisation over NHWC, with SiLU fused where asked; one task an image. */
import { GroupNormArgs, GroupNormGradArgs } from "./abi";
import { bytes, float, int, ptr } from "./args";
import { fma, loadN, sigmoid4, SMALLER, splat, storeN } from "./simd";

/** Pixels whose sums are taken by themselves: rounding grows with the length of a sum. */
const BLOCK: i32 = 1024;

/** y = x̂·γ + β, x̂ = (x−μ)/√(σ²+eps) over each group of channels; then y·sigmoid(y) where silu is set. */
export function groupNorm(args: usize, task: i32, scratch: usize): void {
  const P = int(args, GroupNormArgs.pixels), C = int(args, GroupNormArgs.channels), G = int(args, GroupNormArgs.groups);
  const x = ptr(args, GroupNormArgs.x) + bytes(task * P * C), y = ptr(args, GroupNormArgs.y) + bytes(task * P * C);
  const row = bytes(C);
  const per = C / G;
  const a = scratch, b = scratch + bytes(C + 4);
  // Sums of d = x−k and d² a channel, k its first pixel: no cancellation when the mean is far from 0. d is made SMALLER.
  for (let c = 0; c < C; c += 4) {
    const n = min(4, C - c);
    const k = loadN(x + bytes(c), n);
    let s1 = splat(0), s2 = splat(0);
    let q = x + bytes(c);
    for (let p0 = 0; p0 < P; p0 += BLOCK) {
      const end = q + <usize> min(BLOCK, P - p0) * row;
      let b1 = splat(0), b2 = splat(0);
      if (n == 4) {
        for (; q < end; q += row) {
          const d = f32x4.mul(f32x4.sub(v128.load(q), k), splat(SMALLER));
          b1 = f32x4.add(b1, d);
          b2 = fma(d, d, b2);
        }
      } else {
        for (; q < end; q += row) {
          const d = f32x4.mul(f32x4.sub(loadN(q, n), k), splat(SMALLER));
          b1 = f32x4.add(b1, d);
          b2 = fma(d, d, b2);
        }
      }
      s1 = f32x4.add(s1, b1);
      s2 = f32x4.add(s2, b2);
    }
    const mean = f32x4.div(s1, splat(<f32> P));
    v128.store(a + bytes(c), f32x4.add(k, f32x4.div(mean, splat(SMALLER))));
    v128.store(b + bytes(c), f32x4.sub(s2, f32x4.mul(s1, mean)));
  }
  for (let g = 0; g < G; g++) {
    let mean: f32 = 0, m2: f32 = 0;
    for (let c = g * per; c < (g + 1) * per; c++) mean += load<f32>(a + bytes(c));
    mean /= <f32> per;
    for (let c = g * per; c < (g + 1) * per; c++) {
      const d = (load<f32>(a + bytes(c)) - mean) * SMALLER;
      m2 += load<f32>(b + bytes(c)) + <f32> P * d * d;
    }
    const variance: f32 = max<f32>(m2, 0) / <f32> (P * per) / SMALLER / SMALLER;
    // NaN where the variance is more than a float holds, which would make zeros of all.
    const rstd: f32 = 1 / sqrt<f32>(variance + float(args, GroupNormArgs.eps)) + (variance - variance);
    store<f32>(ptr(args, GroupNormArgs.mean) + bytes(task * G + g), mean);
    store<f32>(ptr(args, GroupNormArgs.rstd) + bytes(task * G + g), rstd);
  }
  affine(args, task, GroupNormArgs.gamma, GroupNormArgs.beta, GroupNormArgs.mean, GroupNormArgs.rstd, a, b);
  const silu = int(args, GroupNormArgs.silu);
  for (let p = 0; p < P; p++) {
    const at = <usize> p * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), o = at + bytes(c);
      let z = fma(loadN(x + o, n), v128.load(a + bytes(c)), v128.load(b + bytes(c)));
      if (silu) z = f32x4.mul(z, sigmoid4(z));
      storeN(y + o, z, n);
    }
  }
}

/** Two numbers a channel. */
export function groupNormScratch(args: usize): usize {
  return bytes(2 * (int(args, GroupNormArgs.channels) + 4));
}

/** Writes a = γ/σ and b = β − μ·γ/σ a channel, so that the normalised output is a·x + b. */
function affine(args: usize, task: i32, gamma: i32, beta: i32, mean: i32, rstd: i32, a: usize, b: usize): void {
  const C = int(args, GroupNormArgs.channels), G = int(args, GroupNormArgs.groups);
  const per = C / G;
  for (let c = 0; c < C; c++) {
    const g = bytes(task * G + c / per);
    const scale = load<f32>(ptr(args, gamma) + bytes(c)) * load<f32>(ptr(args, rstd) + g);
    store<f32>(a + bytes(c), scale);
    store<f32>(b + bytes(c), load<f32>(ptr(args, beta) + bytes(c)) - load<f32>(ptr(args, mean) + g) * scale);
  }
}

/**
 * dx and, a row an image, the parts of dγ and dβ. With g the gradient before γ (through SiLU where fused):
 * dx = (γg − mean(γg) − x̂·mean(γg·x̂))/σ.
 */
export function groupNormGrad(args: usize, task: i32, scratch: usize): void {
  const P = int(args, GroupNormGradArgs.pixels), C = int(args, GroupNormGradArgs.channels);
  const G = int(args, GroupNormGradArgs.groups);
  const image = bytes(task * P * C);
  const x = ptr(args, GroupNormGradArgs.x) + image, dy = ptr(args, GroupNormGradArgs.dy) + image;
  const dx = ptr(args, GroupNormGradArgs.dx) + image;
  const dGamma = ptr(args, GroupNormGradArgs.dGamma) + bytes(task * C);
  const dBeta = ptr(args, GroupNormGradArgs.dBeta) + bytes(task * C);
  const row = bytes(C), per = C / G;
  const span = bytes(C + 4);
  const a = scratch, b = a + span, s1 = b + span, s2 = s1 + span, block1 = s2 + span, block2 = block1 + span;
  affine(args, task, GroupNormGradArgs.gamma, GroupNormGradArgs.beta, GroupNormGradArgs.mean, GroupNormGradArgs.rstd, a, b);
  memory.fill(s1, 0, 4 * span);
  const silu = int(args, GroupNormGradArgs.silu);
  const one = splat(1);
  for (let p = 0; p < P; p++) {
    const at = <usize> p * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), o = at + bytes(c), k = bytes(c);
      const v = loadN(x + o, n);
      let g = loadN(dy + o, n);
      if (silu) {
        const z = fma(v, v128.load(a + k), v128.load(b + k));
        const e = sigmoid4(z);
        g = f32x4.mul(g, f32x4.mul(e, fma(z, f32x4.sub(one, e), one)));
        storeN(dx + o, g, n);
      }
      v128.store(block1 + k, f32x4.add(v128.load(block1 + k), g));
      v128.store(block2 + k, fma(g, v, v128.load(block2 + k)));
    }
    if ((p + 1) % BLOCK != 0 && p + 1 != P) continue;
    for (let c = 0; c < C; c += 4) {
      const k = bytes(c);
      v128.store(s1 + k, f32x4.add(v128.load(s1 + k), v128.load(block1 + k)));
      v128.store(s2 + k, f32x4.add(v128.load(s2 + k), v128.load(block2 + k)));
    }
    memory.fill(block1, 0, 2 * span);
  }
  for (let g = 0; g < G; g++) {
    const mean = load<f32>(ptr(args, GroupNormGradArgs.mean) + bytes(task * G + g));
    const rstd = load<f32>(ptr(args, GroupNormGradArgs.rstd) + bytes(task * G + g));
    let c1: f32 = 0, c2: f32 = 0;
    for (let c = g * per; c < (g + 1) * per; c++) {
      const k = bytes(c), gamma = load<f32>(ptr(args, GroupNormGradArgs.gamma) + k);
      const sum = load<f32>(s1 + k);
      const hat = (load<f32>(s2 + k) - mean * sum) * rstd;
      store<f32>(dBeta + k, sum);
      store<f32>(dGamma + k, hat);
      c1 += gamma * sum;
      c2 += gamma * hat;
    }
    const count = <f32> (P * per);
    c1 /= count;
    c2 /= count;
    for (let c = g * per; c < (g + 1) * per; c++) {
      const k = bytes(c);
      store<f32>(s1 + k, -rstd * rstd * c2);
      store<f32>(s2 + k, rstd * (mean * rstd * c2 - c1));
    }
  }
  const g = silu ? dx : dy;
  for (let p = 0; p < P; p++) {
    const at = <usize> p * row;
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), o = at + bytes(c), k = bytes(c);
      const rest = fma(loadN(x + o, n), v128.load(s1 + k), v128.load(s2 + k));
      storeN(dx + o, fma(loadN(g + o, n), v128.load(a + k), rest), n);
    }
  }
}

/** Four numbers a channel. */
export function groupNormGradScratch(args: usize): usize {
  return bytes(6 * (int(args, GroupNormGradArgs.channels) + 4));
}
