/**
 * Convolutions of few channels, where a tile of eight output channels over runs of input channels would be mostly
 * empty. With few input channels a task gathers its inputs as A[k = (ky,kx,c)][pixel], so that the tiles are full;
 * with few output channels a pixel is a dot product over runs of input channels.
 */
import { ConvArgs, ConvFilterGradArgs, FilterArgs, MR, NR } from "./abi";
import { bytes, int, ptr } from "./args";
import { paddedFloats, padRows } from "./conv";
import { fma, hsum, splat } from "./simd";
import { packPanel, tileNN, tileTN } from "./tile";

/**
 * A[k][p] of output rows [r0, r1) of images [n0, n1), rows of A `step` bytes apart; `pad` is room for one image's rows.
 */
function gather(args: usize, n0: i32, n1: i32, r0: i32, r1: i32, pad: usize, A: usize, step: usize): void {
  const H = int(args, ConvArgs.height), W = int(args, ConvArgs.width), C = int(args, ConvArgs.channels);
  const kh = int(args, ConvArgs.kernelHeight), kw = int(args, ConvArgs.kernelWidth), s = int(args, ConvArgs.stride);
  const y0 = int(args, ConvArgs.startRow), x0 = int(args, ConvArgs.startColumn), Wo = int(args, ConvArgs.outWidth);
  const nRows = (r1 - r0 - 1) * s + kh, width = (Wo - 1) * s + kw;
  const stride = bytes(s * C);
  for (let n = n0; n < n1; n++) {
    padRows(ptr(args, ConvArgs.input) + bytes(n * H * W * C), H, W, C, r0 * s + y0, nRows, x0, width, pad);
    let to = A;
    for (let k = 0; k < kh * kw * C; k++) {
      const tap = k / C;
      let row = pad + bytes(((tap / kw) * width + tap % kw) * C + k % C), o = to;
      for (let y = r0; y < r1; y++) {
        let from = row, i = 0;
        if (s * C == 1) {
          for (; i + 4 <= Wo; i += 4) {
            v128.store(o, v128.load(from));
            o += 16;
            from += 16;
          }
        }
        for (; i < Wo; i++) {
          store<f32>(o, load<f32>(from));
          o += 4;
          from += stride;
        }
        row += bytes(s * width * C);
      }
      to += step;
    }
    A += bytes((r1 - r0) * Wo);
  }
}

/** {@link conv} of few input channels, its output without gaps. */
export function convFewIn(args: usize, task: i32, scratch: usize): void {
  const C = int(args, ConvArgs.channels), kh = int(args, ConvArgs.kernelHeight), kw = int(args, ConvArgs.kernelWidth);
  const s = int(args, ConvArgs.stride);
  const Ho = int(args, ConvArgs.outHeight), Wo = int(args, ConvArgs.outWidth), Co = int(args, ConvArgs.outChannels);
  const perImages = int(args, ConvArgs.imagesPerTask), perRows = int(args, ConvArgs.rowsPerTask);
  const bands = (Ho + perRows - 1) / perRows;
  const n0 = (task / bands) * perImages, n1 = min(int(args, ConvArgs.images), n0 + perImages);
  const r0 = (task % bands) * perRows, r1 = min(Ho, r0 + perRows);
  const pixels = (n1 - n0) * (r1 - r0) * Wo, step = bytes(pixels + MR), K = kh * kw * C;
  const pad = scratch, A = pad + bytes(((r1 - r0 - 1) * s + kh) * ((Wo - 1) * s + kw) * C);
  gather(args, n0, n1, r0, r1, pad, A, step);
  const out = ptr(args, ConvArgs.out) + bytes((n0 * Ho + r0) * Wo * Co);
  const add: usize = ptr(args, ConvArgs.add) ? ptr(args, ConvArgs.add) - ptr(args, ConvArgs.out) : 0;
  let panel = ptr(args, ConvArgs.panels);
  for (let j = 0; j < Co; j += NR) {
    const bias = ptr(args, ConvArgs.bias) ? ptr(args, ConvArgs.bias) + bytes(j) : 0;
    for (let p = 0; p < pixels; p += MR) {
      tileTN(
        A + bytes(p), 1, 0, 1, 0, K, step, panel, out + bytes(p * Co + j), bytes(Co),
        min(MR, pixels - p), min(NR, Co - j), bias, add,
      );
    }
    panel += bytes(K * NR);
  }
}

/** Padded rows of an image, and the gathered inputs. */
export function convFewInScratch(args: usize): usize {
  const rows = int(args, ConvArgs.rowsPerTask);
  const pixels = int(args, ConvArgs.imagesPerTask) * rows * int(args, ConvArgs.outWidth);
  const K = int(args, ConvArgs.kernelHeight) * int(args, ConvArgs.kernelWidth) * int(args, ConvArgs.channels);
  return bytes(paddedFloats(args, rows) + K * (pixels + MR));
}

