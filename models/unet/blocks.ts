/** The parts of the U-Net, named as in Diffusers v0.11 so that weights go both ways. Images are NHWC. */
import { Conv2d, F, GroupNorm, Linear, Module, type Tensor, tf } from "../../core/mod.ts";

/** What every block needs to know. */
export interface BlockOptions {
  /** Channels of the time embedding. */
  tembChannels: number;
  /** Groups of the norms. */
  groups: number;
  /** Epsilon of the norms. */
  eps: number;
  /** Channels of an attention head; null for one head. */
  headDim: number | null;
  /** Padding of the downsampling convolutions. */
  downsamplePadding: number;
}

/** conv(silu(norm)) twice, the time embedding added between, plus the input (Ho et al. 2020, appendix B). */
export class ResnetBlock2D extends Module<[Tensor, Tensor], Tensor> {
  norm1: GroupNorm;
  conv1: Conv2d;
  time_emb_proj: Linear;
  norm2: GroupNorm;
  conv2: Conv2d;
  conv_shortcut: Conv2d | null;

  constructor(
    inChannels: number,
    outChannels: number,
    { tembChannels, groups, eps }: BlockOptions,
    readonly outputScaleFactor = 1,
  ) {
    super();
    this.norm1 = new GroupNorm(groups, inChannels, { eps, silu: true });
    this.conv1 = new Conv2d(inChannels, outChannels, 3, { padding: 1 });
    this.time_emb_proj = new Linear(tembChannels, outChannels);
    this.norm2 = new GroupNorm(groups, outChannels, { eps, silu: true });
    this.conv2 = new Conv2d(outChannels, outChannels, 3, { padding: 1 });
    this.conv_shortcut = inChannels === outChannels ? null : new Conv2d(inChannels, outChannels, 1);
  }

  /** @param x [N,H,W,in] @param temb [N,tembChannels], after SiLU @returns [N,H,W,out] */
  override forward(x: Tensor, temb: Tensor): Tensor {
    let h = this.conv1.call(this.norm1.call(x));
    h = F.addChannels(h, this.time_emb_proj.call(temb));
    const y = this.conv2.call(this.norm2.call(h), this.conv_shortcut ? this.conv_shortcut.call(x) : x);
    return this.outputScaleFactor === 1 ? y : tf.div(y, this.outputScaleFactor);
  }
}

/** Self-attention over the pixels, plus the input (Diffusers' `AttentionBlock`). */
export class AttentionBlock extends Module<[Tensor], Tensor> {
  group_norm: GroupNorm;
  query: Linear;
  key: Linear;
  value: Linear;
  proj_attn: Linear;
  readonly heads: number;

  constructor(
    channels: number,
    { groups, eps, headDim }: BlockOptions,
    readonly rescaleOutputFactor = 1,
  ) {
    super();
    if (headDim !== null && channels % headDim !== 0) {
      throw new Error(`${channels} channels do not divide into heads of ${headDim} (attention_head_dim)`);
    }
    this.heads = headDim === null ? 1 : channels / headDim;
    this.group_norm = new GroupNorm(groups, channels, { eps });
    this.query = new Linear(channels, channels);
    this.key = new Linear(channels, channels);
    this.value = new Linear(channels, channels);
    this.proj_attn = new Linear(channels, channels);
  }

  /** @param x [N,H,W,C] @returns the same shape */
  override forward(x: Tensor): Tensor {
    const [n, h, w, c] = x.shape;
    const tokens = tf.reshape(this.group_norm.call(x), [n, h * w, c]);
    const [q, k, v] = [this.query, this.key, this.value].map((m) => m.call(tokens));
    const attended = F.attention(q, k, v, this.heads);
    const y = tf.reshape(this.proj_attn.call(attended, tf.reshape(x, tokens.shape)), x.shape);
    return this.rescaleOutputFactor === 1 ? y : tf.div(y, this.rescaleOutputFactor);
  }
}

