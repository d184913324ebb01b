/** tfjs's kernels that move data: Concat, SplitV, Identity and GatherV2. */

import { tf } from "../../../tf.ts";
import { Kernel } from "../assembly/abi.ts";
import { areFloat, type Context, share, size } from "./context.ts";

/** Copies `width` floats of each of `rows` rows between two addresses; steps are from row to row. */
function copyColumns(
  { pool }: Context,
  copy: { from: number; fromStep: number; to: number; toStep: number; width: number; rows: number },
): void {
  const { per, tasks } = share(copy.rows, Math.max(1, Math.ceil(4096 / copy.width)));
  pool.run(Kernel.copyColumns, tasks, { ...copy, rowsPerTask: per });
}

/** Registers them. */
export function registerConcat(ctx: Context): void {
  ctx.replace("Concat", (original) => (inputs, attrs) => {
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

  ctx.replace("SplitV", (original) => (inputs, attrs) => {
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
  ctx.replace("Identity", () => ({ x }) => {
    ctx.backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  });

  // With batches, where tfjs's own reads past the indices.
  ctx.replace("GatherV2", (original) => (inputs, attrs) => {
    const { x, indices } = inputs, [axis] = tf.util.parseAxisParam(attrs.axis, x.shape);
    const info = tf.backend_util.segment_util.collectGatherOpShapeInfo(
      x as never,
      indices as never,
      axis,
      attrs.batchDims,
    );
    if (info.batchSize === 1) return original(inputs, attrs);
    const { batchSize, outerSize, dimSize, sliceSize } = info, count = size(indices.shape) / batchSize;
    const out = ctx.output(info.outputShape, x.dtype);
    const [from, to, places] = [x, out, indices].map((t) => ctx.values(t));
    for (let batch = 0; batch < batchSize; batch++) {
      for (let outer = 0; outer < outerSize; outer++) {
        const row = batch * outerSize + outer;
        for (let i = 0; i < count; i++) {
          const place = places[batch * count + i];
          if (!(place >= 0 && place < dimSize)) {
            throw new RangeError(`gather: the index ${place} is not in [0, ${dimSize})`);
          }
          const start = (row * dimSize + place) * sliceSize;
          to.set(from.subarray(start, start + sliceSize), (row * count + i) * sliceSize);
        }
      }
    }
    return out;
  });
}
