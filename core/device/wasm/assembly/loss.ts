/** Softmax by rows, and losses with their gradients. Sums go over fixed parts, so that threads do not change them. */
import { bytes, float, int, ptr } from "./args";
import { CHUNK } from "./elementwise";
import { exponentials, largest } from "./row";
import { exp4, fma, hsum, loadN, log1, splat, storeN } from "./simd";

/** y = x·f + g over n floats. */
function scaleShift(x: usize, n: i32, f: f32, g: f32, y: usize): void {
  for (let j = 0; j < n; j += 4) {
    const r = min(4, n - j);
    storeN(y + bytes(j), fma(loadN(x + bytes(j), r), splat(f), splat(g)), r);
  }
}

/**
 * Softmax of rows, its logarithm, or their gradients from the output y:
 * y∘(dy − Σ y∘dy), and dy − e^y·Σ dy.
 * args: 0 which (0 softmax, 1 log, 2 gradient, 3 gradient of the log), 1 x or y, 2 rows, 3 columns, 4 out, 5 rows a task, 6 dy.
 */
export function softmax(args: usize, task: i32): void {
  const which = int(args, 0), columns = int(args, 3), per = int(args, 5);
  const end = min(int(args, 2), (task + 1) * per);
  for (let r = task * per; r < end; r++) {
    const at = bytes(r * columns), x = ptr(args, 1) + at, out = ptr(args, 4) + at, dy = ptr(args, 6) + at;
    if (which < 2) {
      const m = largest(x, columns), sum = exponentials(x, columns, m, which == 0 ? out : 0);
      if (which == 0) scaleShift(out, columns, 1 / sum, 0, out);
      else scaleShift(x, columns, 1, -(m + log1(sum)), out);
      continue;
    }
    let s = splat(0);
    for (let j = 0; j < columns; j += 4) {
      const n = min(4, columns - j), d = loadN(dy + bytes(j), n);
      s = which == 2 ? fma(loadN(x + bytes(j), n), d, s) : f32x4.add(s, d);
    }
    const sum = splat(hsum(s));
    for (let j = 0; j < columns; j += 4) {
      const n = min(4, columns - j), y = loadN(x + bytes(j), n), d = loadN(dy + bytes(j), n);
      const g = which == 2 ? f32x4.mul(y, f32x4.sub(d, sum)) : f32x4.sub(d, f32x4.mul(exp4(y), sum));
      storeN(out + bytes(j), g, n);
    }
  }
}

/** parts[task] = Σ (a−b)² over the task's {@link CHUNK} floats. args: 0 length, 1 a, 2 b, 3 parts. */
export function squaredError(args: usize, task: i32): void {
  const from = task * CHUNK, n = min(CHUNK, int(args, 0) - from);
  const a = ptr(args, 1) + bytes(from), b = ptr(args, 2) + bytes(from);
  let s0 = splat(0), s1 = splat(0);
  let i = 0;
  for (; i + 8 <= n; i += 8) {
    const d0 = f32x4.sub(v128.load(a + bytes(i)), v128.load(b + bytes(i)));
    const d1 = f32x4.sub(v128.load(a + bytes(i), 16), v128.load(b + bytes(i), 16));
    s0 = fma(d0, d0, s0);
    s1 = fma(d1, d1, s1);
  }
  for (; i < n; i += 4) {
    const r = min(4, n - i), d = f32x4.sub(loadN(a + bytes(i), r), loadN(b + bytes(i), r));
    s0 = fma(d, d, s0);
  }
  store<f32>(ptr(args, 3) + bytes(task), hsum(f32x4.add(s0, s1)));
}

/**
 * losses[r] = log Σ_c e^x[r,c] − x[r, label], and the first term by itself.
 * args: 0 logits, 1 labels (int32), 2 rows, 3 classes, 4 losses, 5 log-sums, 6 rows a task.
 */
export function crossEntropy(args: usize, task: i32): void {
  const classes = int(args, 3), per = int(args, 6);
  const end = min(int(args, 2), (task + 1) * per);
  for (let r = task * per; r < end; r++) {
    const x = ptr(args, 0) + bytes(r * classes);
    const m = largest(x, classes);
    const log = m + log1(exponentials(x, classes, m, 0));
    const label = load<i32>(ptr(args, 1) + bytes(r));
    // A label that is no class gives NaN, as loud as a kernel can be.
    const picked: f32 = <u32> label < <u32> classes ? load<f32>(x + bytes(label)) : NaN;
    store<f32>(ptr(args, 4) + bytes(r), log - picked);
    store<f32>(ptr(args, 5) + bytes(r), log);
  }
}

/**
 * dx = s·(e^(x − log-sum) − [c = label]).
 * args: 0 logits, 1 labels, 2 rows, 3 classes, 4 dx, 5 log-sums, 6 rows a task, 7 s.
 */
export function crossEntropyGrad(args: usize, task: i32): void {
  const classes = int(args, 3), per = int(args, 6);
  const s = float(args, 7);
  const end = min(int(args, 2), (task + 1) * per);
  for (let r = task * per; r < end; r++) {
    const at = bytes(r * classes), x = ptr(args, 0) + at, dx = ptr(args, 4) + at;
    const log = splat(load<f32>(ptr(args, 5) + bytes(r)));
    for (let j = 0; j < classes; j += 4) {
      const n = min(4, classes - j);
      storeN(dx + bytes(j), f32x4.mul(splat(s), exp4(f32x4.sub(loadN(x + bytes(j), n), log))), n);
    }
    const label = load<i32>(ptr(args, 1) + bytes(r));
    if (<u32> label < <u32> classes) {
      store<f32>(dx + bytes(label), load<f32>(dx + bytes(label)) - s);
    }
  }
}
