/** How the network is told the timestep. */
import {
  Buffer,
  constant,
  defaultGenerator,
  F,
  hostValues,
  Linear,
  Module,
  type Tensor,
  tf,
} from "../../core/mod.ts";

/** Options of {@link timestepEmbedding}. */
export interface TimestepEmbeddingOptions {
  /** Cosines before sines; default false. */
  flipSinToCos?: boolean;
  /**
   * Subtracted from the number of frequencies in the exponent, at least 0: Diffusers' `downscale_freq_shift`; default 1, as
   * there, while a U-Net's `freq_shift` is 0 by default.
   */
  freqShift?: number;
  /** The longest period is 2π times this, above 0; default 10000. */
  maxPeriod?: number;
}

/** 2π in two parts, the first of so few bits that its product with up to 2¹⁵ turns is exact in float32. */
const TURN = [6.28125, 2 * Math.PI - 6.28125];

/** Angles less whole turns: WGSL promises sines and cosines of −π to π alone. */
function withoutTurns(angles: Tensor): Tensor {
  const turns = tf.floor(tf.add(tf.div(angles, 2 * Math.PI), 0.5));
  return tf.sub(tf.sub(angles, tf.mul(turns, TURN[0])), tf.mul(turns, TURN[1]));
}

/**
 * Sinusoidal embedding of timesteps (Vaswani et al. 2017, section 3.5; Diffusers' `get_timestep_embedding`).
 * @param t timesteps [N], whole or not; up to 2·10⁵ the angles are exact to float32's rounding of t·frequency
 * @param dim numbers for each: half of them sines, half cosines; the last one of an odd `dim` is 0
 * @returns [N,dim]
 * @throws RangeError unless dim is a whole number with more frequencies (half of it) than freqShift, which is at least 0,
 *   maxPeriod is over 0, and t has one axis.
 */
export function timestepEmbedding(
  t: Tensor,
  dim: number,
  { flipSinToCos = false, freqShift = 1, maxPeriod = 10000 }: TimestepEmbeddingOptions = {},
): Tensor {
  const half = Math.floor(dim / 2);
  if (!(freqShift >= 0)) {
    throw new RangeError(`timestepEmbedding: freqShift is at least 0, not ${freqShift}`);
  }
  if (!Number.isInteger(dim) || !(half > freqShift)) {
    throw new RangeError(
      `timestepEmbedding: half of dim must be more than freqShift ${freqShift}, not ${dim} / 2`,
    );
  }
  if (!(maxPeriod > 0 && Number.isFinite(maxPeriod))) {
    throw new RangeError(`timestepEmbedding: maxPeriod is a number above 0, not ${maxPeriod}`);
  }
  if (t.shape.length !== 1) {
    throw new RangeError(`timestepEmbedding: t is [N], not of shape [${t.shape}]`);
  }
  const frequencies = constant(`frequencies ${half} ${freqShift} ${maxPeriod}`, () => {
    const powers = Array.from({ length: half }, (_, i) => -Math.log(maxPeriod) * i / (half - freqShift));
    return tf.tensor2d(powers.map(Math.exp), [1, half]);
  });
  const angles = withoutTurns(tf.mul(tf.reshape(tf.cast(t, "float32"), [-1, 1]), frequencies));
  const [sin, cos] = [tf.sin(angles), tf.cos(angles)];
  const both = tf.concat(flipSinToCos ? [cos, sin] : [sin, cos], 1);
  return dim % 2 ? tf.pad(both, [[0, 0], [0, 1]]) : both;
}

/**
 * @throws RangeError for a noise level that is not above 0: a number, or one of a tensor whose numbers are known on the
 * host, as all are on WASM.
 */
export function requireNoiseLevels(t: Tensor | number): void {
  const wrong = (typeof t === "number" ? [t] : hostValues(t))?.find((value) => !(value > 0));
  if (wrong === undefined) return;
  throw new RangeError(
    `GaussianFourierProjection takes noise levels above 0 (time_embedding_type "fourier"), not ${wrong}`,
  );
}

/**
 * Sines and cosines of the logarithm of numbers above 0 at random frequencies, which are not trained (Tancik et al. 2020;
 * Song et al. 2021, appendix H.1; Diffusers' `GaussianFourierProjection`).
 */
export class GaussianFourierProjection extends Module<[Tensor], Tensor> {
  /** The frequencies, [channels]. */
  weight: Buffer;

  /**
   * Draws the frequencies by the shared generator.
   * @param channels how many there are
   * @param scale their standard deviation
   * @throws RangeError unless channels is a positive whole number, and scale above 0.
   */
  constructor(readonly channels: number, readonly scale: number) {
    super();
    if (!Number.isInteger(channels) || channels < 1) {
      throw new RangeError(
        `GaussianFourierProjection: channels is a positive whole number, not ${channels}`,
      );
    }
    if (!(scale > 0 && Number.isFinite(scale))) {
      throw new RangeError(`GaussianFourierProjection: scale is a number above 0, not ${scale}`);
    }
    this.weight = new Buffer(tf.tidy(() => tf.mul(defaultGenerator.normal([channels]), scale)));
  }

  /**
   * sin(2π·f·log t) for each frequency f, then the cosines.
   * @param t [N], above 0
   * @returns [N,2·channels]
   * @throws RangeError for another shape, and for a number that is not above 0, on WebGPU where the numbers were made on
   *   the host.
   */
  override forward(t: Tensor): Tensor {
    if (t.shape.length !== 1) {
      throw new RangeError(`GaussianFourierProjection takes numbers [N], not of shape [${t.shape}]`);
    }
    requireNoiseLevels(t);
    const logs = tf.reshape(tf.log(tf.cast(t, "float32")), [-1, 1]);
    const turns = tf.mul(logs, tf.reshape(this.weight.value, [1, -1]));
    const angles = tf.mul(tf.sub(turns, tf.floor(tf.add(turns, 0.5))), 2 * Math.PI);
    return tf.concat([tf.sin(angles), tf.cos(angles)], 1);
  }
}

/** What the blocks are told of an embedded timestep: linear, SiLU, linear. Diffusers' names. */
export class TimestepEmbedding extends Module<[Tensor], Tensor> {
  /** From the embedding. */
  linear_1: Linear;
  /** To the blocks. */
  linear_2: Linear;

  /**
   * Makes the layers with random weights.
   * @param channels of the embedding
   * @param embedDim channels of the output
   * @throws RangeError unless both are positive whole numbers.
   */
  constructor(channels: number, embedDim: number) {
    super();
    this.linear_1 = new Linear(channels, embedDim);
    this.linear_2 = new Linear(embedDim, embedDim);
  }

  /**
   * What the blocks are told, before the SiLU with which they all begin.
   * @param x [N,channels]
   * @returns [N,embedDim]
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    return this.linear_2.call(F.silu(this.linear_1.call(x)));
  }
}
