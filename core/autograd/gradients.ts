/**
 * The derivatives of tfjs's kernels that models are made of; those of our own ops are in `core/ops`. tfjs-core registers
 * none by itself; a kernel that is missing here can be given one with `tf.registerGradient`, which the tape finds in the
 * same registry. A rule that does not cover an attribute refuses it by name.
 */
import { LogSoftmaxGrad, run, SoftmaxGrad } from "../ops/mod.ts";
import { together } from "../ops/op.ts";
import { runKernel, tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
type Thunks = Record<string, () => Tensor>;
interface Rule {
  /** Inputs and outputs that the rule needs; outputs by position. */
  inputs?: string[];
  outputs?: boolean[];
  /** `given` are the forward inputs, possibly freed: for their shapes alone. */
  grad: (dy: Any, saved: Tensor[], attrs: Any, given: Record<string, Tensor>) => Thunks;
}

/** Sums dy over the axes along which an operand of that shape was broadcast. */
function unbroadcast(dy: Tensor, shape: number[]): Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, dy.shape);
  const g = axes.length ? tf.sum(dy, axes) : dy;
  return tf.util.arraysEqual(g.shape, shape) ? g : tf.reshape(g, shape);
}

/** Values where x is not 0, and 0 where it is. */
const unlessZero = (x: Tensor, values: Tensor): Tensor => tf.where(tf.equal(x, 0), 0, values);

/** A rule of two broadcast operands from the partial derivatives. */
const binary = (
  da: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
  db: (dy: Tensor, a: Tensor, b: Tensor) => Tensor,
): Rule => ({
  inputs: ["a", "b"],
  grad: (dy, [a, b]) => ({
    a: () => unbroadcast(da(dy, a, b), a.shape),
    b: () => unbroadcast(db(dy, a, b), b.shape),
  }),
});

/** A rule of one operand that needs its input. */
const ofInput = (dx: (dy: Tensor, x: Tensor, attrs: Any) => Tensor): Rule => ({
  inputs: ["x"],
  grad: (dy, [x], attrs) => ({ x: () => dx(dy, x, attrs) }),
});

/** A rule of one operand that needs no more of it than its shape. */
const ofShape = (dx: (dy: Tensor, shape: number[], attrs: Any) => Tensor): Rule => ({
  grad: (dy, _saved, attrs, { x }) => ({ x: () => dx(dy, x.shape, attrs) }),
});

/** A rule of one operand that needs its output. */
const ofOutput = (dx: (dy: Tensor, y: Tensor, attrs: Any) => Tensor): Rule => ({
  outputs: [true],
  grad: (dy, [y], attrs) => ({ x: () => dx(dy, y, attrs) }),
});

/** A reduced gradient with the reduced axes back as 1. */
function expand(dy: Tensor, shape: number[], axis: number | number[]): Tensor {
  const axes = tf.util.parseAxisParam(axis, shape);
  return tf.reshape(dy, shape.map((n, i) => axes.includes(i) ? 1 : n));
}

/** Where the input equals the reduced extreme, shared evenly between ties. */
const extreme: Rule = {
  inputs: ["x"],
  outputs: [true],
  grad: (dy, [x, y], { reductionIndices, axis }) => ({
    x: () => {
      const axes = reductionIndices ?? axis;
      const hit = tf.cast(tf.equal(x, expand(y, x.shape, axes)), "float32");
      const count = tf.sum(hit, axes, true);
      return tf.mul(tf.div(hit, count), expand(dy, x.shape, axes));
    },
  }),
};

/** A matrix product with any operand transposed, its batch summed where it was broadcast. */
function matMulRule(dy: Tensor, a: Tensor, b: Tensor, ta: boolean, tb: boolean): Thunks {
  const mm = tf.matMul;
  return {
    a: () => unbroadcast(ta ? mm(b, dy, tb, true) : mm(dy, b, false, !tb), a.shape),
    b: () => {
      // A weight shared by a batch of matrices: the batch is only more rows, and one product sums it.
      if (!ta && b.shape.length <= 2 && a.shape.length > 2) {
        const rows = tf.reshape(a, [-1, a.shape.at(-1)!]), d = tf.reshape(dy, [-1, dy.shape.at(-1)!]);
        return tb ? mm(d, rows, true) : mm(rows, d, true);
      }
      return unbroadcast(tb ? mm(dy, a, true, ta) : mm(a, dy, !ta, false), b.shape);
    },
  };
}

/** @throws Error unless an attribute of a kernel is, in both directions, what its gradient is for. */
function requireOnly(kernel: string, attribute: string, value: unknown, wanted: unknown): void {
  if ([value ?? wanted].flat().every((v) => v === wanted)) return;
  throw new Error(`The gradient of ${kernel} is for ${attribute} ${wanted} alone, not ${value}`);
}

/** @throws Error if a fused kernel applies an activation, whose derivative would be left out. */
function requireLinear(kernel: string, { activation, preluActivationWeights }: Any): void {
  requireOnly(kernel, "activation", preluActivationWeights ? "prelu" : activation, "linear");
}

