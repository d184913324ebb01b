/** tfjs's gather, in which an index outside is an error, or NaN where only the device knows it. */
import * as ops from "../../ops/mod.ts";
import { tf } from "../../tf.ts";
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, size } from "./gpu.ts";
import { NAN_BITS } from "./shader.ts";

/** @throws RangeError if an index that the device has not seen yet is outside. */
function requireIndices({ backend }: Gpu, indices: TensorInfo, rows: number): void {
  const values: Int32Array | null = backend.tensorMap.get(indices.dataId).values;
  const outside = values?.find((index) => index < 0 || index >= rows);
  if (outside === undefined) return;
  throw new RangeError(`gather: index ${outside} is not from 0 to ${rows - 1}`);
}

export function registerGather(gpu: Gpu): void {
  ops.replaceKernel("webgpu", "GatherV2", (original) => (inputs, attrs) => {
    const { x, indices } = inputs, [axis] = tf.util.parseAxisParam(attrs.axis, x.shape);
    const rows = x.shape[axis];
    requireIndices(gpu, indices, rows);
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
