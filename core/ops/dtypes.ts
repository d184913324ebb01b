/** What tfjs's own kernels make of int32 and bool, the same on every device: many would read them as float32's bits. */
import { tf } from "../tf.ts";
import type { DataType, TensorInfo } from "../tf.ts";
import { type Backend, type PlainKernel, replaceKernel } from "./op.ts";

/** Kernels that compute in float32: all inputs become float32. */
const IN_FLOAT32 = [
  "Acos",
  "Acosh",
  "Asin",
  "Asinh",
  "Atan",
  "Atan2",
  "Atanh",
  "Cos",
  "Cosh",
  "Elu",
  "Erf",
  "Exp",
  "Expm1",
  "IsFinite",
  "IsInf",
  "IsNan",
  "LeakyRelu",
  "Log",
  "Log1p",
  "LogSoftmax",
  "Mean",
  "Prelu",
  "RealDiv",
  "Reciprocal",
  "Rsqrt",
  "Selu",
  "Sigmoid",
  "Sin",
  "Sinh",
  "Softmax",
  "Softplus",
  "Sqrt",
  "Step",
  "Tan",
  "Tanh",
];

/** Kernels that keep whole numbers whole: bool becomes int32. */
const IN_INT32 = [
  "Abs",
  "Add",
  "AddN",
  "Ceil",
  "ClipByValue",
  "Cumprod",
  "Cumsum",
  "Floor",
  "FloorDiv",
  "Maximum",
  "Minimum",
  "Mod",
  "Multiply",
  "Neg",
  "Pow",
  "Relu",
  "Relu6",
  "Round",
  "Sign",
  "Square",
  "SquaredDifference",
  "Sub",
  "Sum",
];

/** Kernels that move elements and do not compute: bool goes through them as int32, and comes out as bool. */
const MOVING = ["Reverse"];

/** A tensor in another dtype. */
function cast(backend: Backend, x: TensorInfo, dtype: DataType): TensorInfo {
  const { kernelFunc } = tf.getKernel("Cast", backend);
  return kernelFunc({ inputs: { x }, attrs: { dtype }, backend: tf.backend() }) as TensorInfo;
}

/** The kernel with its inputs of some dtypes cast to another. */
function casting(backend: Backend, kernel: PlainKernel, from: DataType[], to: DataType): PlainKernel {
  return (inputs, attrs) => {
    if (!Object.values(inputs).some(({ dtype }) => from.includes(dtype))) return kernel(inputs, attrs);
    const made: TensorInfo[] = [];
    const given = Object.entries(inputs).map(([name, x]) => {
      if (!from.includes(x.dtype)) return [name, x];
      made.push(cast(backend, x, to));
      return [name, made.at(-1)!];
    });
    try {
      return kernel(Object.fromEntries(given), attrs);
    } finally {
      for (const { dataId } of made) tf.backend().disposeData(dataId);
    }
  };
}

/** Makes tfjs's kernels of a device take int32 and bool; after the device's own kernels were registered. */
export function castInputs(backend: Backend): void {
  const wrap = (names: string[], make: (kernel: PlainKernel) => PlainKernel) => {
    for (const name of names) if (tf.getKernel(name, backend)) replaceKernel(backend, name, make);
  };
  wrap(IN_FLOAT32, (kernel) => casting(backend, kernel, ["int32", "bool"], "float32"));
  wrap(IN_INT32, (kernel) => casting(backend, kernel, ["bool"], "int32"));
  wrap(MOVING, (kernel) => {
    const asWhole = casting(backend, kernel, ["bool"], "int32");
    return (inputs, attrs) => {
      if (inputs.x.dtype !== "bool") return kernel(inputs, attrs);
      const moved = asWhole(inputs, attrs) as TensorInfo;
      const out = cast(backend, moved, "bool");
      tf.backend().disposeData(moved.dataId);
      return out;
    };
  });
}
