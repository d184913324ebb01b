/** Kernels bound by memory: unary and binary maps, column copies, upsampling, partial sums. */
import { bytes, float, int, ptr } from "./args";
import { fma, loadN, sigmoid4, splat, storeN } from "./simd";

/** Floats of a task of {@link map}. */
export const CHUNK: i32 = 16384;

/** The maps by number, on four lanes. */
// @ts-ignore: decorator
@inline
function f(which: i32, a: v128, b: v128, s: v128, t: v128): v128 {
  if (which == 0) return f32x4.mul(a, sigmoid4(a));
  if (which == 1) { // b·d(silu)/da
    const e = sigmoid4(a), one = splat(1);
    return f32x4.mul(b, f32x4.mul(e, fma(a, f32x4.sub(one, e), one)));
  }
  if (which == 2) return f32x4.add(a, b);
  if (which == 3) return f32x4.sub(a, b);
  if (which == 4) return f32x4.mul(a, b);
  if (which == 5) return f32x4.mul(a, s);
  if (which == 6) return f32x4.max(a, splat(0));
  if (which == 7) return f32x4.mul(f32x4.sub(a, b), s);
  if (which == 8) return f32x4.sub(v128.bitselect(a, f32x4.mul(a, s), f32x4.gt(a, splat(0))), t);
  return v128.bitselect(b, f32x4.mul(b, s), f32x4.gt(a, splat(0)));
}

/** {@link f} over n floats; `which` is a constant at each call, so that its branches are gone. */
// @ts-ignore: decorator
@inline
function over(which: i32, n: i32, out: usize, a: usize, b: usize, s: v128, t: v128): void {
  const end = out + bytes(n & ~7);
  while (out < end) {
    v128.store(out, f(which, v128.load(a), v128.load(b), s, t));
    v128.store(out, f(which, v128.load(a, 16), v128.load(b, 16), s, t), 16);
    out += 32;
    a += 32;
    b += 32;
  }
  for (let left = n & 7; left > 0; left -= 4) {
    storeN(out, f(which, loadN(a, left), loadN(b, left), s, t), left);
    out += 16;
    a += 16;
    b += 16;
  }
}

/**
 * out = f(a, b); args: 0 f (0 silu, 1 its gradient, 2 a+b, 3 a−b, 4 a·b, 5 s·a, 6 max(a,0), 7 s·(a−b),
 * 8 (a>0 ? a : s·a) − t, 9 a>0 ? b : s·b), 1 length, 2 out, 3 a, 4 b, 5 s, 6 t.
 */
export function map(args: usize, task: i32): void {
  const from = task * CHUNK;
  const n = min(CHUNK, int(args, 1) - from);
  const out = ptr(args, 2) + bytes(from), a = ptr(args, 3) + bytes(from), b = ptr(args, 4) + bytes(from);
  const s = splat(float(args, 5)), t = splat(float(args, 6));
  switch (int(args, 0)) {
    case 0: return over(0, n, out, a, b, s, t);
    case 1: return over(1, n, out, a, b, s, t);
    case 2: return over(2, n, out, a, b, s, t);
    case 3: return over(3, n, out, a, b, s, t);
    case 4: return over(4, n, out, a, b, s, t);
    case 5: return over(5, n, out, a, b, s, t);
    case 6: return over(6, n, out, a, b, s, t);
    case 7: return over(7, n, out, a, b, s, t);
    case 8: return over(8, n, out, a, b, s, t);
    case 9: return over(9, n, out, a, b, s, t);
    default: unreachable();
  }
}

/** Copies `width` floats of each row; args: 0 from, 1 its row length, 2 to, 3 its row length, 4 width, 5 rows, 6 rows a task. */
export function copyColumns(args: usize, task: i32): void {
  const fromRow = bytes(int(args, 1)), toRow = bytes(int(args, 3));
  const width = int(args, 4), per = int(args, 6);
  const r0 = task * per, r1 = min(int(args, 5), r0 + per);
  let a = ptr(args, 0) + <usize> r0 * fromRow, b = ptr(args, 2) + <usize> r0 * toRow;
  const quads = width & ~3;
  for (let r = r0; r < r1; r++) {
    for (let i = 0; i < quads; i += 4) v128.store(b + bytes(i), v128.load(a + bytes(i)));
    for (let i = quads; i < width; i++) store<f32>(b + bytes(i), load<f32>(a + bytes(i)));
    a += fromRow;
    b += toRow;
  }
}

/** Nearest-neighbour upsampling by f; a task is a row of the input. args: 0 x, 1 W, 2 C, 3 f, 4 y. */
export function upsample(args: usize, task: i32): void {
  const W = int(args, 1), C = int(args, 2), f = int(args, 3);
  let x = ptr(args, 0) + bytes(task * W * C);
  const row = bytes(W * f * C);
  const y = ptr(args, 4) + <usize> (task * f) * row;
  let o = y;
  for (let i = 0; i < W; i++) {
    for (let j = 0; j < f; j++) {
      memory.copy(o, x, bytes(C));
      o += bytes(C);
    }
    x += bytes(C);
  }
  for (let j = 1; j < f; j++) memory.copy(y + <usize> j * row, y, row);
}

