/** tfjs's Concat, SplitV and Identity. */
import { replaceKernel } from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import { CopyColumnsArgs, Kernel } from "../assembly/abi.ts";
import { areFloat, type Context, share, size } from "./context.ts";

/** Copies `width` floats of each of `rows` rows between two addresses; steps are from row to row. */
function copyColumns(
  { pool }: Context,
  copy: { from: number; fromStep: number; to: number; toStep: number; width: number; rows: number },
): void {
  const { per, tasks } = share(copy.rows, Math.max(1, Math.ceil(4096 / copy.width)));
  pool.run(Kernel.copyColumns, tasks, CopyColumnsArgs, { ...copy, rowsPerTask: per });
}

/** Registers them. */
export function registerConcat(ctx: Context): void {
  replaceKernel("wasm", "Concat", (original) => (inputs, attrs) => {
    const parts = Object.values(inputs).filter((t) => size(t.shape) > 0);
    if (parts.length === 0 || !areFloat(...parts)) return original(inputs, attrs);
    const axis = tf.util.parseAxisParam(attrs.axis, parts[0].shape)[0];
    const shape = tf.backend_util.computeOutShape(parts.map((t) => t.shape), axis);
    const out = ctx.output(shape);
    const toStep = size(shape.slice(axis)), rows = size(shape.slice(0, axis));
    let to = ctx.address(out);
    for (const t of parts) {
      const width = size(t.shape.slice(axis));
      copyColumns(ctx, { from: ctx.address(t), fromStep: width, to, toStep, width, rows });
      to += width * 4;
    }
    return out;
  });

  replaceKernel("wasm", "SplitV", (original) => (inputs, attrs) => {
    const { x } = inputs;
    if (!areFloat(x)) return original(inputs, attrs);
    const axis = tf.util.parseAxisParam(attrs.axis, x.shape)[0];
    const sizes = tf.backend_util.prepareSplitSize(x as never, attrs.numOrSizeSplits, axis);
    const fromStep = size(x.shape.slice(axis)), rows = size(x.shape.slice(0, axis));
    let from = ctx.address(x);
    return sizes.map((n: number) => {
      const out = ctx.output(x.shape.with(axis, n));
      const width = size(out.shape.slice(axis));
      copyColumns(ctx, { from, fromStep, to: ctx.address(out), toStep: width, width, rows });
      from += width * 4;
      return out;
    });
  });

  // Shares the data; tfjs's own copies it, which would double what the tape saves.
  replaceKernel("wasm", "Identity", () => ({ x }) => {
    ctx.backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  });
}
