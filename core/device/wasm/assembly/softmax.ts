/** Softmax by rows. */
import { SoftmaxArgs, SoftmaxKind } from "./abi";
import { bytes, int, ptr } from "./args";
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
 */
export function softmax(args: usize, task: i32): void {
  const kind = int(args, SoftmaxArgs.kind), columns = int(args, SoftmaxArgs.columns);
  const per = int(args, SoftmaxArgs.rowsPerTask);
  const end = min(int(args, SoftmaxArgs.rows), (task + 1) * per);
  for (let r = task * per; r < end; r++) {
    const at = bytes(r * columns), x = ptr(args, SoftmaxArgs.x) + at, out = ptr(args, SoftmaxArgs.out) + at;
    const dy = ptr(args, SoftmaxArgs.dy) + at;
    if (kind < SoftmaxKind.softmaxGrad) {
      const m = largest(x, columns), sum = exponentials(x, columns, m, kind == SoftmaxKind.softmax ? out : 0);
      if (kind == SoftmaxKind.softmax) scaleShift(out, columns, 1 / sum, 0, out);
      else scaleShift(x, columns, 1, -(m + log1(sum)), out);
      continue;
    }
    let s = splat(0);
    for (let j = 0; j < columns; j += 4) {
      const n = min(4, columns - j), d = loadN(dy + bytes(j), n);
      s = kind == SoftmaxKind.softmaxGrad ? fma(loadN(x + bytes(j), n), d, s) : f32x4.add(s, d);
    }
    const sum = splat(hsum(s));
    for (let j = 0; j < columns; j += 4) {
      const n = min(4, columns - j), y = loadN(x + bytes(j), n), d = loadN(dy + bytes(j), n);
      const g = kind == SoftmaxKind.softmaxGrad ? f32x4.mul(y, f32x4.sub(d, sum)) : f32x4.sub(d, f32x4.mul(exp4(y), sum));
      storeN(out + bytes(j), g, n);
    }
  }
}