/** {@link convFilterGrad} of few input channels. */
export function convFilterGradFewIn(args: usize, task: i32, scratch: usize): void {
  const C = int(args, ConvFilterGradArgs.channels), kh = int(args, ConvFilterGradArgs.kernelHeight);
  const kw = int(args, ConvFilterGradArgs.kernelWidth), s = int(args, ConvFilterGradArgs.stride);
  const Ho = int(args, ConvFilterGradArgs.outHeight), Wo = int(args, ConvFilterGradArgs.outWidth);
  const Co = int(args, ConvFilterGradArgs.outChannels), K = kh * kw * C;
  const perGroup = int(args, ConvFilterGradArgs.imagesPerGroup);
  const perImages = int(args, ConvFilterGradArgs.imagesPerBlock), perRows = int(args, ConvFilterGradArgs.rowsPerBlock);
  const most = perImages * perRows * Wo, step = bytes(most + MR);
  const dW = ptr(args, ConvFilterGradArgs.parts) + bytes(task * K * Co);
  const rows = scratch, outs = rows + bytes(K + MR), panel = outs + bytes(K + MR), pad = panel + bytes(most * NR);
  const A = pad + bytes(((perRows - 1) * s + kh) * ((Wo - 1) * s + kw) * C);
  for (let k = 0; k < K + MR; k++) {
    store<u32>(rows + bytes(k), <u32> (A + <usize> min(k, K - 1) * step));
    store<u32>(outs + bytes(k), <u32> (dW + bytes(min(k, K - 1) * Co)));
  }
  const end = min(int(args, ConvFilterGradArgs.images), (task + 1) * perGroup);
  let add: usize = 0;
  for (let n0 = task * perGroup; n0 < end; n0 += perImages) {
    const n1 = min(end, n0 + perImages);
    for (let r0 = 0; r0 < Ho; r0 += perRows) {
      const r1 = min(Ho, r0 + perRows), pixels = (n1 - n0) * (r1 - r0) * Wo;
      gather(args, n0, n1, r0, r1, pad, A, step);
      for (let j = 0; j < Co; j += NR) {
        packPanel(ptr(args, ConvFilterGradArgs.dy) + bytes((n0 * Ho + r0) * Wo * Co), Co, 1, pixels, j, Co, panel);
        for (let k = 0; k < K; k += MR) {
          const at = bytes(k);
          tileNN(rows + at, outs + at, min(MR, K - k), pixels, 1, 0, panel, min(NR, Co - j), 0, bytes(j), 0, add);
        }
      }
      add = 1;
    }
  }
}

/** Two tables, a panel of dy, padded rows of an image, and the gathered inputs. */
export function convFilterGradFewInScratch(args: usize): usize {
  const rows = int(args, ConvFilterGradArgs.rowsPerBlock);
  const pixels = int(args, ConvFilterGradArgs.imagesPerBlock) * rows * int(args, ConvFilterGradArgs.outWidth);
  const taps = int(args, ConvFilterGradArgs.kernelHeight) * int(args, ConvFilterGradArgs.kernelWidth);
  const K = taps * int(args, ConvFilterGradArgs.channels);
  return bytes(2 * (K + MR) + pixels * NR + paddedFloats(args, rows) + K * (pixels + MR));
}

/** Writes one output channel's filter, taps in the given order, as a run [taps·C]. */
export function packRun(args: usize, task: i32): void {
  const C = int(args, FilterArgs.channels), Co = int(args, FilterArgs.outChannels), flip = int(args, FilterArgs.flip);
  const taps = int(args, FilterArgs.taps);
  const K = flip ? Co : C;
  let dst = ptr(args, FilterArgs.packed) + bytes(task * taps * K);
  for (let t = 0; t < taps; t++) {
    const tap = ptr(args, FilterArgs.filter) + bytes(int(args, FilterArgs.tapNumbers + t) * C * Co);
    let from = tap + bytes(flip ? task * Co : task);
    for (let k = 0; k < K; k++) {
      store<f32>(dst, load<f32>(from));
      from += flip ? 4 : bytes(Co);
      dst += 4;
    }
  }
}

/** Σ over n floats of x·w. */
// @ts-ignore: decorator
@inline
function rest(x: usize, w: usize, n: i32): f32 {
  let s: f32 = 0;
  for (let i = 0; i < n; i++) s += load<f32>(x + bytes(i)) * load<f32>(w + bytes(i));
  return s;
}

