/** Convolution and its two gradients, under tfjs's kernel names. */
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../pool.ts";
import { type Context, size } from "./context.ts";
import { runSmall, smallFilterGrad, smallFits } from "./small.ts";
import { runWinograd, winogradFilterGrad, winogradFits } from "./winograd.ts";

/** Sizes of a convolution, as tfjs works them out. */
export type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;
type Shape4 = [number, number, number, number];

interface ConvAttrs {
  strides: [number, number] | number;
  pad: "valid" | "same" | number;
  dataFormat?: string;
  dilations?: [number, number] | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  activation?: string;
}

/** Output pixels that a task works on: enough to use packed panels often, few enough for the cache. */
const PIXELS = 240;
/** Most groups of images that partial filter gradients are kept for. */
export const GROUPS = 8;

function geometry(x: number[], filter: number[], attrs: ConvAttrs): ConvInfo {
  return tf.backend_util.computeConv2DInfo(
    x as Shape4,
    filter as Shape4,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
}

function supported(info: ConvInfo, attrs: ConvAttrs): boolean {
  return info.strideHeight === info.strideWidth && info.dilationHeight === 1 &&
    info.dilationWidth === 1 && (attrs.dataFormat ?? "NHWC") === "NHWC";
}

function requireSupported(name: string, info: ConvInfo, attrs: ConvAttrs): void {
  if (supported(info, attrs)) return;
  throw new Error(
    `${name} on WASM needs NHWC, dilation 1 and equal strides, not ${attrs.dataFormat}, ` +
      `dilation ${info.dilationHeight}×${info.dilationWidth}, stride ${info.strideHeight}×${info.strideWidth}`,
  );
}

/** How many images and rows a task takes. */
function blocks(n: number, rows: number, columns: number, pixels: number) {
  const wanted = Math.min(pixels, Math.max(48, Math.ceil(n * rows * columns / 8)));
  const image = rows * columns;
  if (image >= wanted) {
    return { images: 1, rows: Math.min(rows, Math.max(1, Math.round(wanted / columns))) };
  }
  return { images: Math.min(n, Math.ceil(wanted / image)), rows };
}

/** Sizes of a convolution that is to be run. */
export interface ConvSizes {
  shape: [n: number, h: number, w: number, c: number];
  kernel: [kh: number, kw: number];
  stride: number;
  start: [y: number, x: number];
  outSize: [rows: number, columns: number];
}

/** A convolution that is to be run: sizes, addresses, and steps in floats. */
export interface ConvCall extends ConvSizes {
  input: number;
  out: number;
  outSteps: [image: number, row: number, column: number];
  channels: number;
  /** Address of the bias, and of a tensor of the output's layout to add; 0 for none. */
  bias: number;
  add: number;
}

/** A convolution's sizes as kernels take them. */
export const sizeArgs = (c: ConvSizes) => [...c.shape, ...c.kernel, c.stride, ...c.start, ...c.outSize];
/** All that the kernels of a packed filter take but the size of a task. */
export const convArgs = (panels: number, c: ConvCall) => [
  ...[c.input, ...sizeArgs(c), c.out, ...c.outSteps],
  ...[c.channels, panels, c.bias, c.add],
];

/** A convolution of any size by the packed filter at an address: panels, or runs for few output channels. */
function runConv({ pool }: Context, kind: Kind, panels: number, c: ConvCall): void {
  const [n, , , ci] = c.shape;
  const [kh, kw] = c.kernel;
  const [ho, wo] = c.outSize;
  const per = blocks(n, ho, wo, PIXELS);
  const tasks = Math.ceil(n / per.images) * Math.ceil(ho / per.rows);
  const pixels = per.images * per.rows * wo + 6;
  const image = ((per.rows - 1) * c.stride + kh) * ((wo - 1) * c.stride + kw) * ci;
  const [kernel, scratch] = {
    plain: [Kernel.conv, 2 * pixels + per.images * image],
    fewIn: [Kernel.convFewIn, image + kh * kw * ci * pixels],
    fewOut: [Kernel.convFewOut, image],
  }[kind];
  pool.run(kernel, tasks, [...convArgs(panels, c), per.images, per.rows], scratch * 4 + 64);
}

/** Which of the kernels for convolutions of any size. */
type Kind = "plain" | "fewIn" | "fewOut";

/** By channels; those for few write outputs without gaps. */
function kindOf(channels: number, outChannels: number, taps: number, whole: boolean): Kind {
  if (whole && channels <= 4 && channels * taps <= 128) return "fewIn";
  return whole && outChannels <= 3 ? "fewOut" : "plain";
}

const panelFloats = (taps: number, k: number, n: number) => taps * k * Math.ceil(n / 8) * 8;

/** Packs the filter's taps in the given order as panels of eight outputs; `flip` exchanges in and out. */
function packFilter(
  ctx: Context,
  filter: TensorInfo,
  flip: 0 | 1,
  taps: number[],
  panels: number,
): void {
  const [, , ci, co] = filter.shape;
  ctx.pool.run(Kernel.packFilter, Math.ceil((flip ? ci : co) / 8), [
    ...[ctx.at(filter), ci, co, panels, flip, taps.length, ...taps],
  ]);
}

/** A convolution by the filter's taps in the given order; `flip` exchanges its input and output channels. */
function convolve(ctx: Context, filter: TensorInfo, flip: 0 | 1, taps: number[], c: ConvCall): void {
  const [, , ci, co] = filter.shape;
  const at = ctx.at(filter);
  const whole = c.outSteps[2] === c.channels && c.outSteps[1] === c.outSize[1] * c.channels;
  if (whole && winogradFits(c.kernel, c.stride, [ci, co], c.shape[0], c.outSize)) {
    return runWinograd(ctx, at, [ci, co], flip, taps, c);
  }
  const kind = kindOf(c.shape[3], c.channels, taps.length, whole);
  ctx.temporary(panelFloats(taps.length, c.shape[3], c.channels), (panels) => {
    const args = [at, ci, co, panels, flip, taps.length, ...taps];
    if (kind === "fewOut") ctx.pool.run(Kernel.packRun, c.channels, args);
    else packFilter(ctx, filter, flip, taps, panels);
    if (kind === "plain" && smallFits(c)) runSmall(ctx, panels, c);
    else runConv(ctx, kind, panels, c);
  });
}

/** out = x ∗ filter (+ bias) (+ a tensor of out's shape), NHWC; addresses, 0 for none. */
function forward(ctx: Context, x: TensorInfo, filter: TensorInfo, info: ConvInfo, bias = 0, add = 0) {
  const out = ctx.output(info.outShape);
  const [kh, kw, , co] = filter.shape;
  const { outHeight: ho, outWidth: wo } = info;
  convolve(ctx, filter, 0, Array.from({ length: kh * kw }, (_, i) => i), {
    input: ctx.at(x),
    shape: x.shape as Shape4,
    kernel: [kh, kw],
    stride: info.strideHeight,
    start: [-info.padInfo.top, -info.padInfo.left],
    out: ctx.at(out),
    outSize: [ho, wo],
    outSteps: [ho * wo * co, wo * co, co],
    channels: co,
    bias,
    add,
  });
  return out;
}

/** The taps of one stride phase: input rows with (row + pad) mod stride = phase see only these filter rows. */
function phase(which: number, size: number, k: number, pad: number, stride: number) {
  const first = (((which - pad) % stride) + stride) % stride;
  const count = Math.ceil((size - first) / stride);
  const taps = Math.ceil((k - which) / stride);
  return {
    first,
    count,
    start: (first + pad - which) / stride - (taps - 1),
    taps: Array.from({ length: Math.max(0, taps) }, (_, j) => which + (taps - 1 - j) * stride),
  };
}

/** dx: a convolution of dy with the transposed filter, one for each stride phase. */
function inputGrad(ctx: Context, dy: TensorInfo, filter: TensorInfo, info: ConvInfo) {
  const dx = ctx.output(info.inShape);
  const [kh, kw, ci] = filter.shape;
  const [, h, w] = info.inShape;
  const s = info.strideHeight;
  if (kh < s || kw < s) ctx.backend.typedArrayFromHeap(dx).fill(0);
  for (let py = 0; py < s; py++) {
    const y = phase(py, h, kh, info.padInfo.top, s);
    for (let px = 0; px < s; px++) {
      const x = phase(px, w, kw, info.padInfo.left, s);
      const taps = y.taps.flatMap((ky) => x.taps.map((kx) => ky * kw + kx));
      if (taps.length === 0 || y.count <= 0 || x.count <= 0) continue;
      convolve(ctx, filter, 1, taps, {
        input: ctx.at(dy),
        shape: dy.shape as Shape4,
        kernel: [y.taps.length, x.taps.length],
        stride: 1,
        start: [y.start, x.start],
        out: ctx.at(dx) + (y.first * w + x.first) * ci * 4,
        outSize: [y.count, x.count],
        outSteps: [h * w * ci, s * w * ci, s * ci],
        channels: ci,
        bias: 0,
        add: 0,
      });
    }
  }
  return dx;
}

/** dW, summed over a fixed number of groups of images so that threads do not change the result. */
function filterGrad(ctx: Context, x: TensorInfo, dy: TensorInfo, info: ConvInfo) {
  const dw = ctx.output(info.filterShape);
  const [kh, kw, ci, co] = info.filterShape;
  const n = info.batchSize, s = info.strideHeight;
  const { outHeight: ho, outWidth: wo } = info;
  if (winogradFits([kh, kw], s, [ci, co], n, [ho, wo])) {
    winogradFilterGrad(ctx, ctx.at(x), ctx.at(dy), ctx.at(dw), info);
    return dw;
  }
  const kind = kindOf(ci, co, kh * kw, true);
  const sizes: ConvSizes = {
    shape: info.inShape,
    kernel: [kh, kw],
    stride: s,
    start: [-info.padInfo.top, -info.padInfo.left],
    outSize: [ho, wo],
  };
  if (kind === "plain" && smallFits(sizes)) {
    smallFilterGrad(ctx, ctx.at(x), ctx.at(dy), ctx.at(dw), co, sizes);
    return dw;
  }
  const perGroup = Math.ceil(n / GROUPS);
  const groups = Math.ceil(n / perGroup);
  const per = blocks(perGroup, ho, wo, PIXELS);
  const pixels = per.images * per.rows * wo;
  const padded = per.images * ((per.rows - 1) * s + kh) * ((wo - 1) * s + kw) * ci;
  const floats = size(dw.shape);
  const image = padded / per.images;
  const [kernel, scratch] = {
    plain: [Kernel.convFilterGrad, pixels * Math.ceil(co / 8) * 8 + padded],
    fewIn: [Kernel.convFilterGradFewIn, (2 + pixels + 6) * (kh * kw * ci + 8) + image],
    fewOut: [Kernel.convFilterGradFewOut, floats + image],
  }[kind];
  const run = (parts: number) =>
    ctx.pool.run(kernel, groups, [
      ...[ctx.at(x), ...sizeArgs(sizes), ctx.at(dy), parts],
      ...[perGroup, per.images, co, per.rows],
    ], scratch * 4 + 128);
  if (groups === 1) run(ctx.at(dw));
  else {
    ctx.temporary(groups * floats, (parts) => {
      run(parts);
      sumRows(ctx, parts, groups, floats, ctx.at(dw));
    });
  }
  return dw;
}

/** out[i] = Σ_r parts[r·length + i], floats at addresses. */
export function sumRows(
  { pool }: Context,
  parts: number,
  rows: number,
  length: number,
  out: number,
) {
  const per = 4096;
  pool.run(Kernel.sumRows, Math.ceil(length / per), [parts, rows, length, out, per]);
}

/** Registers Conv2D, FusedConv2D, Conv2DAdd, Conv2DBackpropInput and Conv2DBackpropFilter. */
export function registerConv(ctx: Context): void {
  ctx.register("Conv2D", (original) => ({ x, filter }, attrs: ConvAttrs) => {
    const info = geometry(x.shape, filter.shape, attrs);
    if (!supported(info, attrs)) return original!({ x, filter }, attrs);
    return forward(ctx, x, filter, info);
  });
  ctx.register("FusedConv2D", (original) => (inputs, attrs: ConvAttrs) => {
    const { x, filter, bias, preluActivationWeights } = inputs;
    const info = geometry(x.shape, filter.shape, attrs);
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights;
    if (!plain || !supported(info, attrs)) return original!(inputs, attrs);
    return forward(ctx, x, filter, info, bias ? ctx.at(bias) : 0);
  });
  ctx.register("Conv2DAdd", () => ({ x, filter, bias, residual }, attrs: ConvAttrs) => {
    const info = geometry(x.shape, filter.shape, attrs);
    requireSupported("Conv2DAdd", info, attrs);
    return forward(ctx, x, filter, info, bias ? ctx.at(bias) : 0, ctx.at(residual));
  });
  ctx.register(
    "Conv2DBackpropInput",
    () => ({ dy, filter }, attrs: ConvAttrs & { inputShape: Shape4 }) => {
      const info = geometry(attrs.inputShape, filter.shape, attrs);
      requireSupported("Conv2DBackpropInput", info, attrs);
      return inputGrad(ctx, dy, filter, info);
    },
  );
  ctx.register(
    "Conv2DBackpropFilter",
    () => ({ x, dy }, attrs: ConvAttrs & { filterShape: Shape4 }) => {
      const info = geometry(x.shape, attrs.filterShape, attrs);
      requireSupported("Conv2DBackpropFilter", info, attrs);
      return filterGrad(ctx, x, dy, info);
    },
  );
}
