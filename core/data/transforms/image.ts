/** Changes to a batch of images [N,H,W,C] on the host; compose them with {@link compose}. */
import { HostArray } from "../array.ts";

/** Makes other images of images [N,H,W,C], which stay as they are; all of one shape. */
export type ImageTransform = (images: HostArray) => HostArray;

/**
 * The sizes of a batch of images.
 * @throws RangeError unless it is [N,H,W,C].
 */
export function sizesOf({ shape }: HostArray): [n: number, h: number, w: number, c: number] {
  if (shape.length !== 4) throw new RangeError(`A change to images takes [N,H,W,C], not [${shape}]`);
  return shape as [number, number, number, number];
}

/** Applies transforms one after another, each to what the one before gives. */
export function compose(...transforms: ImageTransform[]): ImageTransform {
  return (images) => transforms.reduce((x, f) => f(x), images);
}

/** Floats of numbers; a loop, since `Float32Array.from` takes ten times as long. */
function mapFloats({ data, shape }: HostArray, f: (v: number) => number): HostArray {
  const out = new Float32Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = f(data[i]);
  return new HostArray(out, shape);
}

/**
 * Bytes 0…255 to floats low…high, arrays of any shape.
 * @param low what 0 becomes; default 0
 * @param high what 255 becomes; default 1
 * @throws RangeError unless low < high and both are finite.
 */
export function toFloat(low = 0, high = 1): ImageTransform {
  if (!(low < high && Number.isFinite(high - low))) {
    throw new RangeError(`toFloat: low and high are numbers, low below high, not ${low} and ${high}`);
  }
  const scale = (high - low) / 255;
  return (images) => mapFloats(images, (v) => low + v * scale);
}

/**
 * (x − mean)/std as floats, arrays of any shape.
 * @throws RangeError unless both are finite and std is positive.
 */
export function normalize(mean: number, std: number): ImageTransform {
  if (!(std > 0 && std < Infinity)) throw new RangeError(`A standard deviation is positive, not ${std}`);
  if (!Number.isFinite(mean)) throw new RangeError(`A mean is finite, not ${mean}`);
  return (images) => mapFloats(images, (v) => (v - mean) / std);
}

/**
 * Zeros on every side of images, which become floats.
 * @param margin pixels, a whole number from 0 on
 * @throws RangeError for another margin; the transform throws one for images of another shape.
 */
export function padZeros(margin: number): ImageTransform {
  if (!Number.isInteger(margin) || margin < 0) {
    throw new RangeError(`padZeros: margin is a whole number of pixels from 0 on, not ${margin}`);
  }
  return (images) => {
    const { data } = images, [n, h, w, c] = sizesOf(images);
    const H = h + 2 * margin, W = w + 2 * margin;
    const out = new Float32Array(n * H * W * c);
    for (let i = 0; i < n; i++) {
      for (let y = 0; y < h; y++) {
        const row = data.subarray((i * h + y) * w * c, (i * h + y + 1) * w * c);
        out.set(row, ((i * H + y + margin) * W + margin) * c);
      }
    }
    return new HostArray(out, [n, H, W, c]);
  };
}

/** For each output place: the two inputs it lies between (half-pixel centres) and the share of the second. */
function taps(from: number, to: number) {
  return Array.from({ length: to }, (_, i) => {
    const at = Math.max(0, (i + 0.5) * from / to - 0.5);
    const low = Math.min(from - 1, Math.floor(at));
    return { low, high: Math.min(from - 1, low + 1), share: at - low };
  });
}

/**
 * Bilinear resizing to size × size with half-pixel centres, as PyTorch's `interpolate` (and torchvision's `resize` with
 * `antialias=False`): smaller images take the nearest pixels, not means. Images become floats.
 * @param size pixels, a positive whole number
 * @throws RangeError for another size; the transform throws one for images of another shape.
 */
export function resizeBilinear(size: number): ImageTransform {
  if (!Number.isInteger(size) || size < 1) {
    throw new RangeError(`resizeBilinear: size is a whole number of pixels from 1 on, not ${size}`);
  }
  return (images) => {
    const { data } = images, [n, h, w, c] = sizesOf(images);
    const rows = taps(h, size), columns = taps(w, size);
    const out = new Float32Array(n * size * size * c);
    let o = 0;
    for (let i = 0; i < n; i++) {
      for (const y of rows) {
        const top = (i * h + y.low) * w, bottom = (i * h + y.high) * w;
        for (const x of columns) {
          for (let k = 0; k < c; k++) {
            const a = data[(top + x.low) * c + k], b = data[(top + x.high) * c + k];
            const d = data[(bottom + x.low) * c + k], e = data[(bottom + x.high) * c + k];
            const upper = a + (b - a) * x.share;
            out[o++] = upper + (d + (e - d) * x.share - upper) * y.share;
          }
        }
      }
    }
    return new HostArray(out, [n, size, size, c]);
  };
}
