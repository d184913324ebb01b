/** Matrix products, batched, with either operand transposed, over packed B. */
import { bytes, int, ptr } from "./args";
import { MR, NR, packPanel, tileNN, tileTN } from "./tile";

/**
 * Packs B[batch][K,N] into panels; one task a panel.
 * args: 0 src, 1 floats between batches, 2 row step, 3 column step, 4 K, 5 N, 6 dst.
 */
export function pack(args: usize, task: i32): void {
  const K = int(args, 4), N = int(args, 5);
  const panels = (N + NR - 1) / NR;
  const b = task / panels, j = task % panels;
  const src = ptr(args, 0) + bytes(b * int(args, 1));
  const dst = ptr(args, 6) + (<usize> task) * ((<usize> K) << 5);
  packPanel(src, int(args, 2), int(args, 3), K, j * NR, N, dst);
}

/**
 * C[batch][M,N] = A·B (+ bias[N]) (+ a tensor like C); a task is a run of rows of one batch.
 * args: 0 A, 1 floats between A's batches, 2 lda, 3 transposed A?, 4 panels, 5 floats between panel batches,
 * 6 M, 7 N, 8 K, 9 C, 10 floats between C's batches, 11 ldc, 12 bias, 13 what is added, 14 rows a task.
 */
export function matmul(args: usize, task: i32, scratch: usize): void {
  const M = int(args, 6), N = int(args, 7), K = int(args, 8);
  const lda = int(args, 2), ldc = int(args, 11);
  const per = int(args, 14);
  const runs = (M + per - 1) / per;
  const b = task / runs;
  const m0 = (task % runs) * per, m1 = min(M, m0 + per);
  const a = ptr(args, 0) + bytes(b * int(args, 1));
  const c = ptr(args, 9) + bytes(b * int(args, 10));
  let panel = ptr(args, 4) + bytes(b * int(args, 5));
  const bias = ptr(args, 12), add: usize = ptr(args, 13) ? ptr(args, 13) - ptr(args, 9) : 0;
  if (int(args, 3)) {
    for (let n = 0; n < N; n += NR) {
      for (let m = m0; m < m1; m += MR) {
        tileTN(
          a + bytes(m), 1, 0, 1, 0, K, bytes(lda), panel,
          c + bytes(m * ldc + n), bytes(ldc), min(MR, m1 - m), min(NR, N - n), bias ? bias + bytes(n) : 0, add,
        );
      }
      panel += bytes(K * NR);
    }
    return;
  }
  const tiles = (m1 - m0 + MR - 1) / MR;
  const rows = scratch, outs = scratch + bytes(tiles * MR);
  for (let i = 0; i < tiles * MR; i++) {
    const m = min(m0 + i, m1 - 1);
    store<u32>(rows + bytes(i), <u32> (a + bytes(m * lda)));
    store<u32>(outs + bytes(i), <u32> (c + bytes(m * ldc)));
  }
  for (let n = 0; n < N; n += NR) {
    const column = bytes(n), b = bias ? bias + column : 0;
    for (let t = 0; t < tiles; t++) {
      const at = bytes(t * MR);
      tileNN(rows + at, outs + at, min(MR, m1 - m0 - t * MR), K, 1, 0, panel, min(NR, N - n), 0, column, b, add);
    }
    panel += bytes(K * NR);
  }
}
