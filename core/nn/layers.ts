/** The layers that models are built from. Images are NHWC. */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import { noGrad, Parameter } from "../autograd/tape.ts";
import { defaultGenerator, type Generator } from "../random.ts";
import * as F from "./functional.ts";
import { torchDefault } from "./init.ts";
import { Buffer, Module } from "./module.ts";

/** Options that layers with random weights share. */
export interface LayerOptions {
  /** Whether there is a bias; default true. */
  bias?: boolean;
  /** Where initial weights are drawn from; default the shared generator. */
  generator?: Generator;
}

function positive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name} must be a positive whole number, not ${value}`);
  }
}

/** Modules one after another; `new Sequential(a, b)` names them "0", "1". */
export class Sequential extends Module<[Tensor], Tensor> {
  [index: number]: Module<[Tensor], Tensor>;
  #layers: Module<[Tensor], Tensor>[];

  constructor(...layers: Module<[Tensor], Tensor>[]) {
    super();
    this.#layers = layers;
    layers.forEach((layer, i) => this[i] = layer);
  }

  /** The modules in order. */
  get layers(): readonly Module<[Tensor], Tensor>[] {
    return this.#layers;
  }

  override forward(x: Tensor): Tensor {
    return this.#layers.reduce((y, layer) => layer.call(y), x);
  }
}

/**
 * y = x·Wᵀ + b (+ residual). Weight [out,in], bias [out]; PyTorch's initialisation. Input […,in], output and residual
 * […,out].
 */
export class Linear extends Module<[Tensor, Tensor?], Tensor> {
  weight: Parameter;
  bias: Parameter | null;

  constructor(readonly inFeatures: number, readonly outFeatures: number, options: LayerOptions = {}) {
    super();
    positive("inFeatures", inFeatures);
    positive("outFeatures", outFeatures);
    const { bias = true, generator } = options;
    this.weight = new Parameter(torchDefault([outFeatures, inFeatures], inFeatures, generator));
    this.bias = bias ? new Parameter(torchDefault([outFeatures], inFeatures, generator)) : null;
  }

  override forward(x: Tensor, residual?: Tensor): Tensor {
    return F.linear(x, this.weight, this.bias, residual);
  }
}

/** Options of {@link Conv2d}. */
export interface Conv2dLayerOptions extends LayerOptions, Omit<F.Conv2dOptions, "residual"> {}

/**
 * 2-D convolution with a square kernel. Weight [k,k,in,out], bias [out]; PyTorch's initialisation.
 * Input [N,H,W,in], output and residual (added to it) [N,H',W',out].
 */
export class Conv2d extends Module<[Tensor, Tensor?], Tensor> {
  weight: Parameter;
  bias: Parameter | null;
  readonly stride: number;
  readonly padding: number;

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
    this.stride = stride;
    this.padding = padding;
    const shape = [kernelSize, kernelSize, inChannels, outChannels];
    const fanIn = kernelSize * kernelSize * inChannels;
    this.weight = new Parameter(torchDefault(shape, fanIn, generator));
    this.bias = bias ? new Parameter(torchDefault([outChannels], fanIn, generator)) : null;
  }

  override forward(x: Tensor, residual?: Tensor): Tensor {
    return F.conv2d(x, this.weight, this.bias, { stride: this.stride, padding: this.padding, residual });
  }
}

/** Group normalisation over [N,…,C], with SiLU after it where `silu` is set. Weight and bias [C]. */
export class GroupNorm extends Module<[Tensor], Tensor> {
  weight: Parameter;
  bias: Parameter;
  readonly eps: number;
  readonly silu: boolean;

  /** @throws Error if the groups do not divide the channels. */
  constructor(
    readonly groups: number,
    readonly channels: number,
    { eps = 1e-5, silu = false }: { eps?: number; silu?: boolean } = {},
  ) {
    super();
    F.requireGroups(groups, channels);
    this.eps = eps;
    this.silu = silu;
    this.weight = new Parameter(tf.ones([channels]));
    this.bias = new Parameter(tf.zeros([channels]));
  }

  override forward(x: Tensor): Tensor {
    return F.groupNorm(x, this.groups, this.weight, this.bias, this);
  }
}

/** Options of {@link BatchNorm1d} and {@link BatchNorm2d}, with PyTorch's defaults. */
export interface BatchNormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number;
  /** Share of a batch's statistics in the running ones; default 0.1. */
  momentum?: number;
}

/** Normalises each channel over the batch (Ioffe & Szegedy 2015); in eval by the running statistics. */
abstract class BatchNorm extends Module<[Tensor], Tensor> {
  weight: Parameter;
  bias: Parameter;
  running_mean: Buffer;
  running_var: Buffer;
  readonly eps: number;
  momentum: number;
  protected abstract readonly rank: number;

  constructor(readonly channels: number, { eps = 1e-5, momentum = 0.1 }: BatchNormOptions = {}) {
    super();
    positive("channels", channels);
    this.eps = eps;
    this.momentum = momentum;
    this.weight = new Parameter(tf.ones([channels]));
    this.bias = new Parameter(tf.zeros([channels]));
    this.running_mean = new Buffer(tf.zeros([channels]));
    this.running_var = new Buffer(tf.ones([channels]));
  }

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
  protected override readonly rank = 2;
}

/** {@link BatchNorm} over [N,H,W,C]. */
export class BatchNorm2d extends BatchNorm {
  protected override readonly rank = 4;
}

/** x·sigmoid(x). */
export class SiLU extends Module<[Tensor], Tensor> {
  override forward(x: Tensor): Tensor {
    return F.silu(x);
  }
}

/** max(x, 0). */
export class ReLU extends Module<[Tensor], Tensor> {
  override forward(x: Tensor): Tensor {
    return F.relu(x);
  }
}

/** Options of {@link GeneralRelu}. */
export interface GeneralReluOptions {
  /** Slope below 0; default 0. */
  leak?: number;
  /** Subtracted from the output; default 0. */
  sub?: number;
  /** Largest output; default none. */
  maxV?: number;
}

/** min(max(x, leak·x) − sub, maxV); source: miniai 12_activations. */
export class GeneralRelu extends Module<[Tensor], Tensor> {
  readonly leak: number;
  readonly sub: number;
  readonly maxV: number;
  constructor({ leak = 0, sub = 0, maxV = Infinity }: GeneralReluOptions = {}) {
    super();
    [this.leak, this.sub, this.maxV] = [leak, sub, maxV];
  }
  override forward(x: Tensor): Tensor {
    const y = F.generalRelu(x, this.leak, this.sub);
    return this.maxV === Infinity ? y : tf.minimum(y, this.maxV);
  }
}

/** {@link F.averagePool}: means of factor × factor blocks of [N,H,W,C]. */
export class AvgPool2d extends Module<[Tensor], Tensor> {
  constructor(readonly factor = 2) {
    super();
    positive("factor", factor);
  }
  override forward(x: Tensor): Tensor {
    return F.averagePool(x, this.factor);
  }
}

/** Mean over the pixels: [N,H,W,C] to [N,C]. */
export class GlobalAvgPool extends Module<[Tensor], Tensor> {
  override forward(x: Tensor): Tensor {
    return tf.mean(x, [1, 2]);
  }
}

/** Zeroes single elements in training; the identity in eval. */
export class Dropout extends Module<[Tensor], Tensor> {
  /** @param p probability of a zero, in [0, 1). @throws RangeError outside it. */
  constructor(readonly p = 0.5, readonly generator: Generator = defaultGenerator) {
    super();
    if (!(p >= 0 && p < 1)) throw new RangeError(`A dropout rate lies in [0, 1), not ${p}`);
  }

  /** Axes that share one draw. */
  protected get axes(): number[] {
    return [];
  }

  override forward(x: Tensor): Tensor {
    return this.training ? F.dropout(x, this.p, this.axes, this.generator) : tf.clone(x);
  }
}

/** Zeroes whole channels of an image [N,H,W,C] in training (Tompson et al. 2015). */
export class Dropout2d extends Dropout {
  protected override get axes(): number[] {
    return [1, 2];
  }
}

/** [N, …] to [N, rest], in PyTorch's order of axes (channels before rows and columns). */
export class Flatten extends Module<[Tensor], Tensor> {
  override forward(x: Tensor): Tensor {
    const nchw = x.shape.length === 4 ? tf.transpose(x, [0, 3, 1, 2]) : x;
    return tf.reshape(nchw, [x.shape[0], -1]);
  }
}

/** Nearest-neighbour upsampling of [N,H,W,C]. */
export class Upsample extends Module<[Tensor], Tensor> {
  constructor(readonly factor = 2) {
    super();
    positive("factor", factor);
  }
  override forward(x: Tensor): Tensor {
    return F.upsampleNearest(x, this.factor);
  }
}
