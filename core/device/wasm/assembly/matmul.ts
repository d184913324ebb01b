/** Matrix products, batched, with either operand transposed, over packed B. */
import { MatMulArgs, MR, NR, PackArgs } from "./abi";
import { bytes, int, ptr } from "./args";
import { packPanel, tileNN, tileTN } from "./tile";

/** Packs B[batch][K,N] into panels; one task a panel. */
export function pack(args: usize, task: i32): void {
  const K = int(args, PackArgs.k), N = int(args, PackArgs.n);
  const panels = (N + NR - 1) / NR;
  const b = task / panels, j = task % panels;
  const src = ptr(args, PackArgs.matrix) + bytes(b * int(args, PackArgs.batchStep));
  const dst = ptr(args, PackArgs.panels) + (<usize> task) * ((<usize> K) << 5);
  packPanel(src, int(args, PackArgs.rowStep), int(args, PackArgs.columnStep), K, j * NR, N, dst);
}

/** C[batch][M,N] = A·B (+ bias[N]) (+ a tensor like C); a task is a run of rows of one batch. */
export function matmul(args: usize, task: i32, scratch: usize): void {
  const M = int(args, MatMulArgs.m), N = int(args, MatMulArgs.n), K = int(args, MatMulArgs.k);
  const lda = int(args, MatMulArgs.aRowStep), ldc = int(args, MatMulArgs.outRowStep);
  const per = int(args, MatMulArgs.rowsPerTask);
  const runs = (M + per - 1) / per;
  const b = task / runs;
  const m0 = (task % runs) * per, m1 = min(M, m0 + per);
  const a = ptr(args, MatMulArgs.a) + bytes(b * int(args, MatMulArgs.aBatchStep));
  const c = ptr(args, MatMulArgs.out) + bytes(b * int(args, MatMulArgs.outBatchStep));
  let panel = ptr(args, MatMulArgs.panels) + bytes(b * int(args, MatMulArgs.panelBatchStep));
  const bias = ptr(args, MatMulArgs.bias);
  const add: usize = ptr(args, MatMulArgs.add) ? ptr(args, MatMulArgs.add) - ptr(args, MatMulArgs.out) : 0;
  if (int(args, MatMulArgs.transposeA)) {
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

/** Two tables of rows, unless A is transposed. */
export function matmulScratch(args: usize): usize {
  return bytes(2 * (int(args, MatMulArgs.rowsPerTask) + MR));
}
