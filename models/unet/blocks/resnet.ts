/** The residual block of the U-Net. */
import { Conv2d, Dropout, F, GroupNorm, Linear, Module, type Tensor, tf } from "../../../core/mod.ts";
import { type Activation, ACTIVATIONS } from "./activation.ts";
import { requireDivisor, type StyleOptions, type TimeScaleShift } from "./options.ts";

/** What a {@link ResnetBlock2D} is made with. */
export interface ResnetBlockOptions extends StyleOptions {
  /** Channels of the input. */
  inChannels: number;
  /** Channels of the output. */
  outChannels: number;
  /** Channels of the time embedding. */
  tembChannels: number;
  /** Groups of the second norm, a divisor of the output's channels; default `groups`. */
  groupsOut?: number;
  /** What the output is divided by, above 0; default 1. */
  outputScaleFactor?: number;
  /** Halves or doubles the images before the first convolution, of [N,H,W,C]; default none. */
  resize?: (x: Tensor) => Tensor;
  /** Whether a convolution of 1×1 leads past the block; default where the channels change. */
  convShortcut?: boolean;
}

/** conv(act(norm)) twice, the time embedding added between, plus the input (Ho et al. 2020, appendix B). */
export class ResnetBlock2D extends Module<[Tensor, Tensor], Tensor> {
  /** Norm of the input, and its SiLU where that is the activation. */
  norm1: GroupNorm;
  /** To the output's channels. */
  conv1: Conv2d;
  /** Of the time embedding, to the output's channels; twice as many for a scale and a shift. */
  time_emb_proj: Linear;
  /** Norm of the sum, and its SiLU where that follows at once. */
  norm2: GroupNorm;
  /** Before the last convolution; null without. */
  dropout: Dropout | null;
  /** The last convolution. */
  conv2: Conv2d;
  /** Of the input, where asked for; else null. */
  conv_shortcut: Conv2d | null;
  /** What the output is divided by. */
  readonly outputScaleFactor: number;
  /** The activation. */
  readonly act: Activation;
  /** How the time embedding comes in. */
  readonly timeScaleShift: TimeScaleShift;
  readonly #resize: ((x: Tensor) => Tensor) | undefined;

  /**
   * Makes the parts with random weights.
   * @throws Error unless the groups divide both numbers of channels; RangeError for numbers out of range.
   */
  constructor(options: ResnetBlockOptions) {
    super();
    const { inChannels, outChannels, tembChannels, groups, eps } = options;
    const { groupsOut = groups, outputScaleFactor = 1, dropout = 0 } = options;
    const { convShortcut = inChannels !== outChannels, act = "silu", timeScaleShift = "default" } = options;
    requireDivisor("ResnetBlock2D", "outputScaleFactor", outputScaleFactor);
    this.act = act;
    this.timeScaleShift = timeScaleShift;
    this.#resize = options.resize;
    const shifts = timeScaleShift === "scale_shift", silu = ACTIVATIONS[act] === F.silu;
    this.norm1 = new GroupNorm(groups, inChannels, { eps, silu });
    this.conv1 = new Conv2d(inChannels, outChannels, 3, { padding: 1 });
    this.time_emb_proj = new Linear(tembChannels, shifts ? 2 * outChannels : outChannels);
    this.norm2 = new GroupNorm(groupsOut, outChannels, { eps, silu: silu && !shifts });
    this.dropout = dropout === 0 ? null : new Dropout(dropout);
    this.conv2 = new Conv2d(outChannels, outChannels, 3, { padding: 1 });
    this.conv_shortcut = convShortcut ? new Conv2d(inChannels, outChannels, 1) : null;
    this.outputScaleFactor = outputScaleFactor;
  }

  /** The activation of a norm's output, which has done its SiLU itself. */
  #activate(norm: GroupNorm, x: Tensor): Tensor {
    return norm.silu ? x : ACTIVATIONS[this.act](x);
  }

  /** The second norm, told the time by what is added before it, or by a scale and a shift after it. */
  #tellTime(h: Tensor, time: Tensor): Tensor {
    if (this.timeScaleShift === "default") return this.norm2.call(F.addChannels(h, time));
    const [scale, shift] = tf.split(time, 2, 1);
    const factors = tf.reshape(tf.add(scale, 1), [scale.shape[0], 1, 1, -1]);
    return F.addChannels(tf.mul(this.norm2.call(h), factors), shift);
  }

  /**
   * The block's output.
   * @param x [N,H,W,inChannels]
   * @param temb [N,tembChannels], after the activation
   * @returns [N,H,W,outChannels], or of the size that `resize` gives
   * @throws Error for other shapes.
   */
  override forward(x: Tensor, temb: Tensor): Tensor {
    let h = this.#activate(this.norm1, this.norm1.call(x));
    if (this.#resize) [x, h] = [this.#resize(x), this.#resize(h)];
    h = this.conv1.call(h);
    h = this.#activate(this.norm2, this.#tellTime(h, this.time_emb_proj.call(temb)));
    if (this.dropout) h = this.dropout.call(h);
    const y = this.conv2.call(h, this.conv_shortcut ? this.conv_shortcut.call(x) : x);
    return this.outputScaleFactor === 1 ? y : tf.div(y, this.outputScaleFactor);
  }
}
