/**
 * The two register tiles that all matrix work is made of: six rows by eight columns, twelve accumulators.
 * Both read B from panels made by {@link packB}: [⌈N/8⌉][K][8], zeros past N.
 */
import { NR } from "./abi";
import { fma, splat } from "./simd";

/**
 * Packs B[K,N] (element (k,n) at src + 4·(k·rowStep + n·colStep)) into one panel of eight columns from n0 on.
 */
export function packPanel(src: usize, rowStep: i32, colStep: i32, K: i32, n0: i32, N: i32, dst: usize): void {
  const cols = min(NR, N - n0);
  let s = src + ((<usize> (n0 * colStep)) << 2);
  const step = (<usize> rowStep) << 2;
  if (cols == NR && colStep == 1) {
    for (let k = 0; k < K; k++) {
      v128.store(dst, v128.load(s));
      v128.store(dst, v128.load(s, 16), 16);
      s += step;
      dst += 32;
    }
    return;
  }
  const cstep = (<usize> colStep) << 2;
  for (let k = 0; k < K; k++) {
    for (let j = 0; j < NR; j++) {
      store<f32>(dst + ((<usize> j) << 2), j < cols ? load<f32>(s + <usize> j * cstep) : <f32> 0);
    }
    s += step;
    dst += 32;
  }
}

/** Packs all of B[K,N]; see {@link packPanel}. */
export function packB(src: usize, rowStep: i32, colStep: i32, K: i32, N: i32, dst: usize): void {
  for (let n0 = 0; n0 < N; n0 += NR) {
    packPanel(src, rowStep, colStep, K, n0, N, dst);
    dst += (<usize> K) << 5;
  }
}

/** Writes the first cols (under eight) of a row of C. */
function putPart(o: usize, lo: v128, hi: v128, cols: i32, bias: usize, add: usize): void {
  for (let j = 0; j < cols; j++) {
    const at = (<usize> j) << 2;
    let x: f32 = f32x4.extract_lane(j < 4 ? lo : hi, 0);
    if (bias) x += load<f32>(bias + at);
    if (add) x += load<f32>(add + at);
    store<f32>(o + at, x);
    if (j < 4) lo = i8x16.shuffle(lo, lo, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3);
    else hi = i8x16.shuffle(hi, hi, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3);
  }
}

/** Writes a row of C: the accumulators, plus the floats at `bias` and at `add` where those are not 0. */
// @ts-ignore: decorator
@inline
function put(o: usize, lo: v128, hi: v128, cols: i32, bias: usize, add: usize): void {
  if (cols < NR) {
    putPart(o, lo, hi, cols, bias, add);
    return;
  }
  if (bias) {
    lo = f32x4.add(lo, v128.load(bias));
    hi = f32x4.add(hi, v128.load(bias, 16));
  }
  if (add) {
    lo = f32x4.add(lo, v128.load(add));
    hi = f32x4.add(hi, v128.load(add, 16));
  }
  v128.store(o, lo);
  v128.store(o, hi, 16);
}

/**
 * C[6,8] = Σ over nSeg segments of len floats of A-row · panel, plus the eight floats at bias and a tile of the same
 * layout as C, where those are given.
 *
 * rows and outs: tables of six addresses of rows of A and C, to which rowShift and outShift are added; the first `used`
 * rows and `cols` columns are written. Each segment starts segStep bytes after the one before. bias: 0 for none.
 * add: 0 for none, else the distance in bytes from C to what is added (1 for C itself). panelSkip: bytes of the panel
 * between two segments.
 */
