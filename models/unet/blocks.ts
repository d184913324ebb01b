/** The parts of the U-Net, named as in Diffusers v0.11 so that weights go both ways. Images are NHWC. */
import { Conv2d, F, GroupNorm, Linear, Module, type Tensor, tf } from "../../core/mod.ts";

/** @throws RangeError unless a number by which an output is divided is above 0. */
function requireDivisor(block: string, name: string, value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new RangeError(`${block}: ${name} is a number above 0, not ${value}`);
}

/** @throws RangeError unless a block has a whole number of layers, one at least. */
export function requireLayers(block: string, layers: number): void {
  if (Number.isInteger(layers) && layers >= 1) return;
  throw new RangeError(`${block}: layers is a positive whole number, not ${layers}`);
}

/** What the norms of a block are made with. */
export interface NormOptions {
  /** Groups of the norms; they divide the channels. */
  groups: number;
  /** Epsilon of the norms, above 0. */
  eps: number;
}

/** What a {@link ResnetBlock2D} is made with. */
export interface ResnetBlockOptions extends NormOptions {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Channels of the time embedding. */
  tembChannels: number;
  /** What the output is divided by, above 0; default 1. */
  outputScaleFactor?: number;
}

/** conv(silu(norm)) twice, the time embedding added between, plus the input (Ho et al. 2020, appendix B). */
export class ResnetBlock2D extends Module<[Tensor, Tensor], Tensor> {
  /** Norm and SiLU of the input. */
  norm1: GroupNorm;
  /** To the output's channels. */
  conv1: Conv2d;
  /** Of the time embedding, to the output's channels. */
  time_emb_proj: Linear;
  /** Norm and SiLU of the sum. */
  norm2: GroupNorm;
  /** The last convolution. */
  conv2: Conv2d;
  /** Of the input, where the channels change; else null. */
  conv_shortcut: Conv2d | null;
  /** What the output is divided by. */
  readonly outputScaleFactor: number;

  /**
   * Makes the parts with random weights.
   * @throws Error unless the groups divide both numbers of channels; RangeError for numbers out of range.
   */
  constructor(options: ResnetBlockOptions) {
    super();
    const { inChannels, outChannels, tembChannels, groups, eps, outputScaleFactor = 1 } = options;
    requireDivisor("ResnetBlock2D", "outputScaleFactor", outputScaleFactor);
    this.norm1 = new GroupNorm(groups, inChannels, { eps, silu: true });
    this.conv1 = new Conv2d(inChannels, outChannels, 3, { padding: 1 });
    this.time_emb_proj = new Linear(tembChannels, outChannels);
    this.norm2 = new GroupNorm(groups, outChannels, { eps, silu: true });
    this.conv2 = new Conv2d(outChannels, outChannels, 3, { padding: 1 });
    this.conv_shortcut = inChannels === outChannels ? null : new Conv2d(inChannels, outChannels, 1);
    this.outputScaleFactor = outputScaleFactor;
  }

  /**
   * The block's output.
   * @param x [N,H,W,inChannels]
   * @param temb [N,tembChannels], after SiLU
   * @returns [N,H,W,outChannels]
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor): Tensor {
    let h = this.conv1.call(this.norm1.call(x));
    h = F.addChannels(h, this.time_emb_proj.call(temb));
    const y = this.conv2.call(this.norm2.call(h), this.conv_shortcut ? this.conv_shortcut.call(x) : x);
    return this.outputScaleFactor === 1 ? y : tf.div(y, this.outputScaleFactor);
  }
}

/** What an {@link AttentionBlock} is made with. */
export interface AttentionBlockOptions extends NormOptions {
  /** Channels of the image. */
  channels: number;
  /** Channels of an attention head, a divisor of `channels`; null for one head. */
  headDim: number | null;
  /** What the output is divided by, above 0; default 1. */
  rescaleOutputFactor?: number;
}

/** Self-attention over the pixels, plus the input (Diffusers' `AttentionBlock`). */
export class AttentionBlock extends Module<[Tensor], Tensor> {
  /** Norm of the input. */
  group_norm: GroupNorm;
  /** What each pixel looks for. */
  query: Linear;
  /** What each pixel is found by. */
  key: Linear;
  /** What each pixel gives. */
  value: Linear;
  /** Of what the pixels are given. */
  proj_attn: Linear;
  /** Attention heads. */
  readonly heads: number;
  /** What the output is divided by. */
  readonly rescaleOutputFactor: number;

