/** Joining and splitting tensors. */
import { CopyColumnsArgs } from "./abi";
import { bytes, int, ptr } from "./args";

/** Copies `width` floats of each row. */
export function copyColumns(args: usize, task: i32): void {
  const fromRow = bytes(int(args, CopyColumnsArgs.fromStep)), toRow = bytes(int(args, CopyColumnsArgs.toStep));
  const width = int(args, CopyColumnsArgs.width), per = int(args, CopyColumnsArgs.rowsPerTask);
  const r0 = task * per, r1 = min(int(args, CopyColumnsArgs.rows), r0 + per);
  let a = ptr(args, CopyColumnsArgs.from) + <usize> r0 * fromRow;
  let b = ptr(args, CopyColumnsArgs.to) + <usize> r0 * toRow;
  const quads = width & ~3;
  for (let r = r0; r < r1; r++) {
    for (let i = 0; i < quads; i += 4) v128.store(b + bytes(i), v128.load(a + bytes(i)));
    for (let i = quads; i < width; i++) store<f32>(b + bytes(i), load<f32>(a + bytes(i)));
    a += fromRow;
    b += toRow;
  }
}