function convRule(kernel: string, dy: Tensor, x: Tensor, filter: Tensor, attrs: Any): Thunks {
  const { strides, pad, dataFormat = "NHWC", dimRoundingMode, dilations } = attrs;
  requireOnly(kernel, "dilation", dilations, 1);
  requireOnly(kernel, "dataFormat", dataFormat, "NHWC");
  const [down, across = down] = [strides].flat();
  if (down !== across) throw new Error(`The gradient of ${kernel} is for equal strides, not ${strides}`);
  const common = { strides, pad, dataFormat, dimRoundingMode };
  return {
    x: () => runKernel("Conv2DBackpropInput", { dy, filter }, { ...common, inputShape: x.shape }),
    filter: () => runKernel("Conv2DBackpropFilter", { x, dy }, { ...common, filterShape: filter.shape }),
  };
}

const RULES: Record<string, Rule> = {
  Add: binary((dy) => dy, (dy) => dy),
  Sub: binary((dy) => dy, (dy) => tf.neg(dy)),
  Multiply: binary((dy, _a, b) => tf.mul(dy, b), (dy, a) => tf.mul(dy, a)),
  RealDiv: binary((dy, _a, b) => tf.div(dy, b), (dy, a, b) => tf.neg(tf.div(tf.mul(dy, a), tf.square(b)))),
  Maximum: binary(
    (dy, a, b) => tf.mul(dy, tf.cast(tf.greaterEqual(a, b), "float32")),
    (dy, a, b) => tf.mul(dy, tf.cast(tf.less(a, b), "float32")),
  ),
  Minimum: binary(
    (dy, a, b) => tf.mul(dy, tf.cast(tf.lessEqual(a, b), "float32")),
    (dy, a, b) => tf.mul(dy, tf.cast(tf.greater(a, b), "float32")),
  ),
  SquaredDifference: binary(
    (dy, a, b) => tf.mul(dy, tf.mul(2, tf.sub(a, b))),
    (dy, a, b) => tf.mul(dy, tf.mul(2, tf.sub(b, a))),
  ),
  Pow: binary(
    // 0 where b is 0, and where a is 0, as PyTorch: not 0·∞.
    (dy, a, b) => tf.mul(dy, unlessZero(b, tf.mul(b, tf.pow(a, tf.sub(b, 1))))),
    (dy, a, b) => tf.mul(dy, unlessZero(a, tf.mul(tf.pow(a, b), tf.log(a)))),
  ),

  Neg: { grad: (dy) => ({ x: () => tf.neg(dy) }) },
  Identity: { grad: (dy) => ({ x: () => tf.clone(dy) }) },
  // Whole numbers and truth values have steps, and no slope.
  Cast: ofShape((dy, shape, { dtype }) => dtype === "float32" ? tf.clone(dy) : tf.zeros(shape)),
  Square: ofInput((dy, x) => tf.mul(dy, tf.mul(2, x))),
  Sqrt: ofOutput((dy, y) => tf.div(dy, tf.mul(2, y))),
  Rsqrt: ofOutput((dy, y) => tf.mul(dy, tf.mul(-0.5, tf.mul(y, tf.square(y))))),
  Reciprocal: ofOutput((dy, y) => tf.neg(tf.mul(dy, tf.square(y)))),
  Exp: ofOutput((dy, y) => tf.mul(dy, y)),
  Log: ofInput((dy, x) => tf.div(dy, x)),
  Sin: ofInput((dy, x) => tf.mul(dy, tf.cos(x))),
  Cos: ofInput((dy, x) => tf.neg(tf.mul(dy, tf.sin(x)))),
  Sign: ofShape((_dy, shape) => tf.zeros(shape)),
  Step: ofShape((_dy, shape) => tf.zeros(shape)),
  Abs: ofInput((dy, x) => tf.mul(dy, tf.sign(x))),
  Tanh: ofOutput((dy, y) => tf.mul(dy, tf.sub(1, tf.square(y)))),
  Sigmoid: ofOutput((dy, y) => tf.mul(dy, tf.mul(y, tf.sub(1, y)))),
  Relu: ofOutput((dy, y) => tf.mul(dy, tf.step(y))),
  LeakyRelu: {
    inputs: ["x"],
    grad: (dy, [x], { alpha }) => ({
      x: () => tf.mul(dy, tf.add(alpha, tf.mul(1 - alpha, tf.step(x)))),
    }),
  },
  ClipByValue: ofInput((dy, x, { clipValueMin, clipValueMax }) =>
    tf.mul(
      dy,
      tf.cast(tf.logicalAnd(tf.greaterEqual(x, clipValueMin), tf.lessEqual(x, clipValueMax)), "float32"),
    )
  ),
  Softmax: { outputs: [true], grad: (dy, [y]) => ({ logits: () => run(SoftmaxGrad, { y, dy }, {}).dx }) },
  LogSoftmax: {
    outputs: [true],
    grad: (dy, [y]) => ({ logits: () => run(LogSoftmaxGrad, { y, dy }, {}).dx }),
  },
  Select: {
    inputs: ["condition"],
    grad: (dy, [condition]) => ({
      condition: () => tf.zerosLike(tf.cast(condition, "float32")),
      t: () => tf.mul(dy, tf.cast(condition, "float32")),
      e: () => tf.mul(dy, tf.cast(tf.logicalNot(condition), "float32")),
    }),
  },

  Sum: ofShape((dy, shape, { axis }) => tf.broadcastTo(expand(dy, shape, axis), shape)),
  Mean: ofShape((dy, shape, { axis }) => {
    const d = expand(dy, shape, axis);
    return tf.broadcastTo(tf.div(d, tf.util.sizeFromShape(shape) / d.size), shape);
  }),
  Max: extreme,
  Min: extreme,

  Reshape: ofShape((dy, shape) => tf.reshape(dy, shape)),
  ExpandDims: {
    grad: (dy, _saved, _attrs, { input }) => ({ input: () => tf.reshape(dy, input.shape) }),
  },
  Transpose: {
    grad: (dy, _saved, { perm }) => ({
      x: () => tf.transpose(dy, perm.map((_: number, i: number) => perm.indexOf(i))),
    }),
  },
  PadV2: ofShape((dy, shape, { paddings }) => tf.slice(dy, paddings.map((p: number[]) => p[0]), shape)),
  Slice: ofShape((dy, shape, { begin, size }) => {
    const [from, length] = tf.slice_util.parseSliceParams({ shape } as Any, begin, size);
    return tf.pad(dy, from.map((b, i) => [b, shape[i] - b - length[i]] as [number, number]));
  }),
  Tile: ofShape((dy, shape, { reps }) => {
    const split = shape.flatMap((n, i) => [reps[i], n]);
    return tf.sum(tf.reshape(dy, split), shape.map((_, i) => 2 * i));
  }),
  Concat: {
    grad: (dy, _saved, { axis }, given) => {
      const parts = Object.values(given);
      const along = tf.util.parseAxisParam(axis, dy.shape)[0];
      const grads = together(() => tf.split(dy as Tensor, parts.map((x) => x.shape[along]), along));
      return Object.fromEntries(Object.keys(given).map((name, i) => [name, grads(i) as () => Tensor]));
    },
  },
  SplitV: {
    grad: (dys, _saved, { numOrSizeSplits, axis }, { x }) => ({
      x: () => {
        const along = tf.util.parseAxisParam(axis, x.shape)[0];
        const sizes = tf.backend_util.prepareSplitSize(x as Any, numOrSizeSplits, along);
        const parts = sizes.length > 1 ? dys : [dys];
        return tf.concat(
          sizes.map((n, i) => parts[i] ?? tf.zeros(x.shape.with(along, n))),
          along,
        );
      },
    }),
  },
  GatherV2: {
    inputs: ["indices"],
    grad: (dy, [indices], { axis, batchDims }, { x }) => ({
      x: () => {
        requireOnly("GatherV2", "axis", axis, 0);
        requireOnly("GatherV2", "batchDims", batchDims, 0);
        const rows = tf.reshape(dy, [indices.size, x.size / x.shape[0]]);
        const ids = tf.reshape(tf.cast(indices, "int32"), [indices.size]) as Any;
        return tf.reshape(tf.unsortedSegmentSum(rows, ids, x.shape[0]), x.shape);
      },
    }),
  },

  BatchMatMul: {
    inputs: ["a", "b"],
    grad: (dy, [a, b], { transposeA, transposeB }) => matMulRule(dy, a, b, transposeA, transposeB),
  },
  _FusedMatMul: {
    inputs: ["a", "b"],
    grad(dy, [a, b], { transposeA, transposeB, ...attrs }, { bias, preluActivationWeights }) {
      requireLinear("_FusedMatMul", { ...attrs, preluActivationWeights });
      return { ...matMulRule(dy, a, b, transposeA, transposeB), bias: () => unbroadcast(dy, bias.shape) };
    },
  },
  Conv2D: {
    inputs: ["x", "filter"],
    grad: (dy, [x, filter], attrs) => convRule("Conv2D", dy, x, filter, attrs),
  },
  FusedConv2D: {
    inputs: ["x", "filter"],
    grad(dy, [x, filter], attrs, { bias, preluActivationWeights }) {
      requireLinear("FusedConv2D", { ...attrs, preluActivationWeights });
      return { ...convRule("FusedConv2D", dy, x, filter, attrs), bias: () => unbroadcast(dy, bias.shape) };
    },
  },
};

for (const [kernelName, { inputs, outputs, grad }] of Object.entries(RULES)) {
  if (tf.getGradient(kernelName)) continue;
  tf.registerGradient({
    kernelName,
    inputsToSave: inputs,
    outputsToSave: outputs,
    gradFunc: grad as Any,
  });
}
