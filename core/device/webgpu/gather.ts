/** tfjs's gather, in which an index outside is an error, or NaN where only the device knows it. */
import { requireIndices } from "../../ops/check.ts";
import * as ops from "../../ops/mod.ts";
import { tf } from "../../tf.ts";
import type { Tensor } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";
import { NAN_BITS } from "./shader.ts";

export function registerGather(gpu: Gpu): void {
  ops.replaceKernel("webgpu", "GatherV2", (original) => (inputs, attrs) => {
    const { x, indices } = inputs, [axis] = tf.util.parseAxisParam(attrs.axis, x.shape);
    const rows = x.shape[axis];
    requireIndices("gather", "indices", indices as Tensor, rows);
    if (x.dtype !== "float32" || indices.dtype !== "int32" || attrs.batchDims) return original(inputs, attrs);
    const y = gpu.output([...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)]);
    gpu.runEach("GatherV2", size(y.shape), {
      read: { x, indices },
      write: { y },
      sizes: { rows, inner: size(x.shape.slice(axis + 1)), count: size(indices.shape), nan: NAN_BITS },
      shader: () => ({
        types: { indices: "i32" },
        body: `
  let outer = gid / u.inner / u.count;
  let row = u32(indices[gid / u.inner % u.count]);
  let at = (outer * u.rows + min(row, u.rows - 1u)) * u.inner + gid % u.inner;
  y[gid] = select(bitcast<f32>(u.nan), x[at], row < u.rows);`,
      }),
    });
    return y;
  });
}
