/**
 * Scaled dot-product attention, a head of an image at a time; the scores live in scratch, a block of rows at once.
 * What would scale every score (the scale, 1/sum) is multiplied into the small matrices beside them.
 */
import { AttentionArgs, AttentionGradArgs, MR, NR } from "./abi";
import { bytes, float, int, ptr } from "./args";
import { exponentials, largest } from "./row";
import { exp4, hsum, loadN, splat, storeN } from "./simd";
import { bandTN, packB, tileNN, tileTN } from "./tile";

/** Query rows of a block. */
const BLOCK: i32 = 24;

/** Writes addresses base + i·step for a block's rows, the last one repeated up to a whole tile. */
function table(at: usize, base: usize, step: usize, rows: i32): void {
  for (let i = 0; i < BLOCK; i++) store<u32>(at + bytes(i), <u32> (base + <usize> min(i, rows - 1) * step));
}

/** C[rows, N] = A·panels for a block whose A and C addresses stand in the two tables. */
function product(a: usize, c: usize, rows: i32, K: i32, N: i32, panel: usize): void {
  for (let n = 0; n < N; n += NR) {
    for (let m = 0; m < rows; m += MR) {
      tileNN(a + bytes(m), c + bytes(m), min(MR, rows - m), K, 1, 0, panel, min(NR, N - n), 0, bytes(n), 0, 0);
    }
    panel += bytes(K * NR);
  }
}

/** C[M, N] (+)= Aᵀ·B over a block's rows, A's rows lda bytes apart, B packed. */
function productT(
  a: usize, lda: usize, rows: i32, M: i32, N: i32, panel: usize, c: usize, ldc: usize, accumulate: bool,
): void {
  for (let n = 0; n < N; n += NR) {
    for (let m = 0; m < M; m += MR) {
      tileTN(
        a + bytes(m), 1, 0, 1, 0, rows, lda, panel, c + <usize> m * ldc + bytes(n), ldc,
        min(MR, M - m), min(NR, N - n), 0, accumulate ? 1 : 0,
      );
    }
    panel += bytes(rows * NR);
  }
}

/** p[i] *= f, n floats, a multiple of four. */
function scaleBy(p: usize, n: i32, f: f32): void {
  const v = splat(f);
  for (let i = 0; i < n; i += 4) v128.store(p + bytes(i), f32x4.mul(v128.load(p + bytes(i)), v));
}

/** Writes f·A[rows, d], A's rows lda bytes apart, as its transpose [d, BLOCK], zeros in the columns past `rows`. */
function transposed(a: usize, lda: usize, rows: i32, d: i32, f: f32, to: usize): void {
  for (let j = 0; j < d; j++) {
    let from = a + bytes(j);
    for (let i = 0; i < BLOCK; i++) {
      store<f32>(to + bytes(i), i < rows ? f * load<f32>(from) : <f32> 0);
      from += lda;
    }
    to += bytes(BLOCK);
  }
}

/** C[rows, pitch] = A·panels for a block of rows given {@link transposed}, in whole tiles. */
function scores(aT: usize, rows: i32, d: i32, panel: usize, c: usize, pitch: i32): void {
  for (let m = 0; m < rows; m += MR) {
    bandTN(aT + bytes(m), bytes(BLOCK), d, panel, pitch / NR, c + bytes(m * pitch), bytes(pitch));
  }
}

/** O = softmax(scale·QKᵀ)V; a task is a head of an image. */
export function attention(args: usize, task: i32, scratch: usize): void {
  const T = int(args, AttentionArgs.tokens), C = int(args, AttentionArgs.channels);
  const heads = int(args, AttentionArgs.heads);
  const d = C / heads;
  const b = task / heads, h = task % heads;
  const from = bytes(b * T * C + h * d);
  const q = ptr(args, AttentionArgs.q) + from, k = ptr(args, AttentionArgs.k) + from;
  const v = ptr(args, AttentionArgs.v) + from;
  const o = ptr(args, AttentionArgs.y) + from;
  const stats = ptr(args, AttentionArgs.stats) + bytes(task * T * 2);
  const pitch = (T + 7) & ~7, wide = (d + 7) & ~7;
  const cTab = scratch, pTab = cTab + bytes(BLOCK), qT = pTab + bytes(BLOCK);
  const kT = qT + bytes(d * BLOCK), vP = kT + bytes(pitch * d), S = vP + bytes(wide * T);
  packB(k, 1, C, d, T, kT);
  packB(v, C, 1, T, d, vP);
  for (let r = 0; r < T; r += BLOCK) {
    const rows = min(BLOCK, T - r);
    transposed(q + bytes(r * C), bytes(C), rows, d, float(args, AttentionArgs.scale), qT);
    scores(qT, rows, d, kT, S, pitch);
    for (let i = 0; i < rows; i++) {
      const row = S + bytes(i * pitch), m = largest(row, T), at = stats + bytes((r + i) * 2);
      store<f32>(at, m);
      store<f32>(at, 1 / exponentials(row, T, m, row), 4);
    }
    table(pTab, S, bytes(pitch), rows);
    table(cTab, o + bytes(r * C), bytes(C), rows);
    product(pTab, cTab, rows, T, d, vP);
    for (let i = 0; i < rows; i++) {
      const inverse = splat(load<f32>(stats + bytes((r + i) * 2 + 1)));
      const at = o + bytes((r + i) * C);
      for (let j = 0; j < d; j += 4) {
        const n = min(4, d - j);
        storeN(at + bytes(j), f32x4.mul(loadN(at + bytes(j), n), inverse), n);
      }
    }
  }
}