export function tileNN(
  rows: usize,
  outs: usize,
  used: i32,
  len: i32,
  nSeg: i32,
  segStep: usize,
  panel: usize,
  cols: i32,
  rowShift: usize,
  outShift: usize,
  bias: usize,
  add: usize,
  panelSkip: usize = 0,
): void {
  let c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0);
  let c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0);
  let q0 = <usize> load<u32>(rows) + rowShift, q1 = <usize> load<u32>(rows, 4) + rowShift;
  let q2 = <usize> load<u32>(rows, 8) + rowShift;
  let q3 = <usize> load<u32>(rows, 12) + rowShift, q4 = <usize> load<u32>(rows, 16) + rowShift;
  let q5 = <usize> load<u32>(rows, 20) + rowShift;
  const quads = len >> 2;
  const rest = len & 3;
  const back = segStep - ((<usize> len) << 2);
  for (let s = 0; s < nSeg; s++) {
    for (let i = 0; i < quads; i++) {
      let b0 = v128.load(panel), b1 = v128.load(panel, 16);
      let a = v128.load32_splat(q0);
      c00 = fma(a, b0, c00); c01 = fma(a, b1, c01);
      a = v128.load32_splat(q1);
      c10 = fma(a, b0, c10); c11 = fma(a, b1, c11);
      a = v128.load32_splat(q2);
      c20 = fma(a, b0, c20); c21 = fma(a, b1, c21);
      a = v128.load32_splat(q3);
      c30 = fma(a, b0, c30); c31 = fma(a, b1, c31);
      a = v128.load32_splat(q4);
      c40 = fma(a, b0, c40); c41 = fma(a, b1, c41);
      a = v128.load32_splat(q5);
      c50 = fma(a, b0, c50); c51 = fma(a, b1, c51);
      b0 = v128.load(panel, 32); b1 = v128.load(panel, 48);
      a = v128.load32_splat(q0, 4);
      c00 = fma(a, b0, c00); c01 = fma(a, b1, c01);
      a = v128.load32_splat(q1, 4);
      c10 = fma(a, b0, c10); c11 = fma(a, b1, c11);
      a = v128.load32_splat(q2, 4);
      c20 = fma(a, b0, c20); c21 = fma(a, b1, c21);
      a = v128.load32_splat(q3, 4);
      c30 = fma(a, b0, c30); c31 = fma(a, b1, c31);
      a = v128.load32_splat(q4, 4);
      c40 = fma(a, b0, c40); c41 = fma(a, b1, c41);
      a = v128.load32_splat(q5, 4);
      c50 = fma(a, b0, c50); c51 = fma(a, b1, c51);
      b0 = v128.load(panel, 64); b1 = v128.load(panel, 80);
      a = v128.load32_splat(q0, 8);
      c00 = fma(a, b0, c00); c01 = fma(a, b1, c01);
      a = v128.load32_splat(q1, 8);
      c10 = fma(a, b0, c10); c11 = fma(a, b1, c11);
      a = v128.load32_splat(q2, 8);
      c20 = fma(a, b0, c20); c21 = fma(a, b1, c21);
      a = v128.load32_splat(q3, 8);
      c30 = fma(a, b0, c30); c31 = fma(a, b1, c31);
      a = v128.load32_splat(q4, 8);
      c40 = fma(a, b0, c40); c41 = fma(a, b1, c41);
      a = v128.load32_splat(q5, 8);
      c50 = fma(a, b0, c50); c51 = fma(a, b1, c51);
      b0 = v128.load(panel, 96); b1 = v128.load(panel, 112);
      a = v128.load32_splat(q0, 12);
      c00 = fma(a, b0, c00); c01 = fma(a, b1, c01);
      a = v128.load32_splat(q1, 12);
      c10 = fma(a, b0, c10); c11 = fma(a, b1, c11);
      a = v128.load32_splat(q2, 12);
      c20 = fma(a, b0, c20); c21 = fma(a, b1, c21);
      a = v128.load32_splat(q3, 12);
      c30 = fma(a, b0, c30); c31 = fma(a, b1, c31);
      a = v128.load32_splat(q4, 12);
      c40 = fma(a, b0, c40); c41 = fma(a, b1, c41);
      a = v128.load32_splat(q5, 12);
      c50 = fma(a, b0, c50); c51 = fma(a, b1, c51);
      q0 += 16; q1 += 16; q2 += 16; q3 += 16; q4 += 16; q5 += 16;
      panel += 128;
    }
    for (let i = 0; i < rest; i++) {
      const b0 = v128.load(panel), b1 = v128.load(panel, 16);
      let a = v128.load32_splat(q0);
      c00 = fma(a, b0, c00); c01 = fma(a, b1, c01);
      a = v128.load32_splat(q1);
      c10 = fma(a, b0, c10); c11 = fma(a, b1, c11);
      a = v128.load32_splat(q2);
      c20 = fma(a, b0, c20); c21 = fma(a, b1, c21);
      a = v128.load32_splat(q3);
      c30 = fma(a, b0, c30); c31 = fma(a, b1, c31);
      a = v128.load32_splat(q4);
      c40 = fma(a, b0, c40); c41 = fma(a, b1, c41);
      a = v128.load32_splat(q5);
      c50 = fma(a, b0, c50); c51 = fma(a, b1, c51);
      q0 += 4; q1 += 4; q2 += 4; q3 += 4; q4 += 4; q5 += 4;
      panel += 32;
    }
    q0 += back; q1 += back; q2 += back; q3 += back; q4 += back; q5 += back;
    panel += panelSkip;
  }
  // An address is a multiple of 4, so that a distance of 1 can stand for "C itself".
  const on = add != 0;
  if (add == 1) add = 0;
  let o = <usize> load<u32>(outs) + outShift;
  put(o, c00, c01, cols, bias, on ? o + add : 0);
  if (used > 1) {
    o = <usize> load<u32>(outs, 4) + outShift;
    put(o, c10, c11, cols, bias, on ? o + add : 0);
  }
  if (used > 2) {
    o = <usize> load<u32>(outs, 8) + outShift;
    put(o, c20, c21, cols, bias, on ? o + add : 0);
  }
  if (used > 3) {
    o = <usize> load<u32>(outs, 12) + outShift;
    put(o, c30, c31, cols, bias, on ? o + add : 0);
  }
  if (used > 4) {
    o = <usize> load<u32>(outs, 16) + outShift;
    put(o, c40, c41, cols, bias, on ? o + add : 0);
  }
  if (used > 5) {
    o = <usize> load<u32>(outs, 20) + outShift;
    put(o, c50, c51, cols, bias, on ? o + add : 0);
  }
}