/** {@link conv} of few output channels, its output without gaps, the panels from {@link packRun}. */
export function convFewOut(args: usize, task: i32, scratch: usize): void {
  const H = int(args, ConvArgs.height), W = int(args, ConvArgs.width), C = int(args, ConvArgs.channels);
  const kh = int(args, ConvArgs.kernelHeight), kw = int(args, ConvArgs.kernelWidth), s = int(args, ConvArgs.stride);
  const y0 = int(args, ConvArgs.startRow), x0 = int(args, ConvArgs.startColumn);
  const Ho = int(args, ConvArgs.outHeight), Wo = int(args, ConvArgs.outWidth), Co = int(args, ConvArgs.outChannels);
  const perImages = int(args, ConvArgs.imagesPerTask), perRows = int(args, ConvArgs.rowsPerTask);
  const bands = (Ho + perRows - 1) / perRows;
  const n0 = (task / bands) * perImages, n1 = min(int(args, ConvArgs.images), n0 + perImages);
  const r0 = (task % bands) * perRows, r1 = min(Ho, r0 + perRows);
  const nRows = (r1 - r0 - 1) * s + kh, width = (Wo - 1) * s + kw, len = kw * C, quads = len & ~3;
  const line = bytes(width * C), next = bytes(s * C);
  const bias = ptr(args, ConvArgs.bias);
  const add: usize = ptr(args, ConvArgs.add) ? ptr(args, ConvArgs.add) - ptr(args, ConvArgs.out) : 0;
  for (let n = n0; n < n1; n++) {
    padRows(ptr(args, ConvArgs.input) + bytes(n * H * W * C), H, W, C, r0 * s + y0, nRows, x0, width, scratch);
    for (let y = r0; y < r1; y++) {
      const row = scratch + bytes((y - r0) * s * width * C);
      let o = ptr(args, ConvArgs.out) + bytes((n * Ho + y) * Wo * Co);
      // Four pixels at once; the last four overlap those before them where the row is no multiple.
      for (let i = 0; i < Wo; i += 4) {
        const p = Wo < 4 ? i : min(i, Wo - 4), pixels = min(4, Wo - p);
        const from = row + <usize> p * next;
        for (let c = 0; c < Co; c++) {
          let a0 = splat(0), a1 = splat(0), a2 = splat(0), a3 = splat(0);
          let t0: f32 = 0, t1: f32 = 0, t2: f32 = 0, t3: f32 = 0;
          let w = ptr(args, ConvArgs.panels) + bytes(c * kh * len);
          for (let k = 0; k < kh; k++) {
            const x = from + <usize> k * line;
            const x1 = x + (pixels > 1 ? next : 0), x2 = x + (pixels > 2 ? 2 * next : 0);
            const x3 = x + (pixels > 3 ? 3 * next : 0);
            for (let j = 0; j < quads; j += 4) {
              const q = bytes(j), v = v128.load(w + q);
              a0 = fma(v128.load(x + q), v, a0);
              a1 = fma(v128.load(x1 + q), v, a1);
              a2 = fma(v128.load(x2 + q), v, a2);
              a3 = fma(v128.load(x3 + q), v, a3);
            }
            if (quads < len) {
              const q = bytes(quads), n = len - quads;
              t0 += rest(x + q, w + q, n);
              t1 += rest(x1 + q, w + q, n);
              t2 += rest(x2 + q, w + q, n);
              t3 += rest(x3 + q, w + q, n);
            }
            w += bytes(len);
          }
          const b: f32 = bias ? load<f32>(bias + bytes(c)) : 0;
          const at = o + bytes(p * Co + c);
          put(at, hsum(a0) + t0 + b, add);
          if (pixels > 1) put(at + bytes(Co), hsum(a1) + t1 + b, add);
          if (pixels > 2) put(at + bytes(2 * Co), hsum(a2) + t2 + b, add);
          if (pixels > 3) put(at + bytes(3 * Co), hsum(a3) + t3 + b, add);
        }
      }
    }
  }
}

/** Padded rows of an image. */
export function convFewOutScratch(args: usize): usize {
  return bytes(paddedFloats(args, int(args, ConvArgs.rowsPerTask)));
}

// @ts-ignore: decorator
@inline
function put(o: usize, x: f32, add: usize): void {
  store<f32>(o, add ? x + load<f32>(o + add) : x);
}

