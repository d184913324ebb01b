/** The parts of the classifiers of the lesson (miniai notebook 14). Images are NHWC. */
import {
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  GeneralRelu,
  Module,
  Sequential,
  type Tensor,
  tf,
} from "../../core/mod.ts";

/** A layer of one input and one output. */
export type Layer = Module<[Tensor], Tensor>;
/** Makes an activation, a new one each time. */
export type Act = () => Layer;
/** Makes a norm of so many channels, a new one each time. */
export type Norm = (channels: number) => Layer;

/** What {@link conv} and {@link ResBlock} are made with. */
export interface ConvOptions {
  /** Height and width of the filter, an odd number; default 3. */
  kernelSize?: number;
  /** Pixels between windows, a positive whole number; default 2 for `conv`, 1 for `ResBlock`. */
  stride?: number;
  /** The activation; null for none; default {@link actGr}. */
  act?: Act | null;
  /** The norm; null for none, the default. */
  norm?: Norm | null;
}

/** The lesson's activation: leaky ReLU of slope 0.1, minus 0.4. */
export const actGr: Act = (): Layer => new GeneralRelu({ leak: 0.1, sub: 0.4 });
/** The lesson's norm: batch norm of images. */
export const normBn: Norm = (channels: number): Layer => new BatchNorm2d(channels);

/**
 * Convolution, then norm and activation where given, the image padded so that stride 1 keeps its size. The convolution
 * keeps its bias before a norm too, as the original does.
 * @param ni channels of the input
 * @param nf channels of the output, the filters
 * @returns from [N,H,W,ni] to [N,H/stride,W/stride,nf], rounded up
 * @throws RangeError for sizes that are not positive and whole, and an even kernelSize.
 */
export function conv(
  ni: number,
  nf: number,
  { kernelSize = 3, stride = 2, act = actGr, norm = null }: ConvOptions = {},
): Sequential {
  if (kernelSize % 2 === 0) throw new RangeError(`conv: kernelSize is an odd number, not ${kernelSize}`);
  const layers: Layer[] = [new Conv2d(ni, nf, kernelSize, { stride, padding: Math.floor(kernelSize / 2) })];
  if (norm) layers.push(norm(nf));
  if (act) layers.push(act());
  return new Sequential(...layers);
}

/**
 * act(conv(conv(x)) + x), x averaged where the size changes and by a 1×1 convolution where the channels do (He et al. 2015;
 * miniai notebook 13).
 */
export class ResBlock extends Module<[Tensor], Tensor> {
  /** Two convolutions, the second one of the stride and without activation. */
  convs: Sequential;
  /** The 1×1 convolution of x; null where the channels stay. */
  idconv: Sequential | null;
  /** The average of x; null for stride 1. */
  pool: AvgPool2d | null;
  /** The activation of the sum; null for none. */
  act: Layer | null;

  /**
   * Makes the layers with random weights.
   * @param ni channels of the input
   * @param nf channels of the output
   * @throws RangeError for sizes that are not positive and whole, and an even kernelSize.
   */
  constructor(
    ni: number,
    nf: number,
    { kernelSize = 3, stride = 1, act = actGr, norm = null }: ConvOptions = {},
  ) {
    super();
    this.convs = new Sequential(
      conv(ni, nf, { kernelSize, stride: 1, act, norm }),
      conv(nf, nf, { kernelSize, stride, act: null, norm }),
    );
    this.idconv = ni === nf ? null : conv(ni, nf, { kernelSize: 1, stride: 1, act: null });
    this.pool = stride === 1 ? null : new AvgPool2d(stride);
    this.act = act && act();
  }

  /**
   * The block's output.
   * @param x [N,H,W,ni]
   * @returns [N,H/stride,W/stride,nf], rounded up
   * @throws Error for another shape.
   */
  override forward(x: Tensor): Tensor {
    let id = this.pool ? this.pool.call(x) : x;
    if (this.idconv) id = this.idconv.call(id);
    const sum: Tensor = tf.add(this.convs.call(x), id);
    return this.act ? this.act.call(sum) : sum;
  }
}
