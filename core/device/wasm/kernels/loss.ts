/** Losses, with their gradients. */
import { CrossEntropy, CrossEntropyGrad, MseLoss, MseLossGrad, registerKernel } from "../../../ops/mod.ts";
import {
  CHUNK,
  CrossEntropyArgs,
  CrossEntropyGradArgs,
  Kernel,
  MapOp,
  SquaredErrorArgs,
} from "../assembly/abi.ts";
import { Float } from "../pool.ts";
import { type Context, size } from "./context.ts";
import { runMap } from "./elementwise.ts";
import { sumRows } from "./reduce.ts";
import { rowsOf } from "./softmax.ts";

/** Registers them. */
export function registerLoss(ctx: Context): void {
  const { pool } = ctx;
  registerKernel("wasm", MseLoss, ({ input, target }) => {
    const length = size(input.shape), tasks = Math.ceil(length / CHUNK);
    const loss = ctx.output([]);
    ctx.temporary(tasks, (parts) => {
      pool.run(Kernel.squaredError, tasks, SquaredErrorArgs, { length, a: input, b: target, parts });
      sumRows(ctx, parts, tasks, 1, loss);
    });
    return { loss: runMap(ctx, MapOp.scale, loss, { s: 1 / length }, loss) };
  });
  registerKernel("wasm", MseLossGrad, ({ input, target, dy }) => {
    const s = 2 * ctx.scalar(dy) / size(input.shape);
    return { dx: runMap(ctx, MapOp.scaledDifference, input, { b: target, s }) };
  });

  registerKernel("wasm", CrossEntropy, ({ logits, labels }) => {
    const { rows, columns, per, tasks } = rowsOf(logits);
    const loss = ctx.output([]), logSums = ctx.output([rows]);
    ctx.temporary(rows, (losses) => {
      pool.run(Kernel.crossEntropy, tasks, CrossEntropyArgs, {
        logits,
        labels,
        rows,
        classes: columns,
        losses,
        logSums,
        rowsPerTask: per,
      });
      sumRows(ctx, losses, rows, 1, loss);
    });
    return { loss: runMap(ctx, MapOp.scale, loss, { s: 1 / rows }, loss), logSums };
  });
  registerKernel("wasm", CrossEntropyGrad, ({ logits, labels, logSums, dy }) => {
    const { rows, columns, per, tasks } = rowsOf(logits);
    const dx = ctx.output(logits.shape);
    pool.run(Kernel.crossEntropyGrad, tasks, CrossEntropyGradArgs, {
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
