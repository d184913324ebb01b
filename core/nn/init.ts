/** Ways to fill parameters before training. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { defaultGenerator, type Generator } from "../random.ts";

/** What a weight's shape says: [kh,kw,in,out] of a filter, [out,in] of a linear layer. */
function fans(shape: number[]): { fanIn: number; fanOut: number } {
  if (shape.length === 2) return { fanIn: shape[1], fanOut: shape[0] };
  if (shape.length === 4) {
    const taps = shape[0] * shape[1];
    return { fanIn: taps * shape[2], fanOut: taps * shape[3] };
  }
  throw new Error(`A weight has 2 or 4 axes, not shape [${shape}]`);
}

/** @throws RangeError unless an option is a finite number. */
function requireNumber(what: string, value: number): void {
  if (!Number.isFinite(value)) throw new RangeError(`init.${what} is a finite number, not ${value}`);
}

/** All one value. */
export function constant(shape: number[], value: number): Tensor {
  requireNumber("constant: value", value);
  return tf.fill(shape, value);
}

/** Uniform in [−bound, bound). */
export function uniform(
  shape: number[],
  bound: number,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("uniform: bound", bound);
  return tf.tidy(() => tf.mul(tf.sub(generator.uniform(shape), 0.5), 2 * bound));
}

/** Normal with mean 0 and that standard deviation. */
export function normal(
  shape: number[],
  std: number,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("normal: std", std);
  return tf.tidy(() => tf.mul(generator.normal(shape), std));
}

/** PyTorch's default for convolutions and linear layers, of weight and bias alike: U(−1/√fanIn, 1/√fanIn). */
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

/** Kaiming normal (He et al. 2015): std √(2/((1+a²)·fanIn)), a the negative slope of the leaky ReLU that follows. */
export function kaimingNormal(
  shape: number[],
  a = 0,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("kaimingNormal: a", a);
  return normal(shape, Math.sqrt(2 / ((1 + a * a) * fans(shape).fanIn)), generator);
}

/** Kaiming uniform (He et al. 2015): the bound that gives the variance of {@link kaimingNormal}. */
export function kaimingUniform(
  shape: number[],
  a = 0,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("kaimingUniform: a", a);
  return uniform(shape, Math.sqrt(6 / ((1 + a * a) * fans(shape).fanIn)), generator);
}

/**
 * A random (semi-)orthogonal matrix (Saxe et al. 2014) in a weight's shape: as PyTorch, rows are output channels and
 * the rest is flattened; the shorter side is orthonormal, times gain.
 */
export function orthogonal(
  shape: number[],
  gain = 1,
  generator: Generator = defaultGenerator,
): Tensor {
  requireNumber("orthogonal: gain", gain);
  const outs = shape.length === 4 ? shape[3] : shape[0];
  const rest = shape.reduce((a, b) => a * b, 1) / outs;
  const tall = Math.max(outs, rest), wide = Math.min(outs, rest);
  const columns = gramSchmidt(generator.normalArray(tall * wide), tall, wide);
  // columns[j] is one orthonormal vector of length `tall`
  return tf.tidy(() => {
    const q = tf.mul(tf.tensor(columns, [wide, tall]), gain);
    const matrix = outs <= rest ? q : tf.transpose(q); // [outs, rest]
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
