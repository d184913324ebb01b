/** One Adam step (Kingma & Ba 2015, algorithm 1; decoupled decay as Loshchilov & Hutter 2019) over every parameter. */
import { ADAM_PIECE_WORDS, AdamArgs, AdamPiece } from "./abi";
import { bytes, float, int, ptr } from "./args";
import { fma, loadN, splat, storeN } from "./simd";

/** A task is one piece of the table. */
export function adam(args: usize, task: i32): void {
  const e = ptr(args, AdamArgs.table) + bytes(task * ADAM_PIECE_WORDS);
  const p = ptr(e, AdamPiece.param), g = ptr(e, AdamPiece.grad), m = ptr(e, AdamPiece.m), v = ptr(e, AdamPiece.v);
  const n = int(e, AdamPiece.length);
  const b1 = splat(float(e, AdamPiece.beta1)), c1 = splat(1 - float(e, AdamPiece.beta1));
  const b2 = splat(float(e, AdamPiece.beta2)), c2 = splat(1 - float(e, AdamPiece.beta2));
  const eps = splat(float(e, AdamPiece.eps)), bias2 = splat(float(e, AdamPiece.rootCorrection2));
  const rate = splat(-float(e, AdamPiece.rate));
  const keep = splat(1 - float(e, AdamPiece.lr) * float(e, AdamPiece.decay)), l2 = splat(float(e, AdamPiece.l2));
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