  /**
   * Makes the parts with random weights.
   * @throws Error unless the heads and the groups divide the channels; RangeError for numbers out of range.
   */
  constructor({ channels, headDim, groups, eps, rescaleOutputFactor = 1 }: AttentionBlockOptions) {
    super();
    requireDivisor("AttentionBlock", "rescaleOutputFactor", rescaleOutputFactor);
    if (headDim !== null && !(headDim >= 1 && channels % headDim === 0)) {
      throw new Error(`${channels} channels do not divide into heads of ${headDim} (attention_head_dim)`);
    }
    this.heads = headDim === null ? 1 : channels / headDim;
    this.rescaleOutputFactor = rescaleOutputFactor;
    this.group_norm = new GroupNorm(groups, channels, { eps });
    this.query = new Linear(channels, channels);
    this.key = new Linear(channels, channels);
    this.value = new Linear(channels, channels);
    this.proj_attn = new Linear(channels, channels);
  }

  /**
   * What the pixels are given, plus x.
   * @param x [N,H,W,channels]
   * @returns x's shape
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length !== 4) throw new Error(`AttentionBlock takes [N,H,W,C], not [${x.shape}]`);
    const [n, h, w, c] = x.shape;
    const tokens = tf.reshape(this.group_norm.call(x), [n, h * w, c]);
    const [q, k, v] = [this.query, this.key, this.value].map((m) => m.call(tokens));
    const attended = F.attention(q, k, v, this.heads);
    const y = tf.reshape(this.proj_attn.call(attended, tf.reshape(x, tokens.shape)), x.shape);
    return this.rescaleOutputFactor === 1 ? y : tf.div(y, this.rescaleOutputFactor);
  }
}

/** Halves the image by a convolution of stride 2. */
export class Downsample2D extends Module<[Tensor], Tensor> {
  /** The convolution. */
  conv: Conv2d;
  /** Zeros around the image, 1 or 0; with 0, one row and column of zeros follow the last. */
  readonly padding: number;

  /**
   * Makes the convolution with random weights.
   * @param channels of the image
   * @param padding zeros around the image, 1 or 0; with 0, one row and column of zeros follow the last
   * @throws RangeError for another padding, and for channels that are no positive whole number.
   */
  constructor(channels: number, padding: number) {
    super();
    if (padding !== 0 && padding !== 1) {
      throw new RangeError(`Downsample2D: padding is 0 or 1, not ${padding}`);
    }
    this.padding = padding;
    this.conv = new Conv2d(channels, channels, 3, { stride: 2, padding });
  }

  /**
   * The halved image.
   * @param x [N,H,W,channels]
   * @returns [N,H/2,W/2,channels]; of an odd size with padding 1 rounded up, with padding 0 down
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    if (x.shape.length !== 4) throw new Error(`Downsample2D takes [N,H,W,C], not [${x.shape}]`);
    return this.conv.call(this.padding ? x : tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]));
  }
}

/** Doubles the image by repeating pixels, then a convolution. */
export class Upsample2D extends Module<[Tensor], Tensor> {
  /** The convolution. */
  conv: Conv2d;

  /**
   * Makes the convolution with random weights.
   * @param channels of the image
   * @throws RangeError unless that is a positive whole number.
   */
  constructor(channels: number) {
    super();
    this.conv = new Conv2d(channels, channels, 3, { padding: 1 });
  }

  /**
   * The doubled image.
   * @param x [N,H,W,channels]
   * @returns [N,2H,2W,channels]
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    return this.conv.call(F.upsampleNearest(x));
  }
}

/** What {@link DownBlock} and {@link UpBlock} are made with. */
export interface BlockOptions extends NormOptions {
  /** Channels of the input; of an up block, those of the last skip connection. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Channels of the time embedding. */
  tembChannels: number;
  /** Residual blocks, one at least. */
  layers: number;
  /** Whether attention follows each residual block. */
  addAttention: boolean;
  /** Channels of an attention head; null for one head. */
  headDim: number | null;
}

/** What a {@link DownBlock} is made with. */
export interface DownBlockOptions extends BlockOptions {
  /** Whether a downsampler comes last. */
  addDownsample: boolean;
  /** Zeros around the image that the downsampler halves, 1 or 0; see {@link Downsample2D}. */
  downsamplePadding: number;
}

/** Residual blocks, attention after each where asked, then a downsampler where asked. */
export class DownBlock extends Module<[Tensor, Tensor], Tensor[]> {
  /** Residual blocks. */
  resnets: ResnetBlock2D[];
  /** Attention after each of them, or none. */
  attentions: AttentionBlock[];
  /** One, or none. */
  downsamplers: Downsample2D[];

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels; RangeError for numbers out of range.
   */
  constructor({ inChannels, outChannels, layers, ...options }: DownBlockOptions) {
    super();
    requireLayers("DownBlock", layers);
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) =>
      new ResnetBlock2D({ ...options, inChannels: i === 0 ? inChannels : outChannels, outChannels })
    );
    const attention = () => new AttentionBlock({ ...options, channels: outChannels });
    this.attentions = options.addAttention ? each.map(attention) : [];
    this.downsamplers = options.addDownsample
      ? [new Downsample2D(outChannels, options.downsamplePadding)]
      : [];
  }