/** Halves the image by a strided convolution; with padding 0, one row and column of zeros follow the last. */
export class Downsample2D extends Module<[Tensor], Tensor> {
  conv: Conv2d;
  constructor(channels: number, readonly padding: number) {
    super();
    this.conv = new Conv2d(channels, channels, 3, { stride: 2, padding });
  }
  override forward(x: Tensor): Tensor {
    return this.conv.call(this.padding ? x : tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]));
  }
}

/** Doubles the image by repeating pixels, then a convolution. */
export class Upsample2D extends Module<[Tensor], Tensor> {
  conv: Conv2d;
  constructor(channels: number) {
    super();
    this.conv = new Conv2d(channels, channels, 3, { padding: 1 });
  }
  override forward(x: Tensor): Tensor {
    return this.conv.call(F.upsampleNearest(x));
  }
}

/** Residual blocks, attention after each where asked, then a downsampler unless it is the last block. */
export class DownBlock extends Module<[Tensor, Tensor], Tensor[]> {
  resnets: ResnetBlock2D[];
  attentions: AttentionBlock[];
  downsamplers: Downsample2D[];

  constructor(
    inChannels: number,
    outChannels: number,
    layers: number,
    addDownsample: boolean,
    addAttention: boolean,
    options: BlockOptions,
  ) {
    super();
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) =>
      new ResnetBlock2D(i === 0 ? inChannels : outChannels, outChannels, options)
    );
    this.attentions = addAttention ? each.map(() => new AttentionBlock(outChannels, options)) : [];
    this.downsamplers = addDownsample ? [new Downsample2D(outChannels, options.downsamplePadding)] : [];
  }

  /** @returns the output of every layer, for the skip connections; the last one is the block's own. */
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

/** Residual blocks that each take one skip connection, attention where asked, an upsampler unless it is the last. */
export class UpBlock extends Module<[Tensor, Tensor[], Tensor], Tensor> {
  resnets: ResnetBlock2D[];
  attentions: AttentionBlock[];
  upsamplers: Upsample2D[];

  constructor(
    inChannels: number,
    prevOutputChannel: number,
    outChannels: number,
    layers: number,
    addUpsample: boolean,
    addAttention: boolean,
    options: BlockOptions,
  ) {
    super();
    const each = Array.from({ length: layers });
    this.resnets = each.map((_, i) => {
      const skip = i === layers - 1 ? inChannels : outChannels;
      const from = i === 0 ? prevOutputChannel : outChannels;
      return new ResnetBlock2D(from + skip, outChannels, options);
    });
    this.attentions = addAttention ? each.map(() => new AttentionBlock(outChannels, options)) : [];
    this.upsamplers = addUpsample ? [new Upsample2D(outChannels)] : [];
  }

  /** @param skips as many states as there are residual blocks; the last is used first */
  override forward(x: Tensor, skips: Tensor[], temb: Tensor): Tensor {
    this.resnets.forEach((resnet, i) => {
      x = resnet.call(tf.concat([x, skips[skips.length - 1 - i]], -1), temb);
      if (this.attentions[i]) x = this.attentions[i].call(x);
    });
    for (const up of this.upsamplers) x = up.call(x);
    return x;
  }
}

/** A residual block, attention, a residual block. */
export class UNetMidBlock2D extends Module<[Tensor, Tensor], Tensor> {
  resnets: ResnetBlock2D[];
  attentions: AttentionBlock[];

  constructor(channels: number, addAttention: boolean, scale: number, options: BlockOptions) {
    super();
    this.resnets = [1, 2].map(() => new ResnetBlock2D(channels, channels, options, scale));
    this.attentions = addAttention ? [new AttentionBlock(channels, options, scale)] : [];
  }

  override forward(x: Tensor, temb: Tensor): Tensor {
    x = this.resnets[0].call(x, temb);
    for (const attention of this.attentions) x = attention.call(x);
    return this.resnets[1].call(x, temb);
  }
}
