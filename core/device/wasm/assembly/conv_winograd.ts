/**
 * 3×3 convolutions of stride 1 with a quarter of the multiplications, and 5×5 ones with 9 of 25: Winograd's
 * F(4×4, 3×3) and F(2×2, 5×5) (Lavin & Gray 2016) at the points 0, ±√½, ±√2, ∞, which keep the rounding within a few
 * times that of the plain sum.
 *
 * A tile of M×M outputs of an R×R filter, M + R = 7, sees 6×6 inputs. In the transformed domain the convolution is 36
 * independent matrix products: Y = Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]A. The filter gradient is F(R×R, M×M), with the same Bᵀ.
 */
import {
  MR,
  NR,
  WINOGRAD_ELEMENTS as E,
  WinogradConvArgs,
  WinogradFilterArgs,
  WinogradFilterGradArgs,
  WinogradFilterGradSumArgs,
} from "./abi";
import { bytes, int, ptr } from "./args";
import { padRows } from "./conv";
import { fma, held, splat } from "./simd";
import { columnNN, tileTN } from "./tile";

/** A cache line: set between the 36 matrices, so that they do not fall on the same few sets of the cache. */
const LINE: usize = 64;
/** Bytes of a vector. */
const V: usize = 16;

const A: v128 = held(0.70710678118654752), B: v128 = held(1.4142135623730951);
const HALF: v128 = held(0.5), TWO: v128 = held(2), FIVE_HALVES: v128 = held(2.5);
const THIRD: v128 = held(0.33333333333333333), SIXTH: v128 = held(0.16666666666666667);

/** a − b·c. */
// @ts-ignore: decorator
@inline
function less(a: v128, b: v128, c: v128): v128 {
  return fma(f32x4.neg(b), c, a);
}

/** Bᵀ·d: six vectors, `from` bytes apart, to six `to` bytes apart. */
// @ts-ignore: decorator
@inline
function inputTransform(src: usize, from: usize, dst: usize, to: usize): void {
  const d0 = v128.load(src), d1 = v128.load(src + from), d2 = v128.load(src + 2 * from);
  const d3 = v128.load(src + 3 * from), d4 = v128.load(src + 4 * from), d5 = v128.load(src + 5 * from);
  v128.store(dst, f32x4.add(less(d0, FIVE_HALVES, d2), d4));
  let even = less(d4, TWO, d2), odd = f32x4.mul(A, less(d3, TWO, d1));
  v128.store(dst + to, f32x4.add(even, odd));
  v128.store(dst + 2 * to, f32x4.sub(even, odd));
  even = less(d4, HALF, d2);
  odd = f32x4.mul(B, less(d3, HALF, d1));
  v128.store(dst + 3 * to, f32x4.add(even, odd));
  v128.store(dst + 4 * to, f32x4.sub(even, odd));
  v128.store(dst + 5 * to, f32x4.add(less(d1, FIVE_HALVES, d3), d5));
}

/** G·g: the values of a polynomial of two to five coefficients at the six points, scaled or not. */
// @ts-ignore: decorator
@inline
function evaluate(src: usize, from: usize, dst: usize, to: usize, terms: i32, scaled: bool): void {
  const g0 = v128.load(src), g1 = v128.load(src + from);
  let last = g1, evenA = g0, oddA = g1, evenB = g0, oddB = g1;
  if (terms > 2) {
    const g2 = last = v128.load(src + 2 * from);
    let upA = g2, upB = g2;
    if (terms > 3) {
      const g3 = last = v128.load(src + 3 * from);
      oddA = fma(HALF, g3, g1);
      oddB = fma(TWO, g3, g1);
    }
    if (terms > 4) {
      const g4 = last = v128.load(src + 4 * from);
      upA = fma(HALF, g4, g2);
      upB = fma(TWO, g4, g2);
    }
    evenA = fma(HALF, upA, g0);
    evenB = fma(TWO, upB, g0);
  }
  oddA = f32x4.mul(A, oddA);
  oddB = f32x4.mul(B, oddB);
  let a1 = f32x4.add(evenA, oddA), a2 = f32x4.sub(evenA, oddA);
  let b1 = f32x4.add(evenB, oddB), b2 = f32x4.sub(evenB, oddB);
  if (scaled) {
    const f = f32x4.neg(f32x4.mul(TWO, THIRD));
    a1 = f32x4.mul(f, a1);
    a2 = f32x4.mul(f, a2);
    b1 = f32x4.mul(SIXTH, b1);
    b2 = f32x4.mul(SIXTH, b2);
  }
  v128.store(dst, g0);
  v128.store(dst + to, a1);
  v128.store(dst + 2 * to, a2);
  v128.store(dst + 3 * to, b1);
  v128.store(dst + 4 * to, b2);
  v128.store(dst + 5 * to, last);
}

