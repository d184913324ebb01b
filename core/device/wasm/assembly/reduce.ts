/** Sums. Those over many elements are kept in double precision, by parts that do not depend on threads. */
import { SumPartsArgs, SumRowsArgs, SumTotalsArgs } from "./abi";
import { bytes, int, ptr } from "./args";
import { addDoubles, loadN, splat64, storeN } from "./simd";

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

/** Σ of n neighbours. */
function sumRun(x: usize, n: i32): f64 {
  let s0 = splat64(0), s1 = splat64(0), s2 = splat64(0), s3 = splat64(0);
  const end = x + bytes(n);
  for (const eights = x + bytes(n & ~7); x < eights; x += 32) {
    const a = v128.load(x), b = v128.load(x, 16);
    s0 = addDoubles(s0, a, false);
    s1 = addDoubles(s1, a, true);
    s2 = addDoubles(s2, b, false);
    s3 = addDoubles(s3, b, true);
  }
  s0 = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3));
  let sum = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1);
  for (; x < end; x += 4) sum += load<f32>(x);
  return sum;
}

/** The sums of n columns over rows that are `row` bytes apart: a cache line of columns at a time. */
function sumColumns(x: usize, rows: i32, row: usize, n: i32, to: usize): void {
  let c = 0;
  for (; c + 16 <= n; c += 16) {
    let s0 = splat64(0), s1 = splat64(0), s2 = splat64(0), s3 = splat64(0);
    let s4 = splat64(0), s5 = splat64(0), s6 = splat64(0), s7 = splat64(0);
    let from = x + bytes(c);
    for (let r = 0; r < rows; r++) {
      let v = v128.load(from);
      s0 = addDoubles(s0, v, false);
      s1 = addDoubles(s1, v, true);
      v = v128.load(from, 16);
      s2 = addDoubles(s2, v, false);
      s3 = addDoubles(s3, v, true);
      v = v128.load(from, 32);
      s4 = addDoubles(s4, v, false);
      s5 = addDoubles(s5, v, true);
      v = v128.load(from, 48);
      s6 = addDoubles(s6, v, false);
      s7 = addDoubles(s7, v, true);
      from += row;
    }
    const out = to + ((<usize> c) << 3);
    v128.store(out, s0, 0);
    v128.store(out, s1, 16);
    v128.store(out, s2, 32);
    v128.store(out, s3, 48);
    v128.store(out, s4, 64);
    v128.store(out, s5, 80);
    v128.store(out, s6, 96);
    v128.store(out, s7, 112);
  }
  for (; c < n; c++) {
    let sum: f64 = 0;
    let from = x + bytes(c);
    for (let r = 0; r < rows; r++) {
      sum += load<f32>(from);
      from += row;
    }
    store<f64>(to + ((<usize> c) << 3), sum);
  }
}

/**
 * parts[o, part, c] = Σ over the part's rows of x[o, row, c]. A task is a part of a chunk of columns, for some o.
 */
export function sumParts(args: usize, task: i32): void {
  const rows = int(args, SumPartsArgs.rows), columns = int(args, SumPartsArgs.columns);
  const perPart = int(args, SumPartsArgs.rowsPerPart), perTask = int(args, SumPartsArgs.outerPerTask);
  const width = int(args, SumPartsArgs.columnsPerTask);
  const partCount = (rows + perPart - 1) / perPart, chunks = (columns + width - 1) / width;
  const c0 = task % chunks * width, n = min(width, columns - c0);
  const part = task / chunks % partCount, r0 = part * perPart, count = min(perPart, rows - r0);
  const o0 = task / chunks / partCount * perTask, o1 = min(int(args, SumPartsArgs.outer), o0 + perTask);
  for (let o = o0; o < o1; o++) {
    const x = ptr(args, SumPartsArgs.x) + bytes((o * rows + r0) * columns + c0);
    const to = ptr(args, SumPartsArgs.parts) + ((<usize> ((o * partCount + part) * columns + c0)) << 3);
    if (columns == 1) store<f64>(to, sumRun(x, count));
    else sumColumns(x, count, bytes(columns), n, to);
  }
}

/** out[o, c] = Σ_part parts[o, part, c] / divisor. */
export function sumTotals(args: usize, task: i32): void {
  const partCount = int(args, SumTotalsArgs.partCount), columns = int(args, SumTotalsArgs.columns);
  const per = int(args, SumTotalsArgs.lengthPerTask);
  const divisor = <f64> int(args, SumTotalsArgs.divisor);
  const from = task * per, to = min(int(args, SumTotalsArgs.length), from + per);
  for (let i = from; i < to; i++) {
    let at = ptr(args, SumTotalsArgs.parts) + ((<usize> (i / columns * partCount * columns + i % columns)) << 3);
    let sum: f64 = 0;
    for (let p = 0; p < partCount; p++) {
      sum += load<f64>(at);
      at += (<usize> columns) << 3;
    }
    store<f32>(ptr(args, SumTotalsArgs.out) + bytes(i), <f32> (sum / divisor));
  }
}
