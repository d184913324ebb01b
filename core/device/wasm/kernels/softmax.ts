/** tfjs's Softmax and LogSoftmax along the last axis, and their gradients. */
import { LogSoftmaxGrad, SoftmaxGrad } from "../../../ops/mod.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel, SoftmaxKind } from "../assembly/abi.ts";
import { areFloat, type Context, share, size } from "./context.ts";

/** The rows along the last axis, and how they are shared between tasks. */
export function rowsOf(x: TensorInfo): { rows: number; columns: number; per: number; tasks: number } {
  const columns = x.shape.at(-1) ?? 1, rows = size(x.shape) / columns;
  return { rows, columns, ...share(rows, Math.max(1, Math.ceil(2048 / columns))) };
}

/** Registers them. */
export function registerSoftmax(ctx: Context): void {
  const run = (kind: SoftmaxKind, x: TensorInfo, dy?: TensorInfo): TensorInfo => {
    const out = ctx.output(x.shape);
    const { rows, columns, per, tasks } = rowsOf(x);
    ctx.pool.run(Kernel.softmax, tasks, {
      kind,
      x,
      rows,
      columns,
      out,
      rowsPerTask: per,
      dy,
    });
    return out;
  };
  const replace = (name: string, axis: "dim" | "axis", kind: SoftmaxKind) =>
    ctx.replace(name, (original) => (inputs, attrs) => {
      const { logits } = inputs, rank = logits.shape.length, along = attrs[axis];
      const last = along === -1 || along === rank - 1;
      if (!last || !areFloat(logits) || size(logits.shape) === 0) return original(inputs, attrs);
      return run(kind, logits);
    });
  replace("Softmax", "dim", SoftmaxKind.softmax);
  replace("LogSoftmax", "axis", SoftmaxKind.logSoftmax);
  ctx.kernel(SoftmaxGrad, ({ y, dy }) => ({ dx: run(SoftmaxKind.softmaxGrad, y, dy) }));
  ctx.kernel(LogSoftmaxGrad, ({ y, dy }) => ({ dx: run(SoftmaxKind.logSoftmaxGrad, y, dy) }));
}
