/** Sums over rows. */
import { SumColumnsArgs, SumRowsArgs } from "./abi";
import { bytes, int, ptr } from "./args";
import { loadN, storeN } from "./simd";

/** out[i] = Σ_r parts[r, i], in the order of r. */
export function sumRows(args: usize, task: i32): void {
  const rows = int(args, SumRowsArgs.rows), length = int(args, SumRowsArgs.length);
  const per = int(args, SumRowsArgs.lengthPerTask);
  const from = task * per, to = min(length, from + per);
  for (let i = from; i < to; i += 4) {
    const n = min(4, to - i);
    let at = ptr(args, SumRowsArgs.parts) + bytes(i);
    let s = loadN(at, n);
    for (let r = 1; r < rows; r++) {
      at += bytes(length);
      s = f32x4.add(s, loadN(at, n));
    }
    storeN(ptr(args, SumRowsArgs.out) + bytes(i), s, n);
  }
}

/** parts[task, c] = Σ over the task's rows of x[row, c]. */
export function sumColumns(args: usize, task: i32): void {
  const columns = int(args, SumColumnsArgs.columns), per = int(args, SumColumnsArgs.rowsPerTask);
  const r0 = task * per, r1 = min(int(args, SumColumnsArgs.rows), r0 + per);
  const out = ptr(args, SumColumnsArgs.parts) + bytes(task * columns);
  memory.fill(out, 0, bytes(columns));
  let x = ptr(args, SumColumnsArgs.x) + bytes(r0 * columns);
  for (let r = r0; r < r1; r++) {
    for (let c = 0; c < columns; c += 4) {
      const n = min(4, columns - c), at = bytes(c);
      storeN(out + at, f32x4.add(loadN(out + at, n), loadN(x + at, n)), n);
    }
    x += bytes(columns);
  }
}
