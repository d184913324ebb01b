/** The layers that models are built from. Images are NHWC. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { noGrad, Parameter } from "../autograd/tape.ts";
import { requireEps, requireLayout, requireProbability } from "../ops/check.ts";
import { requireGroups } from "../ops/mod.ts";
import { defaultGenerator, type Generator } from "../random.ts";
import * as F from "./functional.ts";
import type { Conv2dOptions, GroupNormOptions } from "./functional.ts";
import { torchDefault } from "./init.ts";
import { Buffer, Module } from "./module.ts";

/** Options that layers with random weights share. */
export interface LayerOptions {
  /** Whether there is a bias; default true. */
  bias?: boolean;
  /** Where initial weights are drawn from; default the shared generator. */
  generator?: Generator;
}

/** @throws RangeError unless a size is a positive whole number. */
function positive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name} must be a positive whole number, not ${value}`);
  }
}

/** @throws RangeError unless an option is a number of a range. */
function inRange(name: string, value: number, least: number, most = Infinity): void {
  if (value >= least && value <= most && Number.isFinite(value)) return;
  const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new RangeError(`${name} is a number ${range}, not ${value}`);
}

/**
 * Modules one after another, the output of each the input of the next; `new Sequential(a, b)` names them "0", "1". One
 * that is set by its place, `model[1] = c`, is the layer from then on.
 */
export class Sequential extends Module<[Tensor], Tensor> {
  /** A layer by its place. */
  [index: number]: Module<[Tensor], Tensor>;

  /**
   * Puts layers in a row.
   * @param layers in order; without any, the input is the output
   */
  constructor(...layers: Module<[Tensor], Tensor>[]) {
    super();
    layers.forEach((layer, i) => this[i] = layer);
  }

  /** The modules in the order of their places, as they are now; a list of its own. */
  get layers(): readonly Module<[Tensor], Tensor>[] {
    return Object.keys(this).filter((key) => /^\d+$/.test(key)).map((key) => this[Number(key)]);
  }

  /**
   * The last layer's output.
   * @param x what the first layer takes
   */
  override forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.call(y), x);
  }
}

/**
 * y = x·Wᵀ + b (+ residual). Weight [out,in], bias [out]; PyTorch's initialisation. Input […,in], output and residual
 * […,out].
 */
export class Linear extends Module<[Tensor, Tensor?], Tensor> {
  /** [out,in]. */
  weight: Parameter;
  /** [out], or null without. */
  bias: Parameter | null;

  /**
   * Makes a layer with random weights.
   * @param inFeatures numbers of an input
   * @param outFeatures numbers of an output
   * @throws RangeError unless both are positive whole numbers.
   */
  constructor(readonly inFeatures: number, readonly outFeatures: number, options: LayerOptions = {}) {
    super();
    positive("inFeatures", inFeatures);
    positive("outFeatures", outFeatures);
    const { bias = true, generator } = options;
    this.weight = new Parameter(torchDefault([outFeatures, inFeatures], inFeatures, generator));
    this.bias = bias ? new Parameter(torchDefault([outFeatures], inFeatures, generator)) : null;
  }

  /**
   * x·Wᵀ + b + residual.
   * @param x […,in]
   * @param residual […,out]; default none
   * @returns […,out]
   * @throws Error if shapes do not fit.
   */
  override forward(x: Tensor, residual?: Tensor): Tensor {
    return F.linear(x, this.weight, this.bias, residual);
  }
}

/** Options of {@link Conv2d}. */
export interface Conv2dLayerOptions extends LayerOptions, Omit<Conv2dOptions, "residual"> {}

/**
 * 2-D convolution with a square kernel (see {@link F.conv2d}). Weight [k,k,in,out], bias [out]; PyTorch's initialisation.
 * Input [N,H,W,in], output and residual (added to it) [N,H',W',out].
 */
export class Conv2d extends Module<[Tensor, Tensor?], Tensor> {
  /** [k,k,in,out]. */
  weight: Parameter;
  /** [out], or null without. */
  bias: Parameter | null;
  /** Pixels from one output to the next. */
  readonly stride: number;
  /** Zeros around the image. */
  readonly padding: number;

  /**
   * Makes a layer with random weights.
   * @param inChannels of the image
   * @param outChannels of the output, the filters
   * @param kernelSize height and width of a filter
   * @throws RangeError unless all and the stride are positive whole numbers, and the padding one or 0.
   */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly kernelSize: number,
    { bias = true, generator, stride = 1, padding = 0 }: Conv2dLayerOptions = {},
  ) {
    super();
    positive("inChannels", inChannels);
    positive("outChannels", outChannels);
    positive("kernelSize", kernelSize);
    positive("stride", stride);
    if (!Number.isInteger(padding) || padding < 0) {
      throw new RangeError(`padding must be a whole number of at least 0, not ${padding}`);
    }
    this.stride = stride;
    this.padding = padding;
    const shape = [kernelSize, kernelSize, inChannels, outChannels];
    const fanIn = kernelSize * kernelSize * inChannels;
    this.weight = new Parameter(torchDefault(shape, fanIn, generator));
    this.bias = bias ? new Parameter(torchDefault([outChannels], fanIn, generator)) : null;
  }

  /**
   * The convolution, plus the residual.
   * @param x [N,H,W,in]
   * @param residual [N,H',W',out]; default none
   * @returns [N,H',W',out]
   * @throws Error if shapes do not fit, or the kernel is larger than the padded image.
   */
  override forward(x: Tensor, residual?: Tensor): Tensor {
    return F.conv2d(x, this.weight, this.bias, { stride: this.stride, padding: this.padding, residual });
  }
}

/**
 * Group normalisation over [N,…,C] (see {@link F.groupNorm}), with SiLU after it where `silu` is set; the same in training
 * and evaluation. Weight and bias [C].
 */
export class GroupNorm extends Module<[Tensor], Tensor> {
  /** Scale of each channel, [C]. */
  weight: Parameter;
  /** Shift of each channel, [C]. */
  bias: Parameter;
  /** Added to the variance. */
  readonly eps: number;
  /** Whether SiLU follows. */
  readonly silu: boolean;

  /**
   * Makes a layer of scale 1 and shift 0.
   * @param groups how many the channels are divided into, neighbours together
   * @param channels of the input
   * @throws Error if the groups do not divide the channels; RangeError for numbers that are not positive and whole, and
   *   for another eps.
   */
  constructor(
    readonly groups: number,
    readonly channels: number,
    { eps = 1e-5, silu = false }: GroupNormOptions = {},
  ) {
    super();
    positive("channels", channels);
    requireGroups(groups, channels);
    requireEps("GroupNorm", eps);
    this.eps = eps;
    this.silu = silu;
    this.weight = new Parameter(tf.ones([channels]));
    this.bias = new Parameter(tf.zeros([channels]));
  }

  /**
   * The normalised input.
   * @param x [N,…,C]
   * @returns x's shape
   * @throws Error for other channels.
   */
  override forward(x: Tensor): Tensor {
    return F.groupNorm(x, this.groups, this.weight, this.bias, this);
  }
}

/** Options of {@link BatchNorm1d} and {@link BatchNorm2d}, with PyTorch's defaults. */
export interface BatchNormOptions {
  /** Added to the variance, at least 0; default 1e-5. */
  eps?: number;
  /** Share of a batch's statistics in the running ones, in [0, 1]; default 0.1. */
  momentum?: number;
}

/**
 * Normalises each channel (Ioffe & Szegedy 2015): in training by the batch's mean and biased variance, which the running
 * statistics follow (the running variance the unbiased one, as PyTorch's); in evaluation by the running statistics.
 */
export abstract class BatchNorm extends Module<[Tensor], Tensor> {
  /** Scale of each channel, [C]. */
  weight: Parameter;
  /** Shift of each channel, [C]. */
  bias: Parameter;
  /** What evaluation takes for the mean, [C]; PyTorch's name. */
  running_mean: Buffer;
  /** What evaluation takes for the variance, [C]; PyTorch's name. */
  running_var: Buffer;
  /** Added to the variance. */
  readonly eps: number;
  /** Share of a batch's statistics in the running ones, in [0, 1]; settable. */
  momentum: number;
  /** Axes of the input. */
  protected abstract readonly rank: number;

  /**
   * Makes a layer of scale 1 and shift 0, with running mean 0 and variance 1.
   * @param channels of the input
   * @throws RangeError unless it is a positive whole number, eps above 0, and momentum from 0 to 1.
   */
  constructor(readonly channels: number, { eps = 1e-5, momentum = 0.1 }: BatchNormOptions = {}) {
    super();
    positive("channels", channels);
    requireEps("BatchNorm", eps);
    inRange("momentum", momentum, 0, 1);
    this.eps = eps;
    this.momentum = momentum;
    this.weight = new Parameter(tf.ones([channels]));
    this.bias = new Parameter(tf.zeros([channels]));
    this.running_mean = new Buffer(tf.zeros([channels]));
    this.running_var = new Buffer(tf.ones([channels]));
  }

  /**
   * The normalised input; in training the running statistics follow.
   * @param x [N,C] or [N,H,W,C]
   * @returns x's shape
   * @throws Error for another shape, and in training for one value a channel.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length !== this.rank || x.shape.at(-1) !== this.channels) {
      const wanted = this.rank === 2 ? "[N,C]" : "[N,H,W,C]";
      throw new Error(`Batch norm of ${this.channels} channels takes ${wanted}, not [${x.shape}]`);
    }
    if (!this.training) {
      const scale = tf.mul(tf.rsqrt(tf.add(this.running_var.value, this.eps)), this.weight);
      return F.channelAffine(x, scale, tf.sub(this.bias, tf.mul(this.running_mean.value, scale)));
    }
    const count = x.size / this.channels;
    const { y, mean, variance } = F.batchNorm(x, this.weight, this.bias, this.eps);
    noGrad(() => {
      this.#follow(this.running_mean, mean);
      this.#follow(this.running_var, variance, count / (count - 1));
    });
    return y;
  }

  /** running ← (1 − momentum)·running + momentum·factor·now. */
  #follow(running: Buffer, now: Tensor, factor = 1): void {
    const old = tf.mul(running.value, 1 - this.momentum);
    running.value = tf.add(old, tf.mul(now, this.momentum * factor));
  }
}

/** {@link BatchNorm} over [N,C]. */
export class BatchNorm1d extends BatchNorm {
  /** Axes of [N,C]. */
  protected override readonly rank: number = 2;
}

/** {@link BatchNorm} over [N,H,W,C]. */
export class BatchNorm2d extends BatchNorm {
  /** Axes of [N,H,W,C]. */
  protected override readonly rank: number = 4;
}

/** x·sigmoid(x). */
export class SiLU extends Module<[Tensor], Tensor> {
  /**
   * The activation of each number.
   * @param x any shape
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    return F.silu(x);
  }
}

/** x·Φ(x), Φ the normal distribution function; see {@link F.gelu}. */
export class GELU extends Module<[Tensor], Tensor> {
  /**
   * The activation of each number.
   * @param x any shape
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    return F.gelu(x);
  }
}

/** max(x, 0). */
export class ReLU extends Module<[Tensor], Tensor> {
  /**
   * The activation of each number.
   * @param x any shape
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    return F.relu(x);
  }
}

/** Options of {@link GeneralRelu}. */
export interface GeneralReluOptions {
  /** Slope below 0, finite; default 0. */
  leak?: number;
  /** Subtracted from the output, finite; default 0. */
  sub?: number;
  /** Largest output, after sub; default Infinity, none. */
  maxV?: number;
}

/** min(y − sub, maxV) where y is x above 0 and leak·x below; source: miniai 12_activations. */
export class GeneralRelu extends Module<[Tensor], Tensor> {
  /** Slope below 0. */
  readonly leak: number;
  /** Subtracted from the output. */
  readonly sub: number;
  /** Largest output. */
  readonly maxV: number;

  /**
   * Keeps the options.
   * @throws RangeError for a leak or sub that is no finite number, or a maxV that is none.
   */
  constructor({ leak = 0, sub = 0, maxV = Infinity }: GeneralReluOptions = {}) {
    super();
    inRange("leak", leak, -Number.MAX_VALUE);
    inRange("sub", sub, -Number.MAX_VALUE);
    if (!(maxV > -Infinity)) throw new RangeError(`maxV is a number, not ${maxV}`);
    this.leak = leak;
    this.sub = sub;
    this.maxV = maxV;
  }

  /**
   * The activation of each number.
   * @param x any shape
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    const y = F.generalRelu(x, this.leak, this.sub);
    return this.maxV === Infinity ? y : tf.minimum(y, this.maxV);
  }
}

/** {@link F.averagePool}: means of factor × factor blocks of [N,H,W,C]. */
export class AvgPool2d extends Module<[Tensor], Tensor> {
  /**
   * Keeps the size of the blocks.
   * @param factor height and width of a block; default 2
   * @throws RangeError unless it is a positive whole number.
   */
  constructor(readonly factor = 2) {
    super();
    positive("factor", factor);
  }

  /**
   * The blocks' means; a part of a block at the border is a block.
   * @param x [N,H,W,C]
   * @returns [N,⌈H/factor⌉,⌈W/factor⌉,C]
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    return F.averagePool(x, this.factor);
  }
}

/** Mean over the pixels: [N,H,W,C] to [N,C]. */
export class GlobalAvgPool extends Module<[Tensor], Tensor> {
  /**
   * The mean of each channel.
   * @param x [N,H,W,C]
   * @returns [N,C]
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    requireLayout("GlobalAvgPool", "x", x.shape, "[N,H,W,C]");
    return tf.mean(x, [1, 2]);
  }
}

/** Zeroes single elements in training (see {@link F.dropout}); the identity in evaluation. */
export class Dropout extends Module<[Tensor], Tensor> {
  /**
   * Keeps the rate.
   * @param p probability of a zero, in [0, 1]; default 0.5
   * @param generator draws what is zeroed; default the shared one
   * @throws RangeError for another rate.
   */
  constructor(readonly p = 0.5, readonly generator: Generator = defaultGenerator) {
    super();
    requireProbability("Dropout", "p", p);
  }

  /** Axes that share one draw. */
  protected get axes(): number[] {
    return [];
  }

  /**
   * The input, in training with zeros and the rest multiplied by 1/(1 − p).
   * @param x any shape
   * @returns x's shape
   */
  override forward(x: Tensor): Tensor {
    return this.training ? F.dropout(x, this.p, this.axes, this.generator) : tf.clone(x);
  }
}

/** Zeroes whole channels of images [N,H,W,C] in training (Tompson et al. 2015); the identity in evaluation. */
export class Dropout2d extends Dropout {
  /** Rows and columns share one draw. */
  protected override get axes(): number[] {
    return [1, 2];
  }

  /**
   * The image, in training with channels of zeros and the rest multiplied by 1/(1 − p).
   * @param x [N,H,W,C]
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length !== 4) {
      throw new Error(`Dropout2d takes [N,H,W,C], not a tensor of shape [${x.shape}]`);
    }
    return super.forward(x);
  }
}

/** [N, …] to [N, rest], in PyTorch's order of axes (channels before rows and columns). */
export class Flatten extends Module<[Tensor], Tensor> {
  /**
   * One row for each item.
   * @param x [N,…]
   * @returns [N,rest]
   * @throws Error for a single number.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length === 0) throw new Error("Flatten takes [N,…], not a single number");
    const nchw = x.shape.length === 4 ? tf.transpose(x, [0, 3, 1, 2]) : x;
    return tf.reshape(nchw, [x.shape[0], -1]);
  }
}

/** Nearest-neighbour upsampling of [N,H,W,C] (see {@link F.upsampleNearest}). */
export class Upsample extends Module<[Tensor], Tensor> {
  /**
   * Keeps the factor.
   * @param factor how often a pixel is repeated along each axis; default 2
   * @throws RangeError unless it is a positive whole number.
   */
  constructor(readonly factor = 2) {
    super();
    positive("factor", factor);
  }

  /**
   * The image with every pixel repeated.
   * @param x [N,H,W,C]
   * @returns [N,factor·H,factor·W,C]
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    return F.upsampleNearest(x, this.factor);
  }
}