/** The gradient of {@link upsample}: sums each f×f block. args: 0 dy, 1 W (of dx), 2 C, 3 f, 4 dx. */
export function upsampleGrad(args: usize, task: i32): void {
  const W = int(args, 1), C = int(args, 2), f = int(args, 3);
  const row = bytes(W * f * C);
  const dy = ptr(args, 0) + <usize> (task * f) * row;
  const dx = ptr(args, 4) + bytes(task * W * C);
  for (let i = 0; i < W; i++) {
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c);
      let s = splat(0);
      for (let p = 0; p < f; p++) {
        for (let q = 0; q < f; q++) {
          s = f32x4.add(s, loadN(dy + <usize> p * row + bytes((i * f + q) * C + c), n));
        }
      }
      storeN(dx + bytes(i * C + c), s, n);
    }
  }
}

/**
 * Means of f×f blocks, those at the end over what is left; a task is a row of the output.
 * args: 0 x, 1 H, 2 W, 3 C, 4 f, 5 y.
 */
export function averagePool(args: usize, task: i32): void {
  const H = int(args, 1), W = int(args, 2), C = int(args, 3), f = int(args, 4);
  const Ho = (H + f - 1) / f, Wo = (W + f - 1) / f;
  const y0 = (task % Ho) * f, rows = min(f, H - y0);
  const x = ptr(args, 0) + bytes((task / Ho * H + y0) * W * C);
  let o = ptr(args, 5) + bytes(task * Wo * C);
  for (let i = 0; i < Wo; i++) {
    const columns = min(f, W - i * f), share = splat(1 / <f32> (rows * columns));
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c);
      let s = splat(0);
      for (let p = 0; p < rows; p++) {
        for (let q = 0; q < columns; q++) s = f32x4.add(s, loadN(x + bytes((p * W + i * f + q) * C + c), n));
      }
      storeN(o + bytes(c), f32x4.mul(s, share), n);
    }
    o += bytes(C);
  }
}

/** The gradient of {@link averagePool}; a task is a row of dy. args: 0 dy, 1 H, 2 W (of dx), 3 C, 4 f, 5 dx. */
export function averagePoolGrad(args: usize, task: i32): void {
  const H = int(args, 1), W = int(args, 2), C = int(args, 3), f = int(args, 4);
  const Ho = (H + f - 1) / f, Wo = (W + f - 1) / f;
  const y0 = (task % Ho) * f, rows = min(f, H - y0);
  const dx = ptr(args, 5) + bytes((task / Ho * H + y0) * W * C);
  let g = ptr(args, 0) + bytes(task * Wo * C);
  for (let i = 0; i < Wo; i++) {
    const columns = min(f, W - i * f), share = splat(1 / <f32> (rows * columns));
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), v = f32x4.mul(loadN(g + bytes(c), n), share);
      for (let p = 0; p < rows; p++) {
        for (let q = 0; q < columns; q++) storeN(dx + bytes((p * W + i * f + q) * C + c), v, n);
      }
    }
    g += bytes(C);
  }
}

/** out[i] = Σ_r parts[r, i], in the order of r; args: 0 parts, 1 rows, 2 length, 3 out, 4 floats a task. */
export function sumRows(args: usize, task: i32): void {
  const rows = int(args, 1), length = int(args, 2), per = int(args, 4);
  const from = task * per, to = min(length, from + per);
  for (let i = from; i < to; i += 4) {
    const n = min(4, to - i);
    let at = ptr(args, 0) + bytes(i);
    let s = loadN(at, n);
    for (let r = 1; r < rows; r++) {
      at += bytes(length);
      s = f32x4.add(s, loadN(at, n));
    }
    storeN(ptr(args, 3) + bytes(i), s, n);
  }
}

/** parts[task, c] = Σ over the task's rows of x[row, c]; args: 0 x, 1 rows, 2 columns, 3 parts, 4 rows a task. */
export function sumColumns(args: usize, task: i32): void {
  const columns = int(args, 2), per = int(args, 4);
  const r0 = task * per, r1 = min(int(args, 1), r0 + per);
  const out = ptr(args, 3) + bytes(task * columns);
  memory.fill(out, 0, bytes(columns));
  let x = ptr(args, 0) + bytes(r0 * columns);
  for (let r = r0; r < r1; r++) {
    for (let c = 0; c < columns; c += 4) {
      const n = min(4, columns - c), at = bytes(c);
      storeN(out + at, f32x4.add(loadN(out + at, n), loadN(x + at, n)), n);
    }
    x += bytes(columns);
  }
}

/** y[n,p,c] = x[n,p,c] + b[n,c]; a task is an image. args: 0 x, 1 pixels, 2 C, 3 b, 4 y. */
export function addChannels(args: usize, task: i32): void {
  const P = int(args, 1), C = int(args, 2);
  const b = ptr(args, 3) + bytes(task * C);
  const image = bytes(task * P * C);
  let x = ptr(args, 0) + image, y = ptr(args, 4) + image;
  for (let p = 0; p < P; p++) {
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), at = bytes(c);
      storeN(y + at, f32x4.add(loadN(x + at, n), loadN(b + at, n)), n);
    }
    x += bytes(C);
    y += bytes(C);
  }
}