/** Aᵀ·m: six products to two to five results, with the points' scales where they are not in G. */
// @ts-ignore: decorator
@inline
function combine(src: usize, from: usize, dst: usize, to: usize, results: i32, scaled: bool): void {
  let m1 = v128.load(src + from), m2 = v128.load(src + 2 * from);
  let m3 = v128.load(src + 3 * from), m4 = v128.load(src + 4 * from);
  const m5 = v128.load(src + 5 * from);
  if (scaled) {
    const f = f32x4.neg(f32x4.mul(TWO, THIRD));
    m1 = f32x4.mul(f, m1);
    m2 = f32x4.mul(f, m2);
    m3 = f32x4.mul(SIXTH, m3);
    m4 = f32x4.mul(SIXTH, m4);
  }
  const s1 = f32x4.add(m1, m2), d1 = f32x4.mul(A, f32x4.sub(m1, m2));
  const s2 = f32x4.add(m3, m4), d2 = f32x4.mul(B, f32x4.sub(m3, m4));
  const y0 = f32x4.add(v128.load(src), f32x4.add(s1, s2));
  let y1 = f32x4.add(d1, d2);
  if (results == 2) y1 = f32x4.add(y1, m5);
  v128.store(dst, y0);
  v128.store(dst + to, y1);
  if (results > 2) {
    const y2 = fma(HALF, s1, results == 3 ? fma(TWO, s2, m5) : f32x4.mul(TWO, s2));
    v128.store(dst + 2 * to, y2);
  }
  if (results > 3) {
    const y3 = fma(HALF, d1, results == 4 ? fma(TWO, d2, m5) : f32x4.mul(TWO, d2));
    v128.store(dst + 3 * to, y3);
  }
  if (results > 4) {
    const y4 = fma(f32x4.mul(HALF, HALF), s1, fma(f32x4.mul(TWO, TWO), s2, m5));
    v128.store(dst + 4 * to, y4);
  }
}

/** A filter's R vectors to six. */
// @ts-ignore: decorator
@inline
function filterTransform(src: usize, from: usize, dst: usize, to: usize, R: i32): void {
  if (R == 3) evaluate(src, from, dst, to, 3, true);
  else evaluate(src, from, dst, to, 5, true);
}

/** Six vectors to a tile's 7 − R outputs. */
// @ts-ignore: decorator
@inline
function outputTransform(src: usize, from: usize, dst: usize, to: usize, R: i32): void {
  if (R == 3) combine(src, from, dst, to, 4, false);
  else combine(src, from, dst, to, 2, false);
}

/** A tile's 7 − R output gradients to six vectors, whose scales {@link gradientTransform} makes up. */
// @ts-ignore: decorator
@inline
function outputGradTransform(src: usize, from: usize, dst: usize, to: usize, R: i32): void {
  if (R == 3) evaluate(src, from, dst, to, 4, false);
  else evaluate(src, from, dst, to, 2, false);
}

/** Six vectors to the R of a filter's gradient. */
// @ts-ignore: decorator
@inline
function gradientTransform(src: usize, from: usize, dst: usize, to: usize, R: i32): void {
  if (R == 3) combine(src, from, dst, to, 3, true);
  else combine(src, from, dst, to, 5, true);
}

/**
 * Transforms a filter [R,R,C,Co] to U[36][panels][C][8]; one task a panel of eight columns. C and Co are multiples of 8.
 */
