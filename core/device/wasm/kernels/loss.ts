/** Losses, with their gradients. */
import { CrossEntropy, CrossEntropyGrad, MseLoss, MseLossGrad } from "../../../ops/mod.ts";
import { CHUNK, Kernel, MapOp } from "../assembly/abi.ts";
import { Float } from "../pool.ts";
import { type Context, size } from "./context.ts";
import { runMap } from "./elementwise.ts";
import { sum, sumTotals } from "./reduce.ts";
import { rowsOf } from "./softmax.ts";

/** Registers them. */
export function registerLoss(ctx: Context): void {
  const { pool } = ctx;
  ctx.kernel(MseLoss, ({ input, target }) => {
    const length = size(input.shape), tasks = Math.ceil(length / CHUNK);
    const loss = ctx.output([]);
    ctx.temporary(2 * tasks, (parts) => {
      pool.run(Kernel.squaredError, tasks, { length, a: input, b: target, parts });
      sumTotals(ctx, parts, tasks, 1, loss, length);
    });
    return { loss };
  });
  ctx.kernel(MseLossGrad, ({ input, target, dy }) => {
    const s = 2 * ctx.scalar(dy) / size(input.shape);
    return { dx: runMap(ctx, MapOp.scaledDifference, input, { b: target, s }) };
  });

  ctx.kernel(CrossEntropy, ({ logits, labels }) => {
    const { rows, columns, per, tasks } = rowsOf(logits);
    const loss = ctx.output([]), logSums = ctx.output([rows]);
    ctx.temporary(rows, (losses) => {
      pool.run(Kernel.crossEntropy, tasks, {
        logits,
        labels,
        rows,
        classes: columns,
        losses,
        logSums,
        rowsPerTask: per,
      });
      sum(ctx, losses, [1, rows, 1], loss, rows);
    });
    return { loss, logSums };
  });
  ctx.kernel(CrossEntropyGrad, ({ logits, labels, logSums, dy }) => {
    const { rows, columns, per, tasks } = rowsOf(logits);
    const dx = ctx.output(logits.shape);
    pool.run(Kernel.crossEntropyGrad, tasks, {
      logits,
      labels,
      rows,
      classes: columns,
      dx,
      logSums,
      rowsPerTask: per,
      scale: new Float(ctx.scalar(dy) / rows),
    });
    return { dx };
  });
}
