/** What halves and doubles images between the levels of the U-Net. */
import { Conv2d, F, Module, type Tensor, tf } from "../../../core/mod.ts";

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

/** Each pixel with its neighbours by (1, 2, 1) / 4 down and across, zeros around the image. */
function smooth(x: Tensor): Tensor {
  for (const axis of [1, 2]) {
    const along = (n: number) => x.shape.map((_, i) => i === axis ? n : 0);
    const padded = tf.pad(x, along(1).map((n): [number, number] => [n, n]));
    const sides = tf.add(tf.slice(padded, along(0), x.shape), tf.slice(padded, along(2), x.shape));
    x = tf.mul(tf.add(sides, tf.mul(x, 2)), 0.25);
  }
  return x;
}

/**
 * Halves images by the filter (1, 3, 3, 1) / 8 down and across (Zhang 2019; Diffusers' `FirDownsample2D` without a
 * convolution): pairs of pixels that were smoothed by (1, 2, 1) / 4 have that filter.
 * @param x [N,H,W,C], H and W even
 * @returns [N,H/2,W/2,C]
 * @throws Error for another shape.
 */
export function firDown(x: Tensor): Tensor {
  if (x.shape.length !== 4 || x.shape[1] % 2 || x.shape[2] % 2) {
    throw new Error(`firDown takes [N,H,W,C] with H and W even, not [${x.shape}]`);
  }
  return F.averagePool(smooth(x));
}

/**
 * Doubles images by the filter (1, 3, 3, 1) / 4 down and across (Zhang 2019; Diffusers' `FirUpsample2D` without a
 * convolution): repeated pixels that are smoothed by (1, 2, 1) / 4 have that filter.
 * @param x [N,H,W,C]
 * @returns [N,2H,2W,C]
 * @throws Error for another shape.
 */
export function firUp(x: Tensor): Tensor {
  if (x.shape.length !== 4) throw new Error(`firUp takes [N,H,W,C], not [${x.shape}]`);
  return smooth(F.upsampleNearest(x));
}
