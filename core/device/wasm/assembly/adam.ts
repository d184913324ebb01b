/** One Adam step (Kingma & Ba 2015, algorithm 1; decoupled decay as Loshchilov & Hutter 2019) over every parameter. */
import { bytes, float, int, ptr } from "./args";
import { fma, loadN, splat, storeN } from "./simd";

/**
 * A task is one entry of the table: 0 p, 1 gradient, 2 m, 3 v, 4 length, 5 lr, 6 β1, 7 β2, 8 eps, 9 √(1−β2ᵗ),
 * 10 lr/(1−β1ᵗ), 11 decoupled decay, 12 L2 decay. args: 0 table.
 */
export function adam(args: usize, task: i32): void {
  const e = ptr(args, 0) + bytes(task * 13);
  const p = ptr(e, 0), g = ptr(e, 1), m = ptr(e, 2), v = ptr(e, 3);
  const n = int(e, 4);
  const b1 = splat(float(e, 6)), c1 = splat(1 - float(e, 6));
  const b2 = splat(float(e, 7)), c2 = splat(1 - float(e, 7));
  const eps = splat(float(e, 8)), bias2 = splat(float(e, 9)), rate = splat(-float(e, 10));
  const keep = splat(1 - float(e, 5) * float(e, 11)), l2 = splat(float(e, 12));
  for (let i = 0; i < n; i += 4) {
    const r = min(4, n - i), at = bytes(i);
    let w = loadN(p + at, r);
    const d = fma(w, l2, loadN(g + at, r));
    const mm = fma(b1, loadN(m + at, r), f32x4.mul(c1, d));
    const vv = fma(b2, loadN(v + at, r), f32x4.mul(c2, f32x4.mul(d, d)));
    storeN(m + at, mm, r);
    storeN(v + at, vv, r);
    const q = f32x4.div(mm, f32x4.add(f32x4.div(f32x4.sqrt(vv), bias2), eps));
    w = fma(q, rate, f32x4.mul(w, keep));
    storeN(p + at, w, r);
  }
}
