/** Losses with their gradients. Sums go over fixed parts, so that threads do not change them. */
import { CHUNK, CrossEntropyArgs, CrossEntropyGradArgs, SquaredErrorArgs } from "./abi";
import { bytes, float, int, ptr } from "./args";
import { exponentials, largest } from "./row";
import { addDoubles, exp4, fma, loadN, log1, splat, splat64, storeN } from "./simd";

/** parts[task] = Σ (a−b)² over the task's {@link CHUNK} floats, in double precision. */
export function squaredError(args: usize, task: i32): void {
  const from = task * CHUNK, n = min(CHUNK, int(args, SquaredErrorArgs.length) - from);
  const a = ptr(args, SquaredErrorArgs.a) + bytes(from), b = ptr(args, SquaredErrorArgs.b) + bytes(from);
  let s0 = splat64(0), s1 = splat64(0), i = 0;
  for (; i + 16 <= n; i += 16) {
    const p = a + bytes(i), q = b + bytes(i);
    const d0 = f32x4.sub(v128.load(p), v128.load(q)), d1 = f32x4.sub(v128.load(p, 16), v128.load(q, 16));
    const d2 = f32x4.sub(v128.load(p, 32), v128.load(q, 32)), d3 = f32x4.sub(v128.load(p, 48), v128.load(q, 48));
    const squares = f32x4.add(fma(d0, d0, f32x4.mul(d1, d1)), fma(d2, d2, f32x4.mul(d3, d3)));
    s0 = addDoubles(s0, squares, false);
    s1 = addDoubles(s1, squares, true);
  }
  for (; i < n; i += 4) {
    const r = min(4, n - i), d = f32x4.sub(loadN(a + bytes(i), r), loadN(b + bytes(i), r));
    const square = f32x4.mul(d, d);
    s0 = addDoubles(s0, square, false);
    s1 = addDoubles(s1, square, true);
  }
  s0 = f64x2.add(s0, s1);
  store<f64>(
    ptr(args, SquaredErrorArgs.parts) + ((<usize> task) << 3),
    f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1),
  );
}

/** losses[r] = log Σ_c e^x[r,c] − x[r, label], and the first term by itself. Labels are of int32. */
export function crossEntropy(args: usize, task: i32): void {
  const classes = int(args, CrossEntropyArgs.classes), per = int(args, CrossEntropyArgs.rowsPerTask);
  const end = min(int(args, CrossEntropyArgs.rows), (task + 1) * per);
  for (let r = task * per; r < end; r++) {
    const x = ptr(args, CrossEntropyArgs.logits) + bytes(r * classes);
    const m = largest(x, classes);
    const log = m + log1(exponentials(x, classes, m, 0));
    const label = load<i32>(ptr(args, CrossEntropyArgs.labels) + bytes(r));
    // A label that is no class gives NaN, as loud as a kernel can be.
    const picked: f32 = <u32> label < <u32> classes ? load<f32>(x + bytes(label)) : NaN;
    store<f32>(ptr(args, CrossEntropyArgs.losses) + bytes(r), log - picked);
    store<f32>(ptr(args, CrossEntropyArgs.logSums) + bytes(r), log);
  }
}

/** dx = s·(e^(x − log-sum) − [c = label]). */
export function crossEntropyGrad(args: usize, task: i32): void {
  const classes = int(args, CrossEntropyGradArgs.classes), per = int(args, CrossEntropyGradArgs.rowsPerTask);
  const s = float(args, CrossEntropyGradArgs.scale);
  const end = min(int(args, CrossEntropyGradArgs.rows), (task + 1) * per);
  for (let r = task * per; r < end; r++) {
    const at = bytes(r * classes), x = ptr(args, CrossEntropyGradArgs.logits) + at;
    const dx = ptr(args, CrossEntropyGradArgs.dx) + at;
    const log = splat(load<f32>(ptr(args, CrossEntropyGradArgs.logSums) + bytes(r)));
    for (let j = 0; j < classes; j += 4) {
      const n = min(4, classes - j);
      storeN(dx + bytes(j), f32x4.mul(splat(s), exp4(f32x4.sub(loadN(x + bytes(j), n), log))), n);
    }
    const label = load<i32>(ptr(args, CrossEntropyGradArgs.labels) + bytes(r));
    if (<u32> label < <u32> classes) {
      store<f32>(dx + bytes(label), load<f32>(dx + bytes(label)) - s);
    }
  }
}
