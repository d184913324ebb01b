/**
 * Counter-based random numbers: Threefry-2x32, 20 rounds (Salmon et al. 2011), so that a number depends on the key
 * and its place alone, never on threads or lane count. A counter gives two words: two uniforms, or a Box–Muller pair.
 */
import {
  CHUNK,
  EVEN_ROTATION_0,
  EVEN_ROTATION_1,
  EVEN_ROTATION_2,
  EVEN_ROTATION_3,
  ODD_ROTATION_0,
  ODD_ROTATION_1,
  ODD_ROTATION_2,
  ODD_ROTATION_3,
  RandomArgs,
  THREEFRY_PARITY,
} from "./abi";
import { bytes, int, ptr } from "./args";
import { fma, log4, splat, storeN } from "./simd";

// @ts-ignore: decorator
@inline
function rotl(x: v128, r: i32): v128 {
  return v128.or(i32x4.shl(x, r), i32x4.shr_u(x, 32 - r));
}

/** The numbers of a task; {@link CHUNK} is even, so that a task begins with a counter of its own. */
export function random(args: usize, task: i32): void {
  const from = task * CHUNK;
  const n = min(CHUNK, int(args, RandomArgs.length) - from);
  const out = ptr(args, RandomArgs.out) + bytes(from);
  const k0 = i32x4.splat(int(args, RandomArgs.key0)), k1 = i32x4.splat(int(args, RandomArgs.key1));
  const k2 = v128.xor(v128.xor(k0, k1), i32x4.splat(THREEFRY_PARITY));
  const normal = int(args, RandomArgs.normal);
  const unit = splat(<f32> 5.9604644775390625e-8);
  const start = <u64> ptr(args, RandomArgs.counterLow) | ((<u64> ptr(args, RandomArgs.counterHigh)) << 32);
  for (let i = 0; i < n; i += 8) {
    const c = start + <u64> ((from + i) >> 1);
    let x0 = i32x4(<i32> c, <i32> (c + 1), <i32> (c + 2), <i32> (c + 3));
    let x1 = i32x4(<i32> (c >> 32), <i32> ((c + 1) >> 32), <i32> ((c + 2) >> 32), <i32> ((c + 3) >> 32));
    x0 = i32x4.add(x0, k0);
    x1 = i32x4.add(x1, k1);
    for (let g = 0; g < 5; g++) {
      if (g & 1) {
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, ODD_ROTATION_0), x0);
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, ODD_ROTATION_1), x0);
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, ODD_ROTATION_2), x0);
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, ODD_ROTATION_3), x0);
      } else {
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, EVEN_ROTATION_0), x0);
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, EVEN_ROTATION_1), x0);
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, EVEN_ROTATION_2), x0);
        x0 = i32x4.add(x0, x1); x1 = v128.xor(rotl(x1, EVEN_ROTATION_3), x0);
      }
      const a = g % 3 == 0 ? k1 : g % 3 == 1 ? k2 : k0;
      const b = g % 3 == 0 ? k2 : g % 3 == 1 ? k0 : k1;
      x0 = i32x4.add(x0, a);
      x1 = i32x4.add(x1, i32x4.add(b, i32x4.splat(g + 1)));
    }
    let u = f32x4.convert_i32x4_s(i32x4.shr_u(x0, 8)), w = f32x4.convert_i32x4_s(i32x4.shr_u(x1, 8));
    w = f32x4.mul(w, unit);
    let z0: v128, z1: v128;
    if (normal) {
      // Box–Muller: r = √(−2 ln u), angle 2πw; the angle reduced to a quarter turn round the nearest multiple of π/2
      const r = f32x4.sqrt(f32x4.mul(splat(-2), log4(f32x4.mul(f32x4.add(u, splat(1)), unit))));
      const q = f32x4.nearest(f32x4.mul(w, splat(4)));
      const t = f32x4.mul(f32x4.sub(f32x4.mul(w, splat(4)), q), splat(1.5707963267948966));
      const t2 = f32x4.mul(t, t);
      let sin = splat(-1.9515295891e-4);
      sin = fma(sin, t2, splat(8.3321608736e-3));
      sin = fma(sin, t2, splat(-1.6666654611e-1));
      sin = fma(f32x4.mul(sin, t2), t, t);
      let cos = splat(2.443315711809948e-5);
      cos = fma(cos, t2, splat(-1.388731625493765e-3));
      cos = fma(cos, t2, splat(4.166664568298827e-2));
      cos = fma(f32x4.mul(cos, t2), t2, fma(t2, splat(-0.5), splat(1)));
      const k = i32x4.trunc_sat_f32x4_s(q);
      const odd = i32x4.ne(v128.and(k, i32x4.splat(1)), i32x4.splat(0));
      const flipSin = i32x4.shl(v128.and(k, i32x4.splat(2)), 30);
      const flipCos = i32x4.shl(v128.and(i32x4.add(k, i32x4.splat(1)), i32x4.splat(2)), 30);
      z0 = f32x4.mul(r, v128.xor(v128.bitselect(sin, cos, odd), flipCos));
      z1 = f32x4.mul(r, v128.xor(v128.bitselect(cos, sin, odd), flipSin));
    } else {
      z0 = f32x4.mul(u, unit);
      z1 = w;
    }
    storeN(out + bytes(i), i8x16.shuffle(z0, z1, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23), min(4, n - i));
    if (n - i > 4) {
      storeN(out + bytes(i + 4), i8x16.shuffle(z0, z1, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31), min(4, n - i - 4));
    }
  }
}
