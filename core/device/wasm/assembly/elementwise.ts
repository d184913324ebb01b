/** Kernels that work element by element. */
import {
  AddChannelsArgs,
  CHUNK,
  MapArgs,
  MapOp,
  NORMAL_SHARE_P1,
  NORMAL_SHARE_P2,
  NORMAL_SHARE_P3,
  NORMAL_SHARE_P4,
  NORMAL_SHARE_P5,
  NORMAL_SHARE_SLOPE,
} from "./abi";
import { bytes, float, int, ptr } from "./args";
import { expBelow4, fma, loadN, sigmoid4, splat, storeN } from "./simd";

/** e^(−x²/2); 0 where {@link expBelow4} ends, so that x times it is nothing for the largest x. */
// @ts-ignore: decorator
@inline
function bell4(x: v128): v128 {
  const y = f32x4.mul(f32x4.mul(x, x), splat(-0.5));
  return v128.andnot(expBelow4(y), f32x4.lt(y, splat(-87.33)));
}

/** Φ(x) from bell4(x), as {@link NORMAL_SHARE_SLOPE} has it. */
// @ts-ignore: decorator
@inline
function normalShare4(x: v128, bell: v128): v128 {
  const one = splat(1), t = f32x4.div(one, fma(f32x4.abs(x), splat(<f32>(NORMAL_SHARE_SLOPE * Math.SQRT1_2)), one));
  let p = fma(splat(<f32>NORMAL_SHARE_P5), t, splat(<f32>NORMAL_SHARE_P4));
  p = fma(p, t, splat(<f32>NORMAL_SHARE_P3));
  p = fma(p, t, splat(<f32>NORMAL_SHARE_P2));
  p = fma(p, t, splat(<f32>NORMAL_SHARE_P1));
  const tail = f32x4.mul(f32x4.mul(p, t), f32x4.mul(bell, splat(0.5)));
  return v128.bitselect(f32x4.sub(one, tail), tail, f32x4.ge(x, splat(0)));
}

/** The maps by number, on four lanes. */
// @ts-ignore: decorator
@inline
function f(op: i32, a: v128, b: v128, s: v128, t: v128): v128 {
  if (op == MapOp.silu) return f32x4.mul(a, sigmoid4(a));
  if (op == MapOp.siluGrad) {
    const e = sigmoid4(a), one = splat(1);
    return f32x4.mul(b, f32x4.mul(e, fma(a, f32x4.sub(one, e), one)));
  }
  if (op == MapOp.gelu) return f32x4.mul(a, normalShare4(a, bell4(a)));
  if (op == MapOp.geluGrad) {
    const bell = bell4(a), density = f32x4.mul(bell, splat(<f32>0.3989422804014327));
    return f32x4.mul(b, fma(a, density, normalShare4(a, bell)));
  }
  if (op == MapOp.add) return f32x4.add(a, b);
  if (op == MapOp.sub) return f32x4.sub(a, b);
  if (op == MapOp.mul) return f32x4.mul(a, b);
  if (op == MapOp.scale) return f32x4.mul(a, s);
  if (op == MapOp.scaledDifference) return f32x4.mul(f32x4.sub(a, b), s);
  if (op == MapOp.leaky) return f32x4.sub(v128.bitselect(a, f32x4.mul(a, s), f32x4.gt(a, splat(0))), t);
  if (op == MapOp.leakyGrad) return v128.bitselect(b, f32x4.mul(b, s), f32x4.gt(a, splat(0)));
  if (op == MapOp.maximum) return f32x4.max(a, b);
  if (op == MapOp.minimum) return f32x4.min(a, b);
  return f32x4.min(f32x4.max(a, s), t);
}

/** {@link f} over n floats; `op` is a constant at each call, so that its branches are gone. */
// @ts-ignore: decorator
@inline
function over(op: i32, n: i32, out: usize, a: usize, b: usize, s: v128, t: v128): void {
  const end = out + bytes(n & ~7);
  while (out < end) {
    v128.store(out, f(op, v128.load(a), v128.load(b), s, t));
    v128.store(out, f(op, v128.load(a, 16), v128.load(b, 16), s, t), 16);
    out += 32;
    a += 32;
    b += 32;
  }
  for (let left = n & 7; left > 0; left -= 4) {
    storeN(out, f(op, loadN(a, left), loadN(b, left), s, t), left);
    out += 16;
    a += 16;
    b += 16;
  }
}

/** out = f(a, b, s, t), elementwise. */
export function map(args: usize, task: i32): void {
  const from = task * CHUNK;
  const n = min(CHUNK, int(args, MapArgs.length) - from);
  const out = ptr(args, MapArgs.out) + bytes(from), a = ptr(args, MapArgs.a) + bytes(from);
  const b = ptr(args, MapArgs.b) + bytes(from);
  const s = splat(float(args, MapArgs.s)), t = splat(float(args, MapArgs.t));
  switch (int(args, MapArgs.op)) {
    case MapOp.silu: return over(MapOp.silu, n, out, a, b, s, t);
    case MapOp.siluGrad: return over(MapOp.siluGrad, n, out, a, b, s, t);
    case MapOp.gelu: return over(MapOp.gelu, n, out, a, b, s, t);
    case MapOp.geluGrad: return over(MapOp.geluGrad, n, out, a, b, s, t);
    case MapOp.add: return over(MapOp.add, n, out, a, b, s, t);
    case MapOp.sub: return over(MapOp.sub, n, out, a, b, s, t);
    case MapOp.mul: return over(MapOp.mul, n, out, a, b, s, t);
    case MapOp.scale: return over(MapOp.scale, n, out, a, b, s, t);
    case MapOp.scaledDifference: return over(MapOp.scaledDifference, n, out, a, b, s, t);
    case MapOp.leaky: return over(MapOp.leaky, n, out, a, b, s, t);
    case MapOp.leakyGrad: return over(MapOp.leakyGrad, n, out, a, b, s, t);
    case MapOp.maximum: return over(MapOp.maximum, n, out, a, b, s, t);
    case MapOp.minimum: return over(MapOp.minimum, n, out, a, b, s, t);
    case MapOp.clip: return over(MapOp.clip, n, out, a, b, s, t);
    default: unreachable();
  }
}

/** y[n,p,c] = x[n,p,c] + b[n,c]; a task is an image. */
export function addChannels(args: usize, task: i32): void {
  const P = int(args, AddChannelsArgs.pixels), C = int(args, AddChannelsArgs.channels);
  const b = ptr(args, AddChannelsArgs.b) + bytes(task * C);
  const image = bytes(task * P * C);
  let x = ptr(args, AddChannelsArgs.x) + image, y = ptr(args, AddChannelsArgs.y) + image;
  for (let p = 0; p < P; p++) {
    for (let c = 0; c < C; c += 4) {
      const n = min(4, C - c), at = bytes(c);
      storeN(y + at, f32x4.add(loadN(x + at, n), loadN(b + at, n)), n);
    }
    x += bytes(C);
    y += bytes(C);
  }
}