/**
 * C[6,8] = Σ_p a_p[6]ᵀ · b_p[8], the product that contracts over rows (filter gradients, Aᵀ·B), plus bias and a tile of
 * C's layout as {@link tileNN} takes them.
 *
 * p runs over images × rows × columns: a_p = a + image·aImg + row·aRow + col·aCol (bytes; six neighbouring floats);
 * b_p are the panel's rows in order. C rows are ldc bytes apart; `used` of six rows and `cols` of eight columns are written.
 */
export function tileTN(
  a: usize,
  images: i32,
  aImg: usize,
  nRows: i32,
  aRow: usize,
  nCols: i32,
  aCol: usize,
  panel: usize,
  c: usize,
  ldc: usize,
  used: i32,
  cols: i32,
  bias: usize,
  add: usize,
): void {
  let c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0);
  let c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0);
  for (let n = 0; n < images; n++) {
    let r = a;
    for (let y = 0; y < nRows; y++) {
      let q = r;
      for (let x = 0; x < nCols; x++) {
        const b0 = v128.load(panel), b1 = v128.load(panel, 16);
        let v = v128.load32_splat(q);
        c00 = fma(v, b0, c00); c01 = fma(v, b1, c01);
        v = v128.load32_splat(q, 4);
        c10 = fma(v, b0, c10); c11 = fma(v, b1, c11);
        v = v128.load32_splat(q, 8);
        c20 = fma(v, b0, c20); c21 = fma(v, b1, c21);
        v = v128.load32_splat(q, 12);
        c30 = fma(v, b0, c30); c31 = fma(v, b1, c31);
        v = v128.load32_splat(q, 16);
        c40 = fma(v, b0, c40); c41 = fma(v, b1, c41);
        v = v128.load32_splat(q, 20);
        c50 = fma(v, b0, c50); c51 = fma(v, b1, c51);
        q += aCol;
        panel += 32;
      }
      r += aRow;
    }
    a += aImg;
  }
  const on = add != 0;
  if (add == 1) add = 0;
  put(c, c00, c01, cols, bias, on ? c + add : 0);
  if (used > 1) {
    c += ldc;
    put(c, c10, c11, cols, bias, on ? c + add : 0);
  }
  if (used > 2) {
    c += ldc;
    put(c, c20, c21, cols, bias, on ? c + add : 0);
  }
  if (used > 3) {
    c += ldc;
    put(c, c30, c31, cols, bias, on ? c + add : 0);
  }
  if (used > 4) {
    c += ldc;
    put(c, c40, c41, cols, bias, on ? c + add : 0);
  }
  if (used > 5) {
    c += ldc;
    put(c, c50, c51, cols, bias, on ? c + add : 0);
  }
}

/**
 * C[6, 8·panels] = Aᵀ·B for a short contraction: K steps over A[K], rows aStep bytes apart of which six neighbouring
 * floats are used, and over the panels of B. Whole tiles are written, C's rows ldc bytes apart.
 */
