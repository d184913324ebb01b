/** Scaled dot-product attention, a head of an image at a time; the scores live in scratch, a block of rows at once. */
import { bytes, float, int, ptr } from "./args";
import { exp1, exp4, hmax, hsum, loadN, splat, storeN } from "./simd";
import { MR, NR, packB, tileNN, tileTN } from "./tile";

/** Query rows of a block. */
const BLOCK: i32 = 24;

/** Writes addresses base + i·step for a block's rows, the last one repeated up to a whole tile. */
function table(at: usize, base: usize, step: usize, rows: i32): void {
  for (let i = 0; i < BLOCK; i++) store<u32>(at + bytes(i), <u32> (base + <usize> min(i, rows - 1) * step));
}

/** C[rows, N] = scale·A·panels for a block whose A and C addresses stand in the two tables. */
function product(a: usize, c: usize, rows: i32, K: i32, N: i32, panel: usize, scale: f32): void {
  for (let n = 0; n < N; n += NR) {
    for (let m = 0; m < rows; m += MR) {
      tileNN(a + bytes(m), c + bytes(m), min(MR, rows - m), K, 1, 0, panel, min(NR, N - n), 0, 0, scale);
    }
    for (let i = 0; i < BLOCK; i++) store<u32>(c + bytes(i), load<u32>(c + bytes(i)) + NR * 4);
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
        min(MR, M - m), min(NR, N - n), accumulate, 1,
      );
    }
    panel += bytes(rows * NR);
  }
}

/**
 * O = softmax(scale·QKᵀ)V; a task is a head of an image.
 * args: 0 q, 1 k, 2 v, 3 out (all [B,T,C], rows 9 floats apart but out's C apart), 4 T, 5 C, 6 heads, 7 scale,
 * 8 row maxima and 1/sums [B,heads,T,2], 9 floats between q, k, v rows.
 */
export function attention(args: usize, task: i32, scratch: usize): void {
  const T = int(args, 4), C = int(args, 5), heads = int(args, 6), ld = int(args, 9);
  const d = C / heads;
  const b = task / heads, h = task % heads;
  const from = bytes(b * T * ld + h * d);
  const q = ptr(args, 0) + from, k = ptr(args, 1) + from, v = ptr(args, 2) + from;
  const o = ptr(args, 3) + bytes(b * T * C + h * d);
  const stats = ptr(args, 8) + bytes(task * T * 2);
  const pitch = (T + 7) & ~7, wide = (d + 7) & ~7;
  const aTab = scratch, cTab = aTab + bytes(BLOCK), pTab = cTab + bytes(BLOCK);
  const kT = pTab + bytes(BLOCK + 8), vP = kT + bytes(pitch * d), S = vP + bytes(wide * T);
  packB(k, 1, ld, d, T, kT);
  packB(v, ld, 1, T, d, vP);
  for (let r = 0; r < T; r += BLOCK) {
    const rows = min(BLOCK, T - r);
    table(aTab, q + bytes(r * ld), bytes(ld), rows);
    table(cTab, S, bytes(pitch), rows);
    product(aTab, cTab, rows, d, T, kT, float(args, 7));
    for (let i = 0; i < rows; i++) softmaxRow(S + bytes(i * pitch), T, stats + bytes((r + i) * 2));
    table(pTab, S, bytes(pitch), rows);
    table(cTab, o + bytes(r * C), bytes(C), rows);
    product(pTab, cTab, rows, T, d, vP, 1);
  }
}

/** Softmax of one row in place; keeps the row's maximum and 1/sum for the backward pass. */
function softmaxRow(row: usize, T: i32, stats: usize): void {
  const quads = T & ~3;
  let m: f32 = load<f32>(row);
  if (quads) {
    let mv = v128.load(row);
    for (let j = 4; j < quads; j += 4) mv = f32x4.pmax(mv, v128.load(row + bytes(j)));
    m = hmax(mv);
  }
  for (let j = quads; j < T; j++) m = max(m, load<f32>(row + bytes(j)));
  const mv = splat(m);
  let sv = splat(0);
  for (let j = 0; j < quads; j += 4) {
    const e = exp4(f32x4.sub(v128.load(row + bytes(j)), mv));
    sv = f32x4.add(sv, e);
    v128.store(row + bytes(j), e);
  }
  let sum = hsum(sv);
  for (let j = quads; j < T; j++) {
    const e = exp1(load<f32>(row + bytes(j)) - m);
    sum += e;
    store<f32>(row + bytes(j), e);
  }
  const inv: f32 = 1 / sum;
  const iv = splat(inv);
  for (let j = 0; j < T; j += 4) v128.store(row + bytes(j), f32x4.mul(v128.load(row + bytes(j)), iv));
  store<f32>(stats, m);
  store<f32>(stats, inv, 4);
}