export function winogradFilter(args: usize, task: i32, scratch: usize): void {
  const C = int(args, WinogradFilterArgs.channels), Co = int(args, WinogradFilterArgs.outChannels);
  const flip = int(args, WinogradFilterArgs.flip), R = int(args, WinogradFilterArgs.kernelSize);
  const K = flip ? Co : C, panels = (flip ? C : Co) / NR, n0 = task * NR;
  const g = scratch, half = g + bytes(R * R * NR), step = bytes(panels * K * NR);
  for (let k = 0; k < K; k++) {
    for (let t = 0; t < R * R; t++) {
      const tap = ptr(args, WinogradFilterArgs.filter) + bytes(int(args, WinogradFilterArgs.tapNumbers + t) * C * Co);
      const to = g + bytes(t * NR);
      if (flip) {
        let from = tap + bytes(n0 * Co + k);
        for (let j = 0; j < NR; j++) {
          store<f32>(to + bytes(j), load<f32>(from));
          from += bytes(Co);
        }
      } else {
        const from = tap + bytes(k * Co + n0);
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
      }
    }
    let to = ptr(args, WinogradFilterArgs.transformed) + bytes((task * K + k) * NR);
    for (let q = 0; q < 2; q++) {
      const from = g + <usize> q * V;
      for (let x = 0; x < R; x++) {
        filterTransform(from + bytes(x * NR), bytes(R * NR), half + <usize> x * V, <usize> R * V, R);
      }
      for (let y = 0; y < 6; y++) filterTransform(half + <usize> (R * y) * V, V, to + <usize> (6 * y) * step, step, R);
      to += V;
    }
  }
}

/** A filter's taps, and what the vertical transform leaves of them. */
export function winogradFilterScratch(args: usize): usize {
  const R = int(args, WinogradFilterArgs.kernelSize);
  return bytes(R * R * NR) + <usize> (6 * R) * V;
}

/**
 * Transforms a row of TW tiles, M pixels apart, from six padded rows of M·TW+6−M pixels to dst: element e of the tiles
 * [TW,C] stands e·step bytes on. `columns` holds what the vertical pass leaves for the horizontal one.
 */
function inputTiles(pad: usize, TW: i32, M: i32, C: i32, columns: usize, dst: usize, step: usize): void {
  const width = TW * M + 6 - M, row = bytes(width * C);
  for (let c = 0; c < C; c += 4) {
    for (let x = 0; x < width; x++) {
      inputTransform(pad + bytes(x * C + c), row, columns + <usize> x * V, <usize> width * V);
    }
    for (let y = 0; y < 6; y++) {
      let from = columns + <usize> (y * width) * V, to = dst + <usize> (6 * y) * step + bytes(c);
      for (let t = 0; t < TW; t++) {
        inputTransform(from, V, to, step);
        from += <usize> M * V;
        to += bytes(C);
      }
    }
  }
}

