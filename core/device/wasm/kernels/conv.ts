/** Convolution and its two gradients, for our ops and under tfjs's kernel names. */
import { Conv2d, Conv2dFilterGrad, Conv2dInputGrad, convShape } from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel, NR } from "../assembly/abi.ts";
import { areFloat, type Context, MAX_GROUPS, size } from "./context.ts";
import { runSmall, smallFilterGrad, smallFits } from "./conv_small.ts";
import { type ConvKernels, thinKernels } from "./conv_thin.ts";
import { runWinograd, winogradFilterGrad, winogradFits } from "./conv_winograd.ts";
import { sumRows } from "./reduce.ts";

type Shape4 = [number, number, number, number];

/** Output pixels that a task works on: enough to use packed panels often, few enough for the cache. */
const PIXELS_PER_TASK = 240;
/** Fewest that are worth a task. */
const MIN_PIXELS_PER_TASK = 48;

/** Sizes of a convolution, by the names of its kernels' arguments. */
export interface ConvSizes {
  images: number;
  height: number;
  width: number;
  channels: number;
  kernelHeight: number;
  kernelWidth: number;
  stride: number;
  startRow: number;
  startColumn: number;
  outHeight: number;
  outWidth: number;
}

/** A convolution that is to be run. */
export interface ConvCall extends ConvSizes {
  input: TensorInfo;
  /** An address, and steps in floats. */
  out: number;
  imageStep: number;
  rowStep: number;
  columnStep: number;
  outChannels: number;
  bias: TensorInfo | undefined;
  /** What is added to the output, of its shape. */
  add: TensorInfo | undefined;
}

/** A filter [kh,kw,C,Co] to be packed: its taps in an order, its input and output channels exchanged where `flip`. */
export interface Filter {
  tensor: TensorInfo;
  flip: boolean;
  taps: number[];
}

/** The kernels for convolutions of any size. */
const PLAIN: ConvKernels = {
  pack: Kernel.packFilter,
  conv: Kernel.conv,
  filterGrad: Kernel.convFilterGrad,
};

/** How many images and rows a task takes. */
function blocks(n: number, rows: number, columns: number) {
  const share = Math.ceil(n * rows * columns / 8);
  const wanted = Math.min(PIXELS_PER_TASK, Math.max(MIN_PIXELS_PER_TASK, share));
  const image = rows * columns;
  if (image >= wanted) {
    return { images: 1, rows: Math.min(rows, Math.max(1, Math.round(wanted / columns))) };
  }
  return { images: Math.min(n, Math.ceil(wanted / image)), rows };
}

/** A convolution by a filter. */
function convolve(ctx: Context, filter: Filter, c: ConvCall): void {
  const whole = c.columnStep === c.outChannels && c.rowStep === c.outWidth * c.outChannels;
  if (whole && winogradFits(c, c.outChannels)) return runWinograd(ctx, filter, c);
  const { tensor, flip, taps } = filter;
  const thin = whole ? thinKernels(c.channels, c.outChannels, taps.length) : undefined;
  const kernels = thin ?? PLAIN;
  const panels = Math.ceil(c.outChannels / NR);
  ctx.temporary(taps.length * c.channels * panels * NR, (packed) => {
    ctx.pool.run(kernels.pack, kernels.pack === Kernel.packRun ? c.outChannels : panels, {
      filter: tensor,
      channels: tensor.shape[2],
      outChannels: tensor.shape[3],
      packed,
      flip,
      taps: taps.length,
      tapNumbers: taps,
    });
    if (!thin && smallFits(c)) return runSmall(ctx, packed, c);
    const per = blocks(c.images, c.outHeight, c.outWidth);
    const tasks = Math.ceil(c.images / per.images) * Math.ceil(c.outHeight / per.rows);
    ctx.pool.run(kernels.conv, tasks, {
      ...c,
      panels: packed,
      imagesPerTask: per.images,
      rowsPerTask: per.rows,
    });
  });
}

/** out = x ∗ filter (+ bias) (+ a tensor of out's shape). */
function forward(
  ctx: Context,
  x: TensorInfo,
  filter: TensorInfo,
  sizes: ConvSizes,
  bias?: TensorInfo,
  add?: TensorInfo,
): TensorInfo {
  const [kh, kw, , outChannels] = filter.shape;
  const { outHeight, outWidth } = sizes;
  const y = ctx.output([sizes.images, outHeight, outWidth, outChannels]);
  convolve(ctx, { tensor: filter, flip: false, taps: Array.from({ length: kh * kw }, (_, i) => i) }, {
    ...sizes,
    input: x,
    out: ctx.address(y),
    imageStep: outHeight * outWidth * outChannels,
    rowStep: outWidth * outChannels,
    columnStep: outChannels,
    outChannels,
    bias,
    add,
  });
  return y;
}

