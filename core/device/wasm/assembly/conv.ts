/**
 * Convolutions in NHWC as implicit matrix products. For one filter row, the kw·C inputs that a pixel needs are
 * neighbours in memory, so a tile of six pixels is six addresses and kh runs of kw·C floats; no im2col is stored.
 * A task copies the rows it needs into scratch with the padding's zeros round them.
 */
import { ConvArgs, ConvFilterGradArgs, FilterArgs, MR, NR } from "./abi";
import { bytes, int, ptr } from "./args";
import { packPanel, tileNN, tileTN } from "./tile";

/** Copies rows [y0, y0+n) × columns [x0, x0+width) of one image to dst, zeros where they lie outside it. */
export function padRows(x: usize, H: i32, W: i32, C: i32, y0: i32, n: i32, x0: i32, width: i32, dst: usize): void {
  const from = max(0, x0), to = min(W, x0 + width);
  const left = bytes((from - x0) * C);
  const mid = to > from ? bytes((to - from) * C) : 0;
  const all = bytes(width * C);
  for (let r = 0; r < n; r++) {
    const y = y0 + r;
    if (y < 0 || y >= H || mid == 0) {
      memory.fill(dst, 0, all);
    } else {
      if (left) memory.fill(dst, 0, left);
      memory.copy(dst + left, x + bytes((y * W + from) * C), mid);
      if (left + mid < all) memory.fill(dst + left + mid, 0, all - left - mid);
    }
    dst += all;
  }
}

/** Floats of the padded rows of an image that so many rows of outputs see, in a convolution or its filter gradient. */
export function paddedFloats(args: usize, outRows: i32): i32 {
  const s = int(args, ConvArgs.stride);
  const rows = (outRows - 1) * s + int(args, ConvArgs.kernelHeight);
  const columns = (int(args, ConvArgs.outWidth) - 1) * s + int(args, ConvArgs.kernelWidth);
  return rows * columns * int(args, ConvArgs.channels);
}

/**
 * out[n, y, x, :] = Σ_{i,j} in[n, y·s+y0+i, x·s+x0+j, :] · panel[(i,j,c), :] (+ bias) (+ a tensor laid out as out).
 * The forward pass, and (over the output's gradient, one call a stride phase) the input gradient.
 */
export function conv(args: usize, task: i32, scratch: usize): void {
  const N = int(args, ConvArgs.images), H = int(args, ConvArgs.height), W = int(args, ConvArgs.width);
  const C = int(args, ConvArgs.channels);
  const kh = int(args, ConvArgs.kernelHeight), kw = int(args, ConvArgs.kernelWidth), s = int(args, ConvArgs.stride);
  const y0 = int(args, ConvArgs.startRow), x0 = int(args, ConvArgs.startColumn);
  const Ho = int(args, ConvArgs.outHeight), Wo = int(args, ConvArgs.outWidth), Co = int(args, ConvArgs.outChannels);
  const oImg = int(args, ConvArgs.imageStep), oRow = int(args, ConvArgs.rowStep), oCol = int(args, ConvArgs.columnStep);
  const perImages = int(args, ConvArgs.imagesPerTask), perRows = int(args, ConvArgs.rowsPerTask);
  const bands = (Ho + perRows - 1) / perRows;
  const n0 = (task / bands) * perImages, n1 = min(N, n0 + perImages);
  const r0 = (task % bands) * perRows, r1 = min(Ho, r0 + perRows);
  const x = ptr(args, ConvArgs.input);
  // One tap a pixel and every output on the image: it is read where it lies.
  const inside = (Ho - 1) * s < H && (Wo - 1) * s < W;
  const direct = kh == 1 && kw == 1 && y0 == 0 && x0 == 0 && inside;

  const nRows = (r1 - r0 - 1) * s + kh, width = (Wo - 1) * s + kw;
  const pixels = (n1 - n0) * (r1 - r0) * Wo;
  const tiles = (pixels + MR - 1) / MR;
  const rows = scratch, outs = rows + bytes(tiles * MR);
  let pad = outs + bytes(tiles * MR);
  let p = 0;
  for (let n = n0; n < n1; n++) {
    const image = x + bytes(n * H * W * C);
    if (!direct) padRows(image, H, W, C, r0 * s + y0, nRows, x0, width, pad);
    for (let y = r0; y < r1; y++) {
      let from = direct ? image + bytes(y * s * W * C) : pad + bytes((y - r0) * s * width * C);
      let to = ptr(args, ConvArgs.out) + bytes(n * oImg + y * oRow);
      for (let i = 0; i < Wo; i++) {
        store<u32>(rows + bytes(p), <u32> from);
        store<u32>(outs + bytes(p), <u32> to);
        from += bytes(s * C);
        to += bytes(oCol);
        p++;
      }
    }
    pad += bytes(nRows * width * C);
  }
  for (; p < tiles * MR; p++) {
    store<u32>(rows + bytes(p), load<u32>(rows + bytes(pixels - 1)));
    store<u32>(outs + bytes(p), load<u32>(outs + bytes(pixels - 1)));
  }

  const len = kw * C;
  const step: usize = direct ? 0 : bytes(width * C);
  const bias = ptr(args, ConvArgs.bias);
  const add: usize = ptr(args, ConvArgs.add) ? ptr(args, ConvArgs.add) - ptr(args, ConvArgs.out) : 0;
  let panel = ptr(args, ConvArgs.panels);
  for (let j = 0; j < Co; j += NR) {
    const column = bytes(j), b = bias ? bias + column : 0;
    for (let t = 0; t < tiles; t++) {
      const at = bytes(t * MR);
      tileNN(rows + at, outs + at, min(MR, pixels - t * MR), len, kh, step, panel, min(NR, Co - j), 0, column, b, add);
    }
    panel += bytes(kh * len * NR);
  }
}