/**
 * dQ, dK, dV, the probabilities recomputed: dV = PᵀdO, dS = scale·P∘(dOVᵀ − rowsum(P∘dOVᵀ)), dQ = dS·K, dK = dSᵀQ.
 * args: 0 q, 1 k, 2 v, 3 dO (rows C apart), 4 T, 5 C, 6 heads, 7 scale, 8 stats, 9 floats between q, k, v rows,
 * 10 dq, 11 dk, 12 dv (rows 13 floats apart).
 */
export function attentionGrad(args: usize, task: i32, scratch: usize): void {
  const T = int(args, 4), C = int(args, 5), heads = int(args, 6), ld = int(args, 9), ldg = int(args, 13);
  const d = C / heads;
  const scale = float(args, 7);
  const b = task / heads, h = task % heads;
  const from = bytes(b * T * ld + h * d), to = bytes(b * T * ldg + h * d);
  const q = ptr(args, 0) + from, k = ptr(args, 1) + from, v = ptr(args, 2) + from;
  const dO = ptr(args, 3) + bytes(b * T * C + h * d);
  const dq = ptr(args, 10) + to, dk = ptr(args, 11) + to, dv = ptr(args, 12) + to;
  const stats = ptr(args, 8) + bytes(task * T * 2);
  const pitch = (T + 7) & ~7, wide = (d + 7) & ~7;
  const aTab = scratch, cTab = aTab + bytes(BLOCK);
  const kT = cTab + bytes(BLOCK + 8), vT = kT + bytes(pitch * d), kP = vT + bytes(pitch * d);
  const qP = kP + bytes(wide * T), oP = qP + bytes(wide * BLOCK);
  const P = oP + bytes(wide * BLOCK), dS = P + bytes(BLOCK * pitch);
  packB(k, 1, ld, d, T, kT);
  packB(v, 1, ld, d, T, vT);
  packB(k, ld, 1, T, d, kP);
  for (let r = 0; r < T; r += BLOCK) {
    const rows = min(BLOCK, T - r);
    table(aTab, q + bytes(r * ld), bytes(ld), rows);
    table(cTab, P, bytes(pitch), rows);
    product(aTab, cTab, rows, d, T, kT, scale);
    table(aTab, dO + bytes(r * C), bytes(C), rows);
    table(cTab, dS, bytes(pitch), rows);
    product(aTab, cTab, rows, d, T, vT, 1);
    for (let i = 0; i < rows; i++) {
      softmaxGradRow(P + bytes(i * pitch), dS + bytes(i * pitch), T, stats + bytes((r + i) * 2), scale);
    }
    table(aTab, dS, bytes(pitch), rows);
    table(cTab, dq + bytes(r * ldg), bytes(ldg), rows);
    product(aTab, cTab, rows, T, d, kP, 1);
    packB(q + bytes(r * ld), ld, 1, rows, d, qP);
    productT(dS, bytes(pitch), rows, T, d, qP, dk, bytes(ldg), r > 0);
    packB(dO + bytes(r * C), C, 1, rows, d, oP);
    productT(P, bytes(pitch), rows, T, d, oP, dv, bytes(ldg), r > 0);
  }
}

/** From scores and dP of a row: the probabilities in place of the scores, dS in place of dP. */
function softmaxGradRow(p: usize, dp: usize, T: i32, stats: usize, scale: f32): void {
  const m = splat(load<f32>(stats)), inv = splat(load<f32>(stats, 4));
  let sum = splat(0);
  for (let j = 0; j < T; j += 4) {
    const n = min(4, T - j);
    const e = f32x4.mul(exp4(f32x4.sub(v128.load(p + bytes(j)), m)), inv);
    storeN(p + bytes(j), e, n);
    sum = f32x4.add(sum, f32x4.mul(loadN(p + bytes(j), n), loadN(dp + bytes(j), n)));
  }
  const dot = splat(hsum(sum)), f = splat(scale);
  for (let j = 0; j < T; j += 4) {
    const g = f32x4.mul(f32x4.mul(v128.load(p + bytes(j)), f32x4.sub(v128.load(dp + bytes(j)), dot)), f);
    storeN(dp + bytes(j), g, min(4, T - j));
  }
}
