/**
 * Ways to fill parameters before training. Each gives a new float32 tensor, which the caller owns until a parameter takes
 * it over; random numbers come from the shared generator unless another is given.
 */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { defaultGenerator, type Generator } from "../random.ts";

/**
 * Outputs and inputs of a weight: [out,in] of a linear layer, [kh,kw,in,out] of a filter, each tap of which is an input.
 * @throws RangeError for another shape.
 */
function fansOf(name: string, shape: number[]): { outs: number; fanIn: number } {
  if (![2, 4].includes(shape.length) || !shape.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new RangeError(`init.${name}: a weight is [out,in] or [kh,kw,in,out], not of shape [${shape}]`);
  }
  const outs = shape.length === 2 ? shape[0] : shape[3];
  return { outs, fanIn: tf.util.sizeFromShape(shape) / outs };
}

/** @throws RangeError unless an option is a finite number of at least `least`. */
function requireNumber(what: string, value: number, least = -Infinity): void {
  if (value >= least && Number.isFinite(value)) return;
  const range = least === -Infinity ? "a finite number" : `a finite number of at least ${least}`;
  throw new RangeError(`init.${what} is ${range}, not ${value}`);
}

/**
 * All one value.
 * @param value finite
 * @throws RangeError for another value.
 */
export function constant(shape: number[], value: number): Tensor {
  requireNumber("constant: value", value);
  return tf.fill(shape, value);
}

/**
 * Uniform in [−bound, bound).
 * @param bound at least 0
 * @throws RangeError for another bound.
 */
export function uniform(
  shape: number[],
  bound: number,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("uniform: bound", bound, 0);
  return tf.tidy(() => tf.mul(tf.sub(generator.uniform(shape), 0.5), 2 * bound));
}

/**
 * Normal with mean 0.
 * @param std the standard deviation, at least 0
 * @throws RangeError for another standard deviation.
 */
export function normal(
  shape: number[],
  std: number,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("normal: std", std, 0);
  return tf.tidy(() => tf.mul(generator.normal(shape), std));
}

/**
 * PyTorch's default for convolutions and linear layers, of weight and bias alike: U(−1/√fanIn, 1/√fanIn).
 * @param fanIn inputs of an output, at least 1: `in` of a linear layer, kh·kw·in of a filter
 * @throws RangeError for another fanIn.
 */
export function torchDefault(
  shape: number[],
  fanIn: number,
  generator: Generator = defaultGenerator,
): Tensor {
  if (!(fanIn >= 1 && Number.isFinite(fanIn))) {
    throw new RangeError(`init.torchDefault: fanIn is a number of at least 1, not ${fanIn}`);
  }
  return uniform(shape, 1 / Math.sqrt(fanIn), generator);
}

/**
 * Kaiming normal (He et al. 2015, eq. 15): mean 0, standard deviation √(2/((1+a²)·fanIn)).
 * @param shape of a weight: [out,in] or [kh,kw,in,out]
 * @param a slope below 0 of the leaky ReLU that follows; default 0
 * @throws RangeError for another shape, or an a that is no finite number.
 */
export function kaimingNormal(
  shape: number[],
  a = 0,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("kaimingNormal: a", a);
  const { fanIn } = fansOf("kaimingNormal", shape);
  return normal(shape, Math.sqrt(2 / ((1 + a * a) * fanIn)), generator);
}

/**
 * Kaiming uniform (He et al. 2015): the bound √(6/((1+a²)·fanIn)), which gives the variance of {@link kaimingNormal}.
 * @param shape of a weight: [out,in] or [kh,kw,in,out]
 * @param a slope below 0 of the leaky ReLU that follows; default 0
 * @throws RangeError for another shape, or an a that is no finite number.
 */
export function kaimingUniform(
  shape: number[],
  a = 0,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("kaimingUniform: a", a);
  const { fanIn } = fansOf("kaimingUniform", shape);
  return uniform(shape, Math.sqrt(6 / ((1 + a * a) * fanIn)), generator);
}

/**
 * A random (semi-)orthogonal matrix (Saxe et al. 2014) in a weight's shape: as PyTorch, rows are output channels and
 * the rest is flattened; the shorter side is orthonormal, times gain. Made on the host, in time that grows with the cube
 * of the sides.
 * @param shape of a weight: [out,in] or [kh,kw,in,out]
 * @param gain finite; default 1
 * @throws RangeError for another shape or gain.
 */
export function orthogonal(
  shape: number[],
  gain = 1,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("orthogonal: gain", gain);
  const { outs, fanIn } = fansOf("orthogonal", shape);
  const tall = Math.max(outs, fanIn), wide = Math.min(outs, fanIn);
  const columns = gramSchmidt(generator.normalArray(tall * wide), tall, wide);
  // columns[j] is one orthonormal vector of length `tall`
  return tf.tidy(() => {
    const q = tf.mul(tf.tensor(columns, [wide, tall]), gain);
    const matrix = outs <= fanIn ? q : tf.transpose(q); // [outs, fanIn]
    if (shape.length === 2) return tf.clone(matrix);
    return tf.reshape(tf.transpose(matrix), shape); // [kh·kw·in, out]
  });
}

/** Orthonormalises `wide` vectors of length `tall`, in float64, twice for precision. */
function gramSchmidt(values: Float32Array, tall: number, wide: number): Float32Array {
  const v = Float64Array.from(values);
  const row = (j: number) => v.subarray(j * tall, (j + 1) * tall);
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((s, x, i) => s + x * b[i], 0);
  for (let j = 0; j < wide; j++) {
    const a = row(j);
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        const b = row(i), d = dot(a, b);
        for (let k = 0; k < tall; k++) a[k] -= d * b[k];
      }
    }
    const norm = Math.sqrt(dot(a, a));
    for (let k = 0; k < tall; k++) a[k] /= norm;
  }
  return Float32Array.from(v);
}