/** {@link convFilterGrad} of few output channels. Sums stand in scratch as [Co][kh·kw·C]. */
export function convFilterGradFewOut(args: usize, task: i32, scratch: usize): void {
  const N = int(args, ConvFilterGradArgs.images), H = int(args, ConvFilterGradArgs.height);
  const W = int(args, ConvFilterGradArgs.width), C = int(args, ConvFilterGradArgs.channels);
  const kh = int(args, ConvFilterGradArgs.kernelHeight), kw = int(args, ConvFilterGradArgs.kernelWidth);
  const s = int(args, ConvFilterGradArgs.stride), y0 = int(args, ConvFilterGradArgs.startRow);
  const x0 = int(args, ConvFilterGradArgs.startColumn);
  const Ho = int(args, ConvFilterGradArgs.outHeight), Wo = int(args, ConvFilterGradArgs.outWidth);
  const Co = int(args, ConvFilterGradArgs.outChannels), len = kw * C, K = kh * len;
  const perGroup = int(args, ConvFilterGradArgs.imagesPerGroup), perRows = int(args, ConvFilterGradArgs.rowsPerBlock);
  const width = (Wo - 1) * s + kw, next = bytes(s * C);
  const sums = scratch, pad = sums + bytes(Co * K);
  memory.fill(sums, 0, bytes(Co * K));
  const end = min(N, (task + 1) * perGroup);
  for (let n = task * perGroup; n < end; n++) {
    for (let r0 = 0; r0 < Ho; r0 += perRows) {
      const r1 = min(Ho, r0 + perRows);
      const image = ptr(args, ConvFilterGradArgs.input) + bytes(n * H * W * C);
      padRows(image, H, W, C, r0 * s + y0, (r1 - r0 - 1) * s + kh, x0, width, pad);
      for (let y = r0; y < r1; y++) {
        for (let c = 0; c < Co; c++) {
          const dy = ptr(args, ConvFilterGradArgs.dy) + bytes((n * Ho + y) * Wo * Co + c);
          for (let k = 0; k < kh; k++) {
            const x = pad + bytes(((y - r0) * s + k) * width * C), to = sums + bytes((c * kh + k) * len);
            let l = 0;
            for (; l + 16 <= len; l += 16) correlate(x + bytes(l), next, dy, bytes(Co), Wo, to + bytes(l));
            for (; l < len; l++) {
              let sum = load<f32>(to + bytes(l));
              for (let i = 0; i < Wo; i++) {
                sum += load<f32>(x + <usize> i * next + bytes(l)) * load<f32>(dy + bytes(i * Co));
              }
              store<f32>(to + bytes(l), sum);
            }
          }
        }
      }
    }
  }
  for (let c = 0; c < Co; c++) {
    for (let k = 0; k < K; k++) {
      const to = ptr(args, ConvFilterGradArgs.parts) + bytes((task * K + k) * Co + c);
      store<f32>(to, load<f32>(sums + bytes(c * K + k)));
    }
  }
}

/** The sums, and padded rows of an image. */
export function convFilterGradFewOutScratch(args: usize): usize {
  const taps = int(args, ConvFilterGradArgs.kernelHeight) * int(args, ConvFilterGradArgs.kernelWidth);
  const sums = taps * int(args, ConvFilterGradArgs.channels) * int(args, ConvFilterGradArgs.outChannels);
  return bytes(sums + paddedFloats(args, int(args, ConvFilterGradArgs.rowsPerBlock)));
}

/** to[16] += Σ_i g_i·x_i[16] over n pixels, on two sets of sums so that additions need not wait for each other. */
// @ts-ignore: decorator
@inline
function correlate(x: usize, xStep: usize, g: usize, gStep: usize, n: i32, to: usize): void {
  let a0 = v128.load(to), a1 = v128.load(to, 16), a2 = v128.load(to, 32), a3 = v128.load(to, 48);
  let b0 = splat(0), b1 = splat(0), b2 = splat(0), b3 = splat(0);
  let i = 0;
  for (; i + 2 <= n; i += 2) {
    let v = v128.load32_splat(g);
    a0 = fma(v, v128.load(x), a0);
    a1 = fma(v, v128.load(x, 16), a1);
    a2 = fma(v, v128.load(x, 32), a2);
    a3 = fma(v, v128.load(x, 48), a3);
    x += xStep;
    v = v128.load32_splat(g + gStep);
    b0 = fma(v, v128.load(x), b0);
    b1 = fma(v, v128.load(x, 16), b1);
    b2 = fma(v, v128.load(x, 32), b2);
    b3 = fma(v, v128.load(x, 48), b3);
    x += xStep;
    g += 2 * gStep;
  }
  if (i < n) {
    const v = v128.load32_splat(g);
    a0 = fma(v, v128.load(x), a0);
    a1 = fma(v, v128.load(x, 16), a1);
    a2 = fma(v, v128.load(x, 32), a2);
    a3 = fma(v, v128.load(x, 48), a3);
  }
  v128.store(to, f32x4.add(a0, b0));
  v128.store(to, f32x4.add(a1, b1), 16);
  v128.store(to, f32x4.add(a2, b2), 32);
  v128.store(to, f32x4.add(a3, b3), 48);
}
