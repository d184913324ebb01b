/** What tfjs's own kernels make of tensors of no elements, the same on every device: some read memory that is not there. */
import { tf } from "../tf.ts";
import type { DataType, TensorInfo } from "../tf.ts";
import { type Backend, type PlainKernel, replaceKernel } from "./op.ts";

/** What a reduction of nothing gives; null where there is nothing to give. */
const REDUCTIONS: Record<string, number | null> = {
  Sum: 0,
  Mean: NaN,
  Prod: 1,
  All: 1,
  Any: 0,
  Max: null,
  Min: null,
  ArgMax: null,
  ArgMin: null,
};

const sizeOf = (shape: number[]): number => tf.util.sizeFromShape(shape);

/** A tensor full of one number. */
function full(shape: number[], dtype: DataType, value: number): TensorInfo {
  const values = tf.util.getTypedArrayFromDType(dtype as "float32", sizeOf(shape)).fill(value);
  return { dataId: tf.backend().write(values, shape, dtype), shape, dtype };
}

/** What a kernel gives for no elements; undefined where it has some. */
type Rule = (inputs: Record<string, TensorInfo>, attrs: Parameters<PlainKernel>[1]) => TensorInfo | undefined;

const reduction = (name: string): Rule => ({ x }, { axis, reductionIndices, keepDims }) => {
  if (sizeOf(x.shape) > 0) return undefined;
  const axes = tf.util.parseAxisParam(reductionIndices ?? axis, x.shape);
  const [kept] = tf.backend_util.computeOutAndReduceShapes(x.shape, axes), value = REDUCTIONS[name];
  if (value === null && sizeOf(kept) > 0) {
    throw new Error(`${name}: x of shape [${x.shape}] has no elements`);
  }
  const shape = keepDims ? tf.backend_util.expandShapeToKeepDim(kept, axes) : kept;
  return full(shape, name.startsWith("Arg") ? "int32" : name === "Mean" ? "float32" : x.dtype, value ?? 0);
};

const sameShape: Rule = ({ logits }) =>
  sizeOf(logits.shape) === 0 ? full(logits.shape, logits.dtype, 0) : undefined;

const RULES: Record<string, Rule> = {
  ...Object.fromEntries(Object.keys(REDUCTIONS).map((name) => [name, reduction(name)])),
  Softmax: sameShape,
  LogSoftmax: sameShape,
  UnsortedSegmentSum: ({ x }, { numSegments }) =>
    sizeOf(x.shape) === 0 ? full([numSegments, ...x.shape.slice(1)], x.dtype, 0) : undefined,
  GatherV2({ x, indices }, { axis, batchDims = 0 }) {
    const [along] = tf.util.parseAxisParam(axis, x.shape);
    const shape = [
      ...x.shape.slice(0, along),
      ...indices.shape.slice(batchDims),
      ...x.shape.slice(along + 1),
    ];
    return sizeOf(shape) === 0 ? full(shape, x.dtype, 0) : undefined;
  },
};

/** Makes the kernels of a device take tensors of no elements; after its own were registered. */
export function takeNoElements(backend: Backend): void {
  for (const [name, rule] of Object.entries(RULES)) {
    if (!tf.getKernel(name, backend)) continue;
    replaceKernel(backend, name, (kernel) => (inputs, attrs) => rule(inputs, attrs) ?? kernel(inputs, attrs));
  }
}