/**
 * The taps of one stride phase: input rows with (row − start) mod stride = phase see only these filter rows.
 * @param start where the first output's first tap lies, as {@link ConvSizes} has it
 */
function phase(which: number, size: number, k: number, start: number, stride: number) {
  const first = (((which + start) % stride) + stride) % stride;
  const count = Math.ceil((size - first) / stride);
  const taps = Math.ceil((k - which) / stride);
  return {
    first,
    count,
    start: (first - start - which) / stride - (taps - 1),
    taps: Array.from({ length: Math.max(0, taps) }, (_, j) => which + (taps - 1 - j) * stride),
  };
}

/** dx: a convolution of dy with the flipped filter, one for each stride phase. */
function inputGrad(ctx: Context, dy: TensorInfo, filter: TensorInfo, sizes: ConvSizes): TensorInfo {
  const { images, height, width, channels, kernelHeight, kernelWidth, stride } = sizes;
  const dx = ctx.output([images, height, width, channels]);
  if (kernelHeight < stride || kernelWidth < stride) ctx.values(dx).fill(0);
  for (let py = 0; py < stride; py++) {
    const y = phase(py, height, kernelHeight, sizes.startRow, stride);
    for (let px = 0; px < stride; px++) {
      const x = phase(px, width, kernelWidth, sizes.startColumn, stride);
      const taps = y.taps.flatMap((ky) => x.taps.map((kx) => ky * kernelWidth + kx));
      if (taps.length === 0 || y.count <= 0 || x.count <= 0) continue;
      const [, dyHeight, dyWidth, dyChannels] = dy.shape;
      convolve(ctx, { tensor: filter, flip: true, taps }, {
        input: dy,
        images,
        height: dyHeight,
        width: dyWidth,
        channels: dyChannels,
        kernelHeight: y.taps.length,
        kernelWidth: x.taps.length,
        stride: 1,
        startRow: y.start,
        startColumn: x.start,
        outHeight: y.count,
        outWidth: x.count,
        out: ctx.address(dx) + (y.first * width + x.first) * channels * 4,
        imageStep: height * width * channels,
        rowStep: stride * width * channels,
        columnStep: stride * channels,
        outChannels: channels,
        bias: undefined,
        add: undefined,
      });
    }
  }
  return dx;
}

/** dW, summed over a fixed number of groups of images so that threads do not change the result. */
function filterGrad(
  ctx: Context,
  input: TensorInfo,
  dy: TensorInfo,
  shape: number[],
  sizes: ConvSizes,
): TensorInfo {
  const dw = ctx.output(shape), outChannels = shape[3];
  if (winogradFits(sizes, outChannels)) {
    winogradFilterGrad(ctx, { input, dy, dw }, outChannels, sizes);
    return dw;
  }
  const thin = thinKernels(sizes.channels, outChannels, sizes.kernelHeight * sizes.kernelWidth);
  if (!thin && smallFits(sizes)) {
    smallFilterGrad(ctx, { input, dy, dw }, outChannels, sizes);
    return dw;
  }
  const imagesPerGroup = Math.ceil(sizes.images / MAX_GROUPS);
  const groups = Math.ceil(sizes.images / imagesPerGroup), floats = size(shape);
  const per = blocks(imagesPerGroup, sizes.outHeight, sizes.outWidth);
  const run = (parts: number) =>
    ctx.pool.run((thin ?? PLAIN).filterGrad, groups, {
      ...sizes,
      input,
      dy,
      parts,
      imagesPerGroup,
      imagesPerBlock: per.images,
      outChannels,
      rowsPerBlock: per.rows,
    });
  if (groups === 1) run(ctx.address(dw));
  else {
    ctx.temporary(groups * floats, (parts) => {
      run(parts);
      sumRows(ctx, parts, groups, floats, dw);
    });
  }
  return dw;
}

/** The sizes of our own convolution. */
function sizesOf(x: number[], filter: number[], attrs: { stride: number; padding: number }): ConvSizes {
  const [, outHeight, outWidth] = convShape(x, filter, attrs);
  const [images, height, width, channels] = x, [kernelHeight, kernelWidth] = filter;
  return {
    images,
    height,
    width,
    channels,
    kernelHeight,
    kernelWidth,
    stride: attrs.stride,
    startRow: -attrs.padding,
    startColumn: -attrs.padding,
    outHeight,
    outWidth,
  };
}