/** Two tables of pixels, and padded rows of each image. */
export function convScratch(args: usize): usize {
  const images = int(args, ConvArgs.imagesPerTask), rows = int(args, ConvArgs.rowsPerTask);
  const pixels = images * rows * int(args, ConvArgs.outWidth);
  return bytes(2 * (pixels + MR) + images * paddedFloats(args, rows));
}

/**
 * Packs a filter [kh,kw,C,Co] for {@link conv}; one task a panel of eight output channels.
 * Flipped (for the input gradient) the panel's rows run over (tap, Co) and its columns over C.
 */
export function packFilter(args: usize, task: i32): void {
  const C = int(args, FilterArgs.channels), Co = int(args, FilterArgs.outChannels), flip = int(args, FilterArgs.flip);
  const taps = int(args, FilterArgs.taps);
  const K = flip ? Co : C, N = flip ? C : Co;
  let dst = ptr(args, FilterArgs.packed) + bytes(task * taps * K * NR);
  for (let t = 0; t < taps; t++) {
    const tap = ptr(args, FilterArgs.filter) + bytes(int(args, FilterArgs.tapNumbers + t) * C * Co);
    packPanel(tap, flip ? 1 : Co, flip ? Co : 1, K, task * NR, N, dst);
    dst += bytes(K * NR);
  }
}

/**
 * Filter gradient of one group of images, into the group's own partial sums:
 * dW[i,j,c,:] = Σ_p in[p·s+(i,j), c] · dy[p,:].
 */
export function convFilterGrad(args: usize, task: i32, scratch: usize): void {
  const N = int(args, ConvFilterGradArgs.images), H = int(args, ConvFilterGradArgs.height);
  const W = int(args, ConvFilterGradArgs.width), C = int(args, ConvFilterGradArgs.channels);
  const kh = int(args, ConvFilterGradArgs.kernelHeight), kw = int(args, ConvFilterGradArgs.kernelWidth);
  const s = int(args, ConvFilterGradArgs.stride), y0 = int(args, ConvFilterGradArgs.startRow);
  const x0 = int(args, ConvFilterGradArgs.startColumn);
  const Ho = int(args, ConvFilterGradArgs.outHeight), Wo = int(args, ConvFilterGradArgs.outWidth);
  const Co = int(args, ConvFilterGradArgs.outChannels);
  const perGroup = int(args, ConvFilterGradArgs.imagesPerGroup);
  const perImages = int(args, ConvFilterGradArgs.imagesPerBlock), perRows = int(args, ConvFilterGradArgs.rowsPerBlock);
  const len = kw * C;
  const x = ptr(args, ConvFilterGradArgs.input);
  const dW = ptr(args, ConvFilterGradArgs.parts) + bytes(task * kh * len * Co);
  const direct = kh == 1 && kw == 1 && y0 == 0 && x0 == 0;
  const panels = (Co + NR - 1) / NR;
  const width = (Wo - 1) * s + kw;
  const end = min(N, (task + 1) * perGroup);
  let started = false;
  for (let n0 = task * perGroup; n0 < end; n0 += perImages) {
    const n1 = min(end, n0 + perImages);
    for (let r0 = 0; r0 < Ho; r0 += perRows) {
      const r1 = min(Ho, r0 + perRows);
      const pixels = (n1 - n0) * (r1 - r0) * Wo;
      const nRows = (r1 - r0 - 1) * s + kh;
      // dy of the block as panels
      const packed = scratch;
      for (let j = 0; j < panels; j++) {
        let to = packed + bytes(j * pixels * NR);
        for (let n = n0; n < n1; n++) {
          const from = ptr(args, ConvFilterGradArgs.dy) + bytes((n * Ho + r0) * Wo * Co);
          packPanel(from, Co, 1, (r1 - r0) * Wo, j * NR, Co, to);
          to += bytes((r1 - r0) * Wo * NR);
        }
      }
      let a = scratch + bytes(panels * pixels * NR);
      let aImg = bytes(nRows * width * C), aRow = bytes(s * width * C), aTap = bytes(width * C);
      if (direct) {
        a = x + bytes((n0 * H + r0 * s) * W * C);
        aImg = bytes(H * W * C);
        aRow = bytes(s * W * C);
        aTap = 0;
      } else {
        for (let n = n0; n < n1; n++) {
          const image = x + bytes(n * H * W * C);
          padRows(image, H, W, C, r0 * s + y0, nRows, x0, width, a + <usize> (n - n0) * aImg);
        }
      }
      for (let j = 0; j < panels; j++) {
        const panel = packed + bytes(j * pixels * NR);
        const cols = min(NR, Co - j * NR);
        for (let i = 0; i < kh; i++) {
          for (let l = 0; l < len; l += MR) {
            tileTN(
              a + <usize> i * aTap + bytes(l), n1 - n0, aImg, r1 - r0, aRow, Wo, bytes(s * C), panel,
              dW + bytes((i * len + l) * Co + j * NR), bytes(Co), min(MR, len - l), cols, 0, started ? 1 : 0,
            );
          }
        }
      }
      started = true;
    }
  }
}

/** dy of a block as panels, and padded rows of each image, past whose end a tile may read. */
export function convFilterGradScratch(args: usize): usize {
  const images = int(args, ConvFilterGradArgs.imagesPerBlock), rows = int(args, ConvFilterGradArgs.rowsPerBlock);
  const pixels = images * rows * int(args, ConvFilterGradArgs.outWidth);
  const panels = (int(args, ConvFilterGradArgs.outChannels) + NR - 1) / NR;
  return bytes(panels * pixels * NR + images * paddedFloats(args, rows) + MR);
}