/** out = in ∗ filter (+ bias) (+ a tensor laid out as out), C and Co multiples of 8; a task is a run of tile rows. */
export function winogradConv(args: usize, task: i32, scratch: usize): void {
  const N = int(args, WinogradConvArgs.images), H = int(args, WinogradConvArgs.height);
  const W = int(args, WinogradConvArgs.width), C = int(args, WinogradConvArgs.channels);
  const Ho = int(args, WinogradConvArgs.outHeight), Wo = int(args, WinogradConvArgs.outWidth);
  const Co = int(args, WinogradConvArgs.outChannels), per = int(args, WinogradConvArgs.tileRowsPerTask);
  const R = int(args, WinogradConvArgs.kernelSize);
  const y0 = int(args, WinogradConvArgs.startRow), x0 = int(args, WinogradConvArgs.startColumn);
  const M = 7 - R, TH = (Ho + M - 1) / M, TW = (Wo + M - 1) / M, width = TW * M + R - 1;
  const g0 = task * per, g1 = min(N * TH, g0 + per);
  const tiles = (g1 - g0) * TW, P = (tiles + MR - 1) / MR * MR;
  const vStep = bytes(P * C) + LINE, mStep = bytes(P * NR) + LINE;
  const half = scratch, pad = half + E * V;
  const columns = pad + bytes(6 * width * C), v = columns + <usize> (6 * width) * V, m = v + <usize> E * vStep;

  for (let g = g0; g < g1; g++) {
    const image = ptr(args, WinogradConvArgs.input) + bytes(g / TH * H * W * C);
    padRows(image, H, W, C, (g % TH) * M + y0, 6, x0, width, pad);
    inputTiles(pad, TW, M, C, columns, v + bytes((g - g0) * TW * C), vStep);
  }
  const out = ptr(args, WinogradConvArgs.out), biases = ptr(args, WinogradConvArgs.bias);
  const added = ptr(args, WinogradConvArgs.add), add: usize = added ? added - out : 0;
  let panel = ptr(args, WinogradConvArgs.transformed);
  const panels = Co / NR;
  for (let j = 0; j < Co; j += NR) {
    for (let e = 0; e < E; e++) {
      const u = panel + bytes(e * panels * C * NR);
      columnNN(v + <usize> e * vStep, bytes(C), P / MR, C, u, m + <usize> e * mStep);
    }
    panel += bytes(C * NR);
    for (let q = 0; q < NR; q += 4) {
      const bias = biases ? v128.load(biases + bytes(j + q)) : splat(0);
      for (let t = 0; t < tiles; t++) {
        const from = m + bytes(t * NR + q);
        for (let x = 0; x < 6; x++) outputTransform(from + <usize> x * mStep, 6 * mStep, half + <usize> x * V, 6 * V, R);
        const g = g0 + t / TW, y = (g % TH) * M, x = (t % TW) * M;
        const h = min(M, Ho - y), w = min(M, Wo - x);
        for (let r = 0; r < h; r++) {
          const line = half + <usize> (6 * r) * V;
          outputTransform(line, V, line, V, R);
          let o = out + bytes(((g / TH * Ho + y + r) * Wo + x) * Co + j + q);
          for (let s = 0; s < w; s++) {
            let z = f32x4.add(v128.load(line + <usize> s * V), bias);
            if (add) z = f32x4.add(z, v128.load(o + add));
            v128.store(o, z);
            o += bytes(Co);
          }
        }
      }
    }
  }
}

/** A tile, padded rows, a row's columns; the transformed inputs, and their products by one panel. */
export function winogradConvScratch(args: usize): usize {
  const C = int(args, WinogradConvArgs.channels), M = 7 - int(args, WinogradConvArgs.kernelSize);
  const TW = (int(args, WinogradConvArgs.outWidth) + M - 1) / M, width = TW * M + 6 - M;
  const P = int(args, WinogradConvArgs.tileRowsPerTask) * TW + MR;
  return E * V + bytes(6 * width * C) + <usize> (6 * width) * V + E * (bytes(P * (C + NR)) + 2 * LINE);
}

/** A group's part of the filter gradient in the transformed domain, M[36][C][Co]; a task is a group of tile rows. */
export function winogradFilterGrad(args: usize, task: i32, scratch: usize): void {
  const N = int(args, WinogradFilterGradArgs.images), H = int(args, WinogradFilterGradArgs.height);
  const W = int(args, WinogradFilterGradArgs.width), C = int(args, WinogradFilterGradArgs.channels);
  const Ho = int(args, WinogradFilterGradArgs.outHeight), Wo = int(args, WinogradFilterGradArgs.outWidth);
  const Co = int(args, WinogradFilterGradArgs.outChannels), group = int(args, WinogradFilterGradArgs.tileRowsPerGroup);
  const per = int(args, WinogradFilterGradArgs.tileRowsPerBlock), R = int(args, WinogradFilterGradArgs.kernelSize);
  const y0 = int(args, WinogradFilterGradArgs.startRow), x0 = int(args, WinogradFilterGradArgs.startColumn);
  const M = 7 - R, TH = (Ho + M - 1) / M, TW = (Wo + M - 1) / M, width = TW * M + R - 1, P = per * TW;
  const panels = Co / NR;
  const vStep = bytes(P * C) + LINE, wStep = bytes(P * Co) + LINE;
  const half = scratch, pad = half + E * V, columns = pad + bytes(6 * width * max(C, Co));
  const v = columns + <usize> (6 * width) * V, w = v + <usize> E * vStep + 32;
  const parts = ptr(args, WinogradFilterGradArgs.parts) + bytes(task * E * C * Co);
  const end = min(N * TH, (task + 1) * group);
  for (let g0 = task * group; g0 < end; g0 += per) {
    const g1 = min(end, g0 + per), tiles = (g1 - g0) * TW;
    for (let g = g0; g < g1; g++) {
      const n = g / TH, y = (g % TH) * M;
      padRows(ptr(args, WinogradFilterGradArgs.input) + bytes(n * H * W * C), H, W, C, y + y0, 6, x0, width, pad);
      inputTiles(pad, TW, M, C, columns, v + bytes((g - g0) * TW * C), vStep);
      padRows(ptr(args, WinogradFilterGradArgs.dy) + bytes(n * Ho * Wo * Co), Ho, Wo, Co, y, M, 0, TW * M, pad);
      const row = bytes(TW * M * Co);
      for (let c = 0; c < Co; c += 4) {
        // element e of tile t at panel [c/8][t][c%8]
        const to = w + bytes(c / NR * P * NR + (g - g0) * TW * NR + c % NR);
        for (let t = 0; t < TW; t++) {
          for (let x = 0; x < M; x++) {
            outputGradTransform(pad + bytes((t * M + x) * Co + c), row, half + <usize> x * V, <usize> M * V, R);
          }
          for (let r = 0; r < 6; r++) {
            outputGradTransform(half + <usize> (M * r) * V, V, to + bytes(t * NR) + <usize> (6 * r) * wStep, wStep, R);
          }
        }
      }
    }
    for (let e = 0; e < E; e++) {
      const a = v + <usize> e * vStep, b = w + <usize> e * wStep, c = parts + bytes(e * C * Co);
      for (let j = 0; j < panels; j++) {
        for (let i = 0; i < C; i += MR) {
          tileTN(
            a + bytes(i), 1, 0, 1, 0, tiles, bytes(C), b + bytes(j * P * NR), c + bytes(i * Co + j * NR), bytes(Co),
            min(MR, C - i), NR, 0, g0 > task * group ? 1 : 0,
          );
        }
      }
    }
  }
}

