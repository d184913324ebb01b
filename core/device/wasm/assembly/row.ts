/** What softmax needs of a row of floats. */
import { bytes } from "./args";
import { exp1, expBelow4, hmax, hsum, splat } from "./simd";

/** The largest of n floats. */
export function largest(row: usize, n: i32): f32 {
  const eights = row + bytes(n & ~7), end = row + bytes(n);
  let m: f32 = load<f32>(row), p = row;
  if (p < eights) {
    let m0 = v128.load(p), m1 = v128.load(p, 16);
    for (p += 32; p < eights; p += 32) {
      m0 = f32x4.pmax(m0, v128.load(p));
      m1 = f32x4.pmax(m1, v128.load(p, 16));
    }
    m = hmax(f32x4.pmax(m0, m1));
  }
  for (; p < end; p += 4) m = max(m, load<f32>(p));
  return m;
}

/** Σ e^(x−m) over n floats, none above m; each also stored at y unless y is 0. */
export function exponentials(x: usize, n: i32, m: f32, y: usize): f32 {
  const eights = x + bytes(n & ~7), end = x + bytes(n), mv = splat(m), to = y - x;
  let s0 = splat(0), s1 = splat(0), p = x;
  for (; p < eights; p += 32) {
    const e0 = expBelow4(f32x4.sub(v128.load(p), mv)), e1 = expBelow4(f32x4.sub(v128.load(p, 16), mv));
    s0 = f32x4.add(s0, e0);
    s1 = f32x4.add(s1, e1);
    if (y) {
      v128.store(p + to, e0);
      v128.store(p + to, e1, 16);
    }
  }
  let sum = hsum(f32x4.add(s0, s1));
  for (; p < end; p += 4) {
    const e = exp1(load<f32>(p) - m);
    sum += e;
    if (y) store<f32>(p + to, e);
  }
  return sum;
}
