/** Softmax and losses, with their gradients. */
import type { TensorInfo } from "../../../tf.ts";
import { Float, Kernel } from "../pool.ts";
import { CHUNK, type Context, share, size } from "./context.ts";
import { sumRows } from "./conv.ts";
import { MapOp, runMap } from "./fused.ts";

/** What the module's `softmax` switches on. */
const Which = { Softmax: 0, LogSoftmax: 1, SoftmaxGrad: 2, LogSoftmaxGrad: 3 } as const;

/** Registers them. */
export function registerLoss(ctx: Context): void {
  const { pool } = ctx;
  const rowsOf = (x: TensorInfo) => {
    const columns = x.shape.at(-1) ?? 1, rows = size(x.shape) / columns;
    return { rows, columns, ...share(rows, Math.max(1, Math.ceil(2048 / columns))) };
  };
  const softmax = (which: number, x: TensorInfo, dy?: TensorInfo) => {
    const out = ctx.output(x.shape);
    const { rows, columns, per, tasks } = rowsOf(x);
    pool.run(Kernel.softmax, tasks, [
      ...[which, ctx.at(x), rows, columns, ctx.at(out), per, dy ? ctx.at(dy) : 0],
    ]);
    return out;
  };
  for (const [name, axis] of [["Softmax", "dim"], ["LogSoftmax", "axis"]] as const) {
    ctx.register(name, (original) => (inputs, attrs) => {
      const { logits } = inputs, along = attrs[axis];
      const last = along === -1 || along === logits.shape.length - 1;
      if (!last || logits.dtype !== "float32" || size(logits.shape) === 0) return original!(inputs, attrs);
      return softmax(Which[name], logits);
    });
    ctx.register(`${name}Grad`, () => ({ y, dy }) => softmax(Which[`${name}Grad`], y, dy));
  }

  /** A number in memory. */
  const scalar = (t: TensorInfo): number => new Float32Array(pool.memory.buffer)[ctx.at(t) >> 2];

  ctx.register("MseLoss", () => ({ input, target }) => {
    const n = size(input.shape), tasks = Math.ceil(n / CHUNK);
    const out = ctx.output([]);
    ctx.temporary(tasks, (parts) => {
      pool.run(Kernel.squaredError, tasks, [n, ctx.at(input), ctx.at(target), parts]);
      sumRows(ctx, parts, tasks, 1, ctx.at(out));
    });
    runMap(ctx, MapOp.scale, 1, ctx.at(out), ctx.at(out), undefined, 1 / n);
    return out;
  });
  ctx.register("MseLossGrad", () => ({ input, target, dy }) => {
    const n = size(input.shape);
    const out = ctx.output(input.shape);
    runMap(ctx, MapOp.scaledDifference, n, ctx.at(out), ctx.at(input), ctx.at(target), 2 * scalar(dy) / n);
    return out;
  });

  ctx.register("CrossEntropy", () => ({ logits, labels }) => {
    const { rows, columns, per, tasks } = rowsOf(logits);
    const out = ctx.output([]), logSums = ctx.output([rows]);
    ctx.temporary(rows, (losses) => {
      pool.run(Kernel.crossEntropy, tasks, [
        ...[ctx.at(logits), ctx.at(labels), rows, columns, losses, ctx.at(logSums), per],
      ]);
      sumRows(ctx, losses, rows, 1, ctx.at(out));
    });
    runMap(ctx, MapOp.scale, 1, ctx.at(out), ctx.at(out), undefined, 1 / rows);
    return [out, logSums];
  });
  ctx.register("CrossEntropyGrad", () => ({ logits, labels, logSums, dy }) => {
    const { rows, columns, per, tasks } = rowsOf(logits);
    const out = ctx.output(logits.shape);
    pool.run(Kernel.crossEntropyGrad, tasks, [
      ...[ctx.at(logits), ctx.at(labels), rows, columns, ctx.at(out), ctx.at(logSums), per],
      new Float(scalar(dy) / rows),
    ]);
    return out;
  });
}
