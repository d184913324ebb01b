/**
 * Convolutions of small images, where many of the filter's taps would fall on the padding: pixel by pixel, over many
 * images at a time, by those taps alone that fall on the image.
 */
import { ConvArgs, ConvSmallFilterGradArgs, MR, NR, STRIPS } from "./abi";
import { bytes, int, ptr } from "./args";
import { packPanel, tileNN, tileTN } from "./tile";

/** out as {@link conv} has it; a task is a run of images. */
export function convSmall(args: usize, task: i32, scratch: usize): void {
  const N = int(args, ConvArgs.images), H = int(args, ConvArgs.height), W = int(args, ConvArgs.width);
  const C = int(args, ConvArgs.channels);
  const kh = int(args, ConvArgs.kernelHeight), kw = int(args, ConvArgs.kernelWidth), s = int(args, ConvArgs.stride);
  const y0 = int(args, ConvArgs.startRow), x0 = int(args, ConvArgs.startColumn);
  const Ho = int(args, ConvArgs.outHeight), Wo = int(args, ConvArgs.outWidth), Co = int(args, ConvArgs.outChannels);
  const per = int(args, ConvArgs.imagesPerTask);
  const n0 = task * per, images = min(N, n0 + per) - n0;
  const tiles = (images + MR - 1) / MR, table = bytes(tiles * MR);
  const rows = scratch, outs = rows + table;
  for (let i = 0; i < tiles * MR; i++) {
    const n = n0 + min(i, images - 1);
    store<u32>(rows + bytes(i), <u32> (ptr(args, ConvArgs.input) + bytes(n * H * W * C)));
    store<u32>(outs + bytes(i), <u32> (ptr(args, ConvArgs.out) + bytes(n * int(args, ConvArgs.imageStep))));
  }
  const bias = ptr(args, ConvArgs.bias);
  const add: usize = ptr(args, ConvArgs.add) ? ptr(args, ConvArgs.add) - ptr(args, ConvArgs.out) : 0;
  let panel = ptr(args, ConvArgs.panels);
  for (let j = 0; j < Co; j += NR) {
    const column = bytes(j), b = bias ? bias + column : 0;
    for (let y = 0; y < Ho; y++) {
      const top = y * s + y0, ky = max(0, -top), high = min(kh, H - top) - ky;
      for (let x = 0; x < Wo; x++) {
        const left = x * s + x0, kx = max(0, -left), wide = min(kw, W - left) - kx;
        const from = bytes(((top + ky) * W + left + kx) * C);
        const to = bytes(y * int(args, ConvArgs.rowStep) + x * int(args, ConvArgs.columnStep)) + column;
        const taps = panel + bytes((ky * kw + kx) * C * NR);
        for (let t = 0; t < tiles; t++) {
          const at = bytes(t * MR);
          tileNN(
            rows + at, outs + at, min(MR, images - t * MR), wide * C, wide > 0 ? high : 0, bytes(W * C), taps,
            min(NR, Co - j), from, to, b, add, bytes((kw - wide) * C * NR),
          );
        }
      }
    }
    panel += bytes(kh * kw * C * NR);
  }
}

/** Two tables of images. */
export function convSmallScratch(args: usize): usize {
  return bytes(2 * (int(args, ConvArgs.imagesPerTask) + MR));
}

/** The first output of an axis whose tap, `offset` inputs from the output's place, does not fall before the image. */
// @ts-ignore: decorator
@inline
function firstOn(offset: i32, s: i32): i32 {
  return max(0, (s - 1 - offset) / s);
}

/**
 * Packs eight channels (as many as there are) of images × rows × columns of pixels, whose steps are in bytes. Rows are
 * often of one or two pixels, too short for a call of {@link packPanel} each.
 */
function packPixels(
  from: usize, images: i32, image: usize, rows: i32, row: usize, columns: i32, column: usize, channels: i32, to: usize,
): void {
  for (let n = 0; n < images; n++) {
    let line = from;
    for (let y = 0; y < rows; y++) {
      if (channels < NR) {
        packPanel(line, <i32> (column >> 2), 1, columns, 0, channels, to);
        to += bytes(columns * NR);
      } else {
        let pixel = line;
        for (let x = 0; x < columns; x++) {
          v128.store(to, v128.load(pixel));
          v128.store(to, v128.load(pixel, 16), 16);
          pixel += column;
          to += bytes(NR);
        }
      }
      line += row;
    }
    from += image;
  }
}