export function bandTN(a: usize, aStep: usize, K: i32, panel: usize, panels: i32, c: usize, ldc: usize): void {
  for (let j = 0; j < panels; j++) {
    let c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0);
    let c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0);
    let q = a;
    for (let k = 0; k < K; k++) {
      const b0 = v128.load(panel), b1 = v128.load(panel, 16);
      let v = v128.load32_splat(q);
      c00 = fma(v, b0, c00); c01 = fma(v, b1, c01);
      v = v128.load32_splat(q, 4);
      c10 = fma(v, b0, c10); c11 = fma(v, b1, c11);
      v = v128.load32_splat(q, 8);
      c20 = fma(v, b0, c20); c21 = fma(v, b1, c21);
      v = v128.load32_splat(q, 12);
      c30 = fma(v, b0, c30); c31 = fma(v, b1, c31);
      v = v128.load32_splat(q, 16);
      c40 = fma(v, b0, c40); c41 = fma(v, b1, c41);
      v = v128.load32_splat(q, 20);
      c50 = fma(v, b0, c50); c51 = fma(v, b1, c51);
      q += aStep;
      panel += 32;
    }
    let o = c;
    v128.store(o, c00); v128.store(o, c01, 16);
    o += ldc;
    v128.store(o, c10); v128.store(o, c11, 16);
    o += ldc;
    v128.store(o, c20); v128.store(o, c21, 16);
    o += ldc;
    v128.store(o, c30); v128.store(o, c31, 16);
    o += ldc;
    v128.store(o, c40); v128.store(o, c41, 16);
    o += ldc;
    v128.store(o, c50); v128.store(o, c51, 16);
    c += 32;
  }
}

/**
 * C[6·tiles, 8] = A·B, the plain case of {@link tileNN} without its tables: rows of A lda bytes apart, K a multiple of
 * four, B one panel, C dense.
 */
export function columnNN(a: usize, lda: usize, tiles: i32, K: i32, panels: usize, c: usize): void {
  for (let t = 0; t < tiles; t++) {
    let c00 = splat(0), c01 = splat(0), c10 = splat(0), c11 = splat(0), c20 = splat(0), c21 = splat(0);
    let c30 = splat(0), c31 = splat(0), c40 = splat(0), c41 = splat(0), c50 = splat(0), c51 = splat(0);
    let q0 = a, q1 = q0 + lda, q2 = q1 + lda, q3 = q2 + lda, q4 = q3 + lda, q5 = q4 + lda;
    let panel = panels;
    a = q5 + lda;
    for (const end = q0 + ((<usize> K) << 2); q0 < end;) {
      let b0 = v128.load(panel), b1 = v128.load(panel, 16);
      let x = v128.load32_splat(q0);
      c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
      x = v128.load32_splat(q1);
      c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
      x = v128.load32_splat(q2);
      c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
      x = v128.load32_splat(q3);
      c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
      x = v128.load32_splat(q4);
      c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
      x = v128.load32_splat(q5);
      c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
      b0 = v128.load(panel, 32); b1 = v128.load(panel, 48);
      x = v128.load32_splat(q0, 4);
      c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
      x = v128.load32_splat(q1, 4);
      c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
      x = v128.load32_splat(q2, 4);
      c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
      x = v128.load32_splat(q3, 4);
      c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
      x = v128.load32_splat(q4, 4);
      c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
      x = v128.load32_splat(q5, 4);
      c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
      b0 = v128.load(panel, 64); b1 = v128.load(panel, 80);
      x = v128.load32_splat(q0, 8);
      c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
      x = v128.load32_splat(q1, 8);
      c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
      x = v128.load32_splat(q2, 8);
      c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
      x = v128.load32_splat(q3, 8);
      c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
      x = v128.load32_splat(q4, 8);
      c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
      x = v128.load32_splat(q5, 8);
      c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
      b0 = v128.load(panel, 96); b1 = v128.load(panel, 112);
      x = v128.load32_splat(q0, 12);
      c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
      x = v128.load32_splat(q1, 12);
      c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
      x = v128.load32_splat(q2, 12);
      c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
      x = v128.load32_splat(q3, 12);
      c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
      x = v128.load32_splat(q4, 12);
      c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
      x = v128.load32_splat(q5, 12);
      c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
      q0 += 16; q1 += 16; q2 += 16; q3 += 16; q4 += 16; q5 += 16;
      panel += 128;
    }
    v128.store(c, c00, 0); v128.store(c, c01, 16);
    v128.store(c, c10, 32); v128.store(c, c11, 48);
    v128.store(c, c20, 64); v128.store(c, c21, 80);
    v128.store(c, c30, 96); v128.store(c, c31, 112);
    v128.store(c, c40, 128); v128.store(c, c41, 144);
    v128.store(c, c50, 160); v128.store(c, c51, 176);
    c += 192;
  }
}
