/** Four-lane helpers that every kernel shares: fused multiply-add, exp, logistic, horizontal sum. */

/** a·b + c; one rounding where the engine has relaxed SIMD, two where it has not. */
// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_madd<f32>(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

// @ts-ignore: decorator
@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

// @ts-ignore: decorator
@inline
export function splat64(x: f64): v128 {
  return f64x2.splat(x);
}

/** Adds two lanes of v, the first or the last, to two sums in double precision. */
// @ts-ignore: decorator
@inline
export function addDoubles(sums: v128, v: v128, last: bool): v128 {
  if (last) v = i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  return f64x2.add(sums, f64x2.promote_low_f32x4(v));
}

/**
 * What deviations are multiplied by before they are squared and summed, so that those of 10¹⁸ do not overflow: a power of
 * two, which changes no bit of a result.
 */
export const SMALLER: f32 = 1.0 / 256;

/** Sum of the four lanes, in a fixed order. */
// @ts-ignore: decorator
@inline
export function hsum(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** Largest of the four lanes. */
// @ts-ignore: decorator
@inline
export function hmax(v: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max<f32>(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/**
 * Four times x, from memory. V8 builds a constant vector anew at each use, in four instructions; a global that the
 * optimiser cannot see through is one load.
 */
export function held(x: f32): v128 {
  return f32x4.splat(memory.size() ? x : 0);
}

const ONE: v128 = held(1);
const LOW: v128 = held(-87.33), HIGH: v128 = held(88.02), LOG2_E: v128 = held(1.44269504);
const P5: v128 = held(0.001326472731307149), P4: v128 = held(0.009671512991189957);
const P3: v128 = held(0.05550733581185341);
const P2: v128 = held(0.24022242426872253), P1: v128 = held(0.6931470036506653);
/** 1.5·2²³: added to a small float, it rounds it to an integer, which then stands in the low bits. */
const ROUND: v128 = held(12582912);
const BIAS: v128 = memory.size() ? i32x4.splat(127) : i32x4.splat(0);

/**
 * e^x: x·log2(e) = n + f, 2^f by a minimax polynomial of degree 5, times 2^n. Relative error under 2e-7 near 0 and
 * under 2e-6 at the ends of [-87, 88], where it stays; NaN stays NaN.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  return expBelow4(f32x4.pmin(x, HIGH));
}

/** {@link exp4} for x up to 88. */
// @ts-ignore: decorator
@inline
export function expBelow4(x: v128): v128 {
  // pmin and pmax are one instruction each, and keep a first operand that is NaN.
  const c = f32x4.pmax(x, LOW);
  const shifted = fma(c, LOG2_E, ROUND);
  const f = fma(c, LOG2_E, f32x4.sub(ROUND, shifted));
  let p = fma(fma(fma(P5, f, P4), f, P3), f, P2);
  p = fma(fma(p, f, P1), f, ONE);
  return f32x4.mul(p, i32x4.shl(i32x4.add(shifted, BIAS), 23));
}

/** ln u for normal u > 0: u = m·2^e with m in [√½, √2), a polynomial in m−1 (Cephes logf). */
// @ts-ignore: decorator
@inline
export function log4(u: v128): v128 {
  let e = i32x4.sub(i32x4.shr_u(u, 23), i32x4.splat(126));
  let m = v128.or(v128.and(u, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000));
  const low = f32x4.lt(m, splat(0.707106781186547524));
  e = i32x4.add(e, low);
  m = f32x4.sub(f32x4.add(m, v128.and(m, low)), splat(1));
  const z = f32x4.mul(m, m);
  let y = splat(7.0376836292e-2);
  y = fma(y, m, splat(-1.1514610310e-1));
  y = fma(y, m, splat(1.1676998740e-1));
  y = fma(y, m, splat(-1.2420140846e-1));
  y = fma(y, m, splat(1.4249322787e-1));
  y = fma(y, m, splat(-1.6668057665e-1));
  y = fma(y, m, splat(2.0000714765e-1));
  y = fma(y, m, splat(-2.4999993993e-1));
  y = fma(y, m, splat(3.3333331174e-1));
  y = f32x4.mul(f32x4.mul(y, m), z);
  const f = f32x4.convert_i32x4_s(e);
  y = fma(f, splat(-2.12194440e-4), y);
  y = fma(z, splat(-0.5), y);
  return fma(f, splat(0.693359375), f32x4.add(m, y));
}

/** ln of one number, with the arithmetic of {@link log4}; NaN and infinity stay. */
// @ts-ignore: decorator
@inline
export function log1(x: f32): f32 {
  return x < Infinity ? f32x4.extract_lane(log4(splat(x)), 0) : x;
}

/** 1/(1+e^-x); 0 where {@link exp4} ends, so that x times it is nothing for the lowest x. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const y = f32x4.neg(x);
  return v128.andnot(f32x4.div(ONE, f32x4.add(ONE, exp4(y))), f32x4.gt(y, HIGH));
}

/** e^x of one number, with the arithmetic of {@link exp4}. */
// @ts-ignore: decorator
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(splat(x)), 0);
}

/** Loads n (1 to 4) floats at p, zeros in the other lanes. */
// @ts-ignore: decorator
@inline
export function loadN(p: usize, n: i32): v128 {
  if (n >= 4) return v128.load(p);
  let v = v128.load32_zero(p);
  if (n > 1) v = f32x4.replace_lane(v, 1, load<f32>(p, 4));
  if (n > 2) v = f32x4.replace_lane(v, 2, load<f32>(p, 8));
  return v;
}

/** Stores the first n (1 to 4) lanes at p. */
// @ts-ignore: decorator
@inline
export function storeN(p: usize, v: v128, n: i32): void {
  if (n >= 4) {
    v128.store(p, v);
    return;
  }
  store<f32>(p, f32x4.extract_lane(v, 0));
  if (n > 1) store<f32>(p, f32x4.extract_lane(v, 1), 4);
  if (n > 2) store<f32>(p, f32x4.extract_lane(v, 2), 8);
}