/** Attributes of tfjs's convolutions. */
interface ConvAttrs {
  strides: [number, number] | number;
  pad: "valid" | "same" | number;
  dataFormat?: string;
  dilations?: [number, number] | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  activation?: string;
}

/** The sizes of tfjs's; undefined where the kernels here do not do it. */
function tfjsSizes(x: number[], filter: number[], attrs: ConvAttrs): ConvSizes | undefined {
  const { strides, pad, dataFormat = "NHWC", dilations = 1, dimRoundingMode } = attrs;
  if (dataFormat !== "NHWC" || size(x) === 0 || size(filter) === 0) return undefined;
  // tfjs takes a number of pixels of padding for square filters only: it computes the width from the height.
  const numeric = typeof pad === "number";
  const info = tf.backend_util.computeConv2DInfo(
    x as Shape4,
    filter as Shape4,
    strides,
    dilations,
    numeric ? [[0, 0], [pad, pad], [pad, pad], [0, 0]] : pad,
    dimRoundingMode ?? (numeric ? "floor" : undefined),
  );
  if (info.outHeight < 1 || info.outWidth < 1) {
    throw new Error(
      `conv2d: a filter of ${filter[0]}×${filter[1]} is larger than the padded image, of ${x[1]}×${
        x[2]
      } unpadded`,
    );
  }
  const { strideHeight, strideWidth, dilationHeight, dilationWidth } = info;
  if (strideHeight !== strideWidth || dilationHeight !== 1 || dilationWidth !== 1) return undefined;
  return {
    images: info.batchSize,
    height: info.inHeight,
    width: info.inWidth,
    channels: info.inChannels,
    kernelHeight: info.filterHeight,
    kernelWidth: info.filterWidth,
    stride: strideHeight,
    startRow: -info.padInfo.top,
    startColumn: -info.padInfo.left,
    outHeight: info.outHeight,
    outWidth: info.outWidth,
  };
}

/** Registers Conv2d and its gradients, and tfjs's Conv2D, FusedConv2D and their gradients by the same functions. */
export function registerConv(ctx: Context): void {
  ctx.kernel(Conv2d, ({ x, filter, bias, residual }, attrs) => ({
    y: forward(ctx, x, filter, sizesOf(x.shape, filter.shape, attrs), bias, residual),
  }));
  ctx.kernel(Conv2dInputGrad, ({ dy, filter }, attrs) => ({
    dx: inputGrad(ctx, dy, filter, sizesOf(attrs.inputShape, filter.shape, attrs)),
  }));
  ctx.kernel(Conv2dFilterGrad, ({ x, dy }, attrs) => ({
    dFilter: filterGrad(ctx, x, dy, attrs.filterShape, sizesOf(x.shape, attrs.filterShape, attrs)),
  }));

  ctx.replace("Conv2D", (original) => (inputs, attrs: ConvAttrs) => {
    const { x, filter } = inputs, sizes = tfjsSizes(x.shape, filter.shape, attrs);
    return sizes && areFloat(x, filter) ? forward(ctx, x, filter, sizes) : original(inputs, attrs);
  });
  ctx.replace("FusedConv2D", (original) => (inputs, attrs: ConvAttrs) => {
    const { x, filter, bias, preluActivationWeights } = inputs;
    const sizes = tfjsSizes(x.shape, filter.shape, attrs);
    const linear = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights;
    const whole = !bias || (size(bias.shape) === filter.shape[3] && areFloat(bias));
    if (!linear || !whole || !sizes || !areFloat(x, filter)) return original(inputs, attrs);
    return forward(ctx, x, filter, sizes, bias);
  });
  ctx.replace("Conv2DBackpropInput", (original) => (inputs, attrs: ConvAttrs & { inputShape: Shape4 }) => {
    const { dy, filter } = inputs, sizes = tfjsSizes(attrs.inputShape, filter.shape, attrs);
    return sizes && areFloat(dy, filter) ? inputGrad(ctx, dy, filter, sizes) : original(inputs, attrs);
  });
  ctx.replace("Conv2DBackpropFilter", (original) => (inputs, attrs: ConvAttrs & { filterShape: Shape4 }) => {
    const { x, dy } = inputs, sizes = tfjsSizes(x.shape, attrs.filterShape, attrs);
    return sizes && areFloat(x, dy)
      ? filterGrad(ctx, x, dy, attrs.filterShape, sizes)
      : original(inputs, attrs);
  });
}