  /**
   * The outputs of all layers, for the skip connections.
   * @param x [N,H,W,inChannels]
   * @param temb [N,tembChannels], after SiLU
   * @returns [N,H,W,outChannels] of each residual block and its attention, then [N,H/2,W/2,outChannels] of the
   *   downsampler; the last one is the block's own
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor): Tensor[] {
    const states: Tensor[] = [];
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(x, temb);
      if (this.attentions[i]) x = this.attentions[i].call(x);
      states.push(x);
    });
    for (const down of this.downsamplers) states.push(x = down.call(x));
    return states;
  }
}

/** What an {@link UpBlock} is made with. */
export interface UpBlockOptions extends BlockOptions {
  /** Channels of what comes from the block before. */
  prevOutputChannel: number;
  /** Whether an upsampler comes last. */
  addUpsample: boolean;
}

/** Residual blocks that each take one skip connection, attention where asked, then an upsampler where asked. */
export class UpBlock extends Module<[Tensor, Tensor[], Tensor], Tensor> {
  /** Residual blocks. */
  resnets: ResnetBlock2D[];
  /** Attention after each of them, or none. */
  attentions: AttentionBlock[];
  /** One, or none. */
  upsamplers: Upsample2D[];

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels; RangeError for numbers out of range.
   */
  constructor({ inChannels, prevOutputChannel, outChannels, layers, ...options }: UpBlockOptions) {
    super();
    requireLayers("UpBlock", layers);
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) => {
      const skip = i === layers - 1 ? inChannels : outChannels;
      const from = i === 0 ? prevOutputChannel : outChannels;
      return new ResnetBlock2D({ ...options, inChannels: from + skip, outChannels });
    });
    const attention = () => new AttentionBlock({ ...options, channels: outChannels });
    this.attentions = options.addAttention ? each.map(attention) : [];
    this.upsamplers = options.addUpsample ? [new Upsample2D(outChannels)] : [];
  }

  /**
   * The block's output.
   * @param x [N,H,W,prevOutputChannel]
   * @param skips [N,H,W,…] of a down block, as many as there are residual blocks; the last is used first
   * @param temb [N,tembChannels], after SiLU
   * @returns [N,H,W,outChannels], or of twice the size
   * @throws Error for another number of skips, or other shapes.
   */
  override forward(x: Tensor, skips: Tensor[], temb: Tensor): Tensor {
    if (skips.length !== this.resnets.length) {
      throw new Error(`UpBlock takes ${this.resnets.length} skip connections, not ${skips.length}`);
    }
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(tf.concat([x, skips[skips.length - 1 - i]], -1), temb);
      if (this.attentions[i]) x = this.attentions[i].call(x);
    });
    for (const up of this.upsamplers) x = up.call(x);
    return x;
  }
}

/** What a {@link UNetMidBlock2D} is made with. */
export interface MidBlockOptions extends NormOptions {
  /** Channels of the image. */
  channels: number;
  /** Channels of the time embedding. */
  tembChannels: number;
  /** Whether there is attention between the residual blocks. */
  addAttention: boolean;
  /** Channels of an attention head; null for one head. */
  headDim: number | null;
  /** What each part's output is divided by, above 0. */
  scaleFactor: number;
}

/** A residual block, attention where asked, a residual block. */
export class UNetMidBlock2D extends Module<[Tensor, Tensor], Tensor> {
  /** The first and the last part. */
  resnets: ResnetBlock2D[];
  /** One, or none. */
  attentions: AttentionBlock[];

  /**
   * Makes the parts with random weights.
   * @throws Error unless groups and heads divide the channels; RangeError for numbers out of range.
   */
  constructor({ channels, addAttention, scaleFactor, ...options }: MidBlockOptions) {
    super();
    const resnet = () =>
      new ResnetBlock2D({
        ...options,
        inChannels: channels,
        outChannels: channels,
        outputScaleFactor: scaleFactor,
      });
    this.resnets = [resnet(), resnet()];
    const attention = () => new AttentionBlock({ ...options, channels, rescaleOutputFactor: scaleFactor });
    this.attentions = addAttention ? [attention()] : [];
  }

  /**
   * The middle's output.
   * @param x [N,H,W,channels]
   * @param temb [N,tembChannels], after SiLU
   * @returns x's shape
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor): Tensor {
    x = this.resnets[0].call(x, temb);
    for (const attention of this.attentions) x = attention.call(x);
    return this.resnets[1].call(x, temb);
  }
}