/** A tile, padded rows, a row's columns; the transformed inputs and gradients of the output. */
export function winogradFilterGradScratch(args: usize): usize {
  const C = int(args, WinogradFilterGradArgs.channels), Co = int(args, WinogradFilterGradArgs.outChannels);
  const M = 7 - int(args, WinogradFilterGradArgs.kernelSize);
  const TW = (int(args, WinogradFilterGradArgs.outWidth) + M - 1) / M, width = TW * M + 6 - M;
  const P = int(args, WinogradFilterGradArgs.tileRowsPerBlock) * TW;
  return E * V + bytes(6 * width * max(C, Co)) + <usize> (6 * width) * V + E * (bytes(P * (C + Co)) + 2 * LINE) + 32;
}

/** dW[R,R,C,Co] from the groups' parts; a task is one of the C rows. */
export function winogradFilterGradSum(args: usize, task: i32, scratch: usize): void {
  const groups = int(args, WinogradFilterGradSumArgs.groups), C = int(args, WinogradFilterGradSumArgs.channels);
  const Co = int(args, WinogradFilterGradSumArgs.outChannels), R = int(args, WinogradFilterGradSumArgs.kernelSize);
  const dW = ptr(args, WinogradFilterGradSumArgs.dw);
  const half = scratch + E * V, taps = half + <usize> (6 * R) * V;
  for (let c = 0; c < Co; c += 4) {
    for (let e = 0; e < E; e++) {
      let from = ptr(args, WinogradFilterGradSumArgs.parts) + bytes((e * C + task) * Co + c);
      let s = v128.load(from);
      for (let g = 1; g < groups; g++) {
        from += bytes(E * C * Co);
        s = f32x4.add(s, v128.load(from));
      }
      v128.store(scratch + <usize> e * V, s);
    }
    for (let x = 0; x < 6; x++) gradientTransform(scratch + <usize> x * V, 6 * V, half + <usize> x * V, 6 * V, R);
    for (let y = 0; y < R; y++) gradientTransform(half + <usize> (6 * y) * V, V, taps + <usize> (R * y) * V, V, R);
    for (let t = 0; t < R * R; t++) {
      v128.store(dW + bytes((t * C + task) * Co + c), v128.load(taps + <usize> t * V));
    }
  }
}

/** A tile, what the vertical transform leaves of it, and the filter's taps. */
export function winogradFilterGradSumScratch(args: usize): usize {
  const R = int(args, WinogradFilterGradSumArgs.kernelSize);
  return <usize> (E + 6 * R + R * R) * V;
}
