/** Images made larger and smaller by a whole factor. */
import { AveragePoolArgs, AveragePoolGradArgs, UpsampleArgs, UpsampleGradArgs } from "./abi";
import { bytes, int, ptr } from "./args";
import { loadN, splat, storeN } from "./simd";

/** Nearest-neighbour upsampling by f; a task is a row of the input. */
export function upsample(args: usize, task: i32): void {
  const W = int(args, UpsampleArgs.width), C = int(args, UpsampleArgs.channels), f = int(args, UpsampleArgs.factor);
  let x = ptr(args, UpsampleArgs.x) + bytes(task * W * C);
  const row = bytes(W * f * C);
  const y = ptr(args, UpsampleArgs.y) + <usize> (task * f) * row;
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

/** The gradient of {@link upsample}: sums each f×f block; a task is a row of dx. */
export function upsampleGrad(args: usize, task: i32): void {
  const W = int(args, UpsampleGradArgs.width), C = int(args, UpsampleGradArgs.channels);
  const f = int(args, UpsampleGradArgs.factor);
  const row = bytes(W * f * C);
  const dy = ptr(args, UpsampleGradArgs.dy) + <usize> (task * f) * row;
  const dx = ptr(args, UpsampleGradArgs.dx) + bytes(task * W * C);
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

/** Means of f×f blocks, those at the end over what is left; a task is a row of the output. */
export function averagePool(args: usize, task: i32): void {
  const H = int(args, AveragePoolArgs.height), W = int(args, AveragePoolArgs.width);
  const C = int(args, AveragePoolArgs.channels), f = int(args, AveragePoolArgs.factor);
  const Ho = (H + f - 1) / f, Wo = (W + f - 1) / f;
  const y0 = (task % Ho) * f, rows = min(f, H - y0);
  const x = ptr(args, AveragePoolArgs.x) + bytes((task / Ho * H + y0) * W * C);
  let o = ptr(args, AveragePoolArgs.y) + bytes(task * Wo * C);
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

/** The gradient of {@link averagePool}; a task is a row of dy. */
export function averagePoolGrad(args: usize, task: i32): void {
  const H = int(args, AveragePoolGradArgs.height), W = int(args, AveragePoolGradArgs.width);
  const C = int(args, AveragePoolGradArgs.channels), f = int(args, AveragePoolGradArgs.factor);
  const Ho = (H + f - 1) / f, Wo = (W + f - 1) / f;
  const y0 = (task % Ho) * f, rows = min(f, H - y0);
  const dx = ptr(args, AveragePoolGradArgs.dx) + bytes((task / Ho * H + y0) * W * C);
  let g = ptr(args, AveragePoolGradArgs.dy) + bytes(task * Wo * C);
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