/**
 * dW[i,j,c,:] = Σ_p in[p·s+(i,j), c] · dy[p,:] over the pixels p whose input is on the image; a task is a tap and
 * {@link STRIPS} of its channels.
 */
export function convSmallFilterGrad(args: usize, task: i32, scratch: usize): void {
  const N = int(args, ConvSmallFilterGradArgs.images), H = int(args, ConvSmallFilterGradArgs.height);
  const W = int(args, ConvSmallFilterGradArgs.width), C = int(args, ConvSmallFilterGradArgs.channels);
  const kw = int(args, ConvSmallFilterGradArgs.kernelWidth), s = int(args, ConvSmallFilterGradArgs.stride);
  const Ho = int(args, ConvSmallFilterGradArgs.outHeight), Wo = int(args, ConvSmallFilterGradArgs.outWidth);
  const Co = int(args, ConvSmallFilterGradArgs.outChannels);
  const runs = (C + STRIPS - 1) / STRIPS, tap = task / runs;
  const c0 = (task % runs) * STRIPS, c1 = min(C, c0 + STRIPS);
  const top = tap / kw + int(args, ConvSmallFilterGradArgs.startRow);
  const left = tap % kw + int(args, ConvSmallFilterGradArgs.startColumn);
  const ya = firstOn(top, s), yb = min(Ho, (H - 1 - top + s) / s);
  const xa = firstOn(left, s), xb = min(Wo, (W - 1 - left + s) / s), wide = xb - xa;
  const dW = ptr(args, ConvSmallFilterGradArgs.dw) + bytes(tap * C * Co);
  if (yb <= ya || wide <= 0) {
    memory.fill(dW + bytes(c0 * Co), 0, bytes((c1 - c0) * Co));
    return;
  }
  const per = max(1, int(args, ConvSmallFilterGradArgs.pixelsPerBlock) / ((yb - ya) * wide));
  const strip = scratch, packed = strip + bytes(per * (yb - ya) * wide * NR);
  for (let n0 = 0; n0 < N; n0 += per) {
    const images = min(N - n0, per), pixels = images * (yb - ya) * wide;
    const x = ptr(args, ConvSmallFilterGradArgs.input) + bytes(((n0 * H + ya * s + top) * W + xa * s + left) * C);
    const dy = ptr(args, ConvSmallFilterGradArgs.dy) + bytes(((n0 * Ho + ya) * Wo + xa) * Co);
    for (let j = 0; j < Co; j += NR) {
      packPixels(
        dy + bytes(j), images, bytes(Ho * Wo * Co), yb - ya, bytes(Wo * Co), wide, bytes(Co), Co - j,
        packed + bytes(j * pixels),
      );
    }
    for (let c = c0; c < c1; c += MR) {
      packPixels(x + bytes(c), images, bytes(H * W * C), yb - ya, bytes(s * W * C), wide, bytes(s * C), C - c, strip);
      let panel = packed;
      for (let j = 0; j < Co; j += NR) {
        tileTN(
          strip, 1, 0, 1, 0, pixels, bytes(NR), panel, dW + bytes(c * Co + j), bytes(Co), min(MR, c1 - c), min(NR, Co - j), 0,
          n0 > 0 ? 1 : 0,
        );
        panel += bytes(pixels * NR);
      }
    }
  }
}

/** A strip of inputs, and dy as panels, of as many pixels as a block has. */
export function convSmallFilterGradScratch(args: usize): usize {
  const image = int(args, ConvSmallFilterGradArgs.outHeight) * int(args, ConvSmallFilterGradArgs.outWidth);
  const pixels = max(image, int(args, ConvSmallFilterGradArgs.pixelsPerBlock));
  const panels = (int(args, ConvSmallFilterGradArgs.outChannels) + NR - 1) / NR;
  return bytes(pixels * NR * (1 + panels));
}
