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
const LN2_HIGH: v128 = held(-0.693359375), LN2_LOW: v128 = held(2.12194440e-4);
const P6: v128 = held(1.9875691500e-4), P5: v128 = held(1.3981999507e-3), P4: v128 = held(8.3334519073e-3);
const P3: v128 = held(4.1665795894e-2), P2: v128 = held(1.6666665459e-1), P1: v128 = held(5.0000001201e-1);
/** 1.5·2²³: added to a small float, it rounds it to an integer, which then stands in the low bits. */
const ROUND: v128 = held(12582912);
const BIAS: v128 = memory.size() ? i32x4.splat(127) : i32x4.splat(0);

/** e^x: x = n·ln2 + r, a degree-6 polynomial in r, times 2^n. Relative error under 2e-7 on [-87, 88]; NaN stays NaN. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax are one instruction each, and keep a first operand that is NaN.
  const c = f32x4.pmin(f32x4.pmax(x, LOW), HIGH);
  const shifted = fma(c, LOG2_E, ROUND);
  const n = f32x4.sub(shifted, ROUND);
  const r = fma(n, LN2_LOW, fma(n, LN2_HIGH, c));
  let p = fma(fma(P6, r, P5), r, P4);
  p = fma(fma(fma(p, r, P3), r, P2), r, P1);
  p = fma(p, f32x4.mul(r, r), f32x4.add(r, ONE));
  return f32x4.mul(p, i32x4.shl(i32x4.add(shifted, BIAS), 23));
}

/** 1/(1+e^-x). */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(ONE, f32x4.add(ONE, exp4(f32x4.neg(x))));
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