/** Two tables, a block of q, all of k and v, and a block of scores. */
export function attentionScratch(args: usize): usize {
  const T = int(args, AttentionArgs.tokens), d = int(args, AttentionArgs.channels) / int(args, AttentionArgs.heads);
  const pitch = (T + 7) & ~7, wide = (d + 7) & ~7;
  return bytes(BLOCK * (2 + d + pitch) + pitch * d + wide * T);
}

/**
 * dQ, dK, dV, the probabilities P recomputed: dV = PᵀdO, dS = P∘(dO·Vᵀ − rowsum(dO∘O)), dQ = scale·dS·K,
 * dK = scale·dSᵀQ. With e = P·Σ, the row sums' inverses go into dO.
 */
export function attentionGrad(args: usize, task: i32, scratch: usize): void {
  const T = int(args, AttentionGradArgs.tokens), C = int(args, AttentionGradArgs.channels);
  const heads = int(args, AttentionGradArgs.heads);
  const d = C / heads;
  const scale = float(args, AttentionGradArgs.scale);
  const b = task / heads, h = task % heads;
  const from = bytes(b * T * C + h * d);
  const q = ptr(args, AttentionGradArgs.q) + from, k = ptr(args, AttentionGradArgs.k) + from;
  const v = ptr(args, AttentionGradArgs.v) + from;
  const dO = ptr(args, AttentionGradArgs.dy) + from, O = ptr(args, AttentionGradArgs.y) + from;
  const dq = ptr(args, AttentionGradArgs.dq) + from, dk = ptr(args, AttentionGradArgs.dk) + from;
  const dv = ptr(args, AttentionGradArgs.dv) + from;
  const stats = ptr(args, AttentionGradArgs.stats) + bytes(task * T * 2);
  const pitch = (T + 7) & ~7, wide = (d + 7) & ~7;
  const sTab = scratch, cTab = sTab + bytes(BLOCK), dots = cTab + bytes(BLOCK), aT = dots + bytes(BLOCK);
  const kT = aT + bytes(d * BLOCK), vT = kT + bytes(pitch * d), kP = vT + bytes(pitch * d);
  const qP = kP + bytes(wide * T), oP = qP + bytes(wide * BLOCK), g = oP + bytes(wide * BLOCK);
  const P = g + bytes(wide * BLOCK), dS = P + bytes(BLOCK * pitch);
  packB(k, 1, C, d, T, kT);
  packB(v, 1, C, d, T, vT);
  packB(k, C, 1, T, d, kP);
  scaleBy(kP, wide * T, scale);
  for (let r = 0; r < T; r += BLOCK) {
    const rows = min(BLOCK, T - r);
    for (let i = 0; i < rows; i++) {
      const at = bytes((r + i) * C), inverse = splat(load<f32>(stats + bytes((r + i) * 2 + 1)));
      let dot = splat(0);
      for (let j = 0; j < d; j += 4) {
        const n = min(4, d - j);
        const x = f32x4.mul(loadN(dO + at + bytes(j), n), inverse);
        dot = f32x4.add(dot, f32x4.mul(x, loadN(O + at + bytes(j), n)));
        v128.store(g + bytes(i * wide + j), x);
      }
      store<f32>(dots + bytes(i), hsum(dot));
    }
    transposed(q + bytes(r * C), bytes(C), rows, d, scale, aT);
    scores(aT, rows, d, kT, P, pitch);
    transposed(g, bytes(wide), rows, d, 1, aT);
    scores(aT, rows, d, vT, dS, pitch);
    for (let i = 0; i < rows; i++) {
      let p = P + bytes(i * pitch), s = dS + bytes(i * pitch);
      const m = splat(load<f32>(stats + bytes((r + i) * 2))), dot = splat(load<f32>(dots + bytes(i)));
      // Past T the scores are 0 and m may be far below: what comes out there is not read.
      for (const end = p + bytes(pitch); p < end; p += 32) {
        const e0 = exp4(f32x4.sub(v128.load(p), m)), e1 = exp4(f32x4.sub(v128.load(p, 16), m));
        v128.store(p, e0);
        v128.store(p, e1, 16);
        v128.store(s, f32x4.mul(e0, f32x4.sub(v128.load(s), dot)));
        v128.store(s, f32x4.mul(e1, f32x4.sub(v128.load(s, 16), dot)), 16);
        s += 32;
      }
    }
    table(sTab, dS, bytes(pitch), rows);
    table(cTab, dq + bytes(r * C), bytes(C), rows);
    product(sTab, cTab, rows, T, d, kP);
    packB(q + bytes(r * C), C, 1, rows, d, qP);
    scaleBy(qP, wide * rows, scale);
    productT(dS, bytes(pitch), rows, T, d, qP, dk, bytes(C), r > 0);
    packB(g, wide, 1, rows, d, oP);
    productT(P, bytes(pitch), rows, T, d, oP, dv, bytes(C), r > 0);
  }
}

/** Three tables, a block of q; all of k, v and k again; three more blocks of d columns, and two of scores. */
export function attentionGradScratch(args: usize): usize {
  const T = int(args, AttentionGradArgs.tokens);
  const d = int(args, AttentionGradArgs.channels) / int(args, AttentionGradArgs.heads);
  const pitch = (T + 7) & ~7, wide = (d + 7) & ~7;
  return bytes(BLOCK * (3 + d + 3 * wide + 2 * pitch) + 2 * pitch * d + wide * T + MR);
}
