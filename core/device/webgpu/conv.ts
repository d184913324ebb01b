/** Convolution and its two gradients as tiled products whose operands are gathered on the way (implicit GEMM). */
import { tf } from "../../tf.ts";
import type { TensorInfo } from "../../tf.ts";
import type { Gpu } from "./gpu.ts";
import { fetch, NOWHERE, runProduct } from "./product.ts";

type Shape4 = [number, number, number, number];

interface ConvAttrs {
  strides: [number, number] | number;
  pad: "valid" | "same" | number;
  dataFormat?: string;
  dilations?: [number, number] | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  activation?: string;
}

type ConvInfo = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/** The geometry of a convolution that these kernels do; otherwise undefined. */
function geometry(x: number[], filter: number[], attrs: ConvAttrs): ConvInfo | undefined {
  const info = tf.backend_util.computeConv2DInfo(
    x as Shape4,
    filter as Shape4,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  const plain = info.strideHeight === info.strideWidth && info.dilationHeight === 1 &&
    info.dilationWidth === 1 &&
    (attrs.dataFormat ?? "NHWC") === "NHWC";
  return plain && tf.util.sizeFromShape(info.outShape) > 0 ? info : undefined;
}

const VEC = (four: boolean) => four ? "vec4f" : "f32";
const zero = "vec4f(0.0)";

/** Sizes and constants of the geometry that the loads know. */
function common(info: ConvInfo) {
  const { inHeight, inWidth, outHeight, outWidth, inChannels, outChannels } = info;
  return {
    sizes: { inHeight, inWidth, outHeight, outWidth, ci: inChannels, co: outChannels },
    consts: {
      ...{ KW: info.filterWidth, STRIDE: info.strideHeight },
      ...{ TOP: info.padInfo.top, LEFT: info.padInfo.left },
    },
  };
}

/**
 * WGSL of `input(pixel, tap)`: where the channels of the input pixel that an output pixel sees by a tap of the filter
 * begin, or −1 outside the image.
 */
const INPUT = `
fn input(pixel: u32, tap: u32) -> i32 {
  let n = pixel / (u.outHeight * u.outWidth);
  let y = i32(pixel / u.outWidth % u.outHeight * STRIDE + tap / KW) - i32(TOP);
  let x = i32(pixel % u.outWidth * STRIDE + tap % KW) - i32(LEFT);
  if (y < 0 || x < 0 || y >= i32(u.inHeight) || x >= i32(u.inWidth)) { return -1; }
  return ((i32(n * u.inHeight) + y) * i32(u.inWidth) + x) * i32(u.ci);
}`;

/**
 * WGSL for the input's gradient. With stride s an input pixel is seen by those taps alone that have its phase: the s²
 * phases are batches z of the product, each with its own taps, of which `tap(z, q)` is the q-th (row, column).
 * `output(z, pixel, q)` tells where the channels of the output pixel that sees the phase's pixel by that tap begin, or
 * −1 where there is none; `place(z, pixel)` which input pixel it is, or the largest number for none.
 */
const OUTPUT = `
fn tap(z: u32, q: u32) -> vec2u {
  let phase = (vec2u(z / STRIDE, z % STRIDE) + vec2u(TOP, LEFT)) % STRIDE;
  return phase + STRIDE * vec2u(q / TAPS, q % TAPS);
}
fn position(z: u32, pixel: u32) -> vec2u {
  return STRIDE * vec2u(pixel / u.columns % u.rows, pixel % u.columns) + vec2u(z / STRIDE, z % STRIDE);
}
fn place(z: u32, pixel: u32) -> u32 {
  let at = position(z, pixel);
  if (at.x >= u.inHeight || at.y >= u.inWidth) { return ${NOWHERE}; }
  return (pixel / (u.rows * u.columns) * u.inHeight + at.x) * u.inWidth + at.y;
}
fn output(z: u32, pixel: u32, q: u32) -> i32 {
  let seen = position(z, pixel) + vec2u(TOP, LEFT); let by = tap(z, q);
  if (by.x >= KH || by.y >= KW || by.x > seen.x || by.y > seen.y) { return -1; }
  let at = (seen - by) / STRIDE;
  if (at.x >= u.outHeight || at.y >= u.outWidth) { return -1; }
  return i32(((pixel / (u.rows * u.columns) * u.outHeight + at.x) * u.outWidth + at.y) * u.co);
}`;

/**
 * WGSL of `gather_NAME(z, pixel, q)`: four values of a buffer from q = tap·channels + channel on, by {@link INPUT} or
 * {@link OUTPUT}. Where `four`, they are of one tap.
 */
function gather(
  name: string,
  where: (tap: string) => string,
  channels: string,
  limit: string,
  four: boolean,
): string {
  const body = four
    ? `let at = ${where(`q / ${channels}`)};
  if (at < 0) { return ${zero}; }
  return ${name}[(u32(at) + q % ${channels}) / 4u];`
    : `var v = ${zero};
  for (var j = 0u; j < 4u && q + j < ${limit}; j++) {
    let at = ${where(`(q + j) / ${channels}`)};
    if (at >= 0) { v[j] = ${name}[u32(at) + (q + j) % ${channels}]; }
  }
  return v;`;
  return `fn gather_${name}(z: u32, pixel: u32, q: u32) -> vec4f { ${body} }\n`;
}

const input = (tap: string) => `input(pixel, ${tap})`;

/** out = x ∗ filter (+ bias) (+ residual): rows are output pixels, the sum runs over taps and input channels. */
function forward(
  gpu: Gpu,
  x: TensorInfo,
  filter: TensorInfo,
  info: ConvInfo,
  bias?: TensorInfo,
  residual?: TensorInfo,
): TensorInfo {
  const { inChannels: ci, outChannels: co } = info;
  const [fourIn, fourOut] = [ci % 4 === 0, co % 4 === 0];
  const added = [bias && "fetch_bias(column, u.n - column)", residual && "fetch_residual(at, u.n - column)"];
  const { sizes, consts } = common(info);
  return runProduct(gpu, "Conv2D", {
    m: info.batchSize * info.outHeight * info.outWidth,
    ...{ n: co, k: info.filterHeight * info.filterWidth * ci, shape: info.outShape },
    read: { x, weight: filter, bias, residual },
    types: {
      ...{ x: VEC(fourIn), weight: VEC(fourOut) },
      ...(bias && { bias: VEC(fourOut) }),
      ...(residual && { residual: VEC(fourOut) }),
    },
    ...{ sizes, consts, aAlong: "sum", bAlong: "out" },
    loads: `
${INPUT}
${gather("x", input, "u.ci", "u.k", fourIn)}${fetch("weight", fourOut)}${bias ? fetch("bias", fourOut) : ""}${
      residual ? fetch("residual", fourOut) : ""
    }
fn loadA(z: u32, row: u32, k: u32) -> vec4f {
  if (row >= u.m || k >= u.k) { return ${zero}; }
  return gather_x(z, row, k);
}
fn loadB(z: u32, k: u32, column: u32) -> vec4f {
  if (k >= u.k || column >= u.n) { return ${zero}; }
  return fetch_weight(k * u.n + column, u.n - column);
}`,
    epilogue: ["sum", ...added.filter(Boolean)].join(" + "),
  });
}

/** dx: rows are a phase's input pixels, the sum runs over its taps and output channels. */
function inputGrad(gpu: Gpu, dy: TensorInfo, filter: TensorInfo, info: ConvInfo): TensorInfo {
  const { inChannels: ci, outChannels: co, strideHeight: stride, filterHeight, filterWidth } = info;
  const four = co % 4 === 0, { sizes, consts } = common(info);
  const part = (n: number) => Math.ceil(n / stride);
  const [rows, columns] = [part(info.inHeight), part(info.inWidth)];
  return runProduct(gpu, "Conv2DInputGrad", {
    ...{ batch: stride * stride, m: info.batchSize * rows * columns },
    ...{ n: ci, k: part(filterHeight) * part(filterWidth) * co, shape: info.inShape },
    ...{ read: { dy, weight: filter }, types: { dy: VEC(four), weight: VEC(four) } },
    sizes: { ...sizes, rows, columns },
    consts: { ...consts, KH: filterHeight, TAPS: part(filterWidth) },
    ...{ aAlong: "sum", bAlong: "sum", place: stride > 1, split: stride === 1 },
    loads: `
${OUTPUT}
${gather("dy", (tap) => `output(z, pixel, ${tap})`, "u.co", "u.k", four)}${fetch("weight", four)}
/** Where the filter's output channels for the tap and input channel begin, or −1 past the filter. */
fn channels(z: u32, q: u32, column: u32) -> i32 {
  let at = tap(z, q);
  return select(i32(((at.x * KW + at.y) * u.ci + column) * u.co), -1, at.x >= KH || at.y >= KW);
}
fn loadA(z: u32, row: u32, k: u32) -> vec4f {
  if (row >= u.m || k >= u.k) { return ${zero}; }
  return gather_dy(z, row, k);
}
fn loadB(z: u32, k: u32, column: u32) -> vec4f {
  if (k >= u.k || column >= u.n) { return ${zero}; }
  ${
      four
        ? `let at = channels(z, k / u.co, column);
  if (at < 0) { return ${zero}; }
  return fetch_weight(u32(at) + k % u.co, 4u);`
        : `var v = ${zero};
  for (var j = 0u; j < 4u && k + j < u.k; j++) {
    let at = channels(z, (k + j) / u.co, column);
    if (at >= 0) { v[j] = weight[u32(at) + (k + j) % u.co]; }
  }
  return v;`
    }
}`,
  });
}

/** dW: rows are taps and input channels, the sum runs over output pixels. */
function filterGrad(gpu: Gpu, x: TensorInfo, dy: TensorInfo, info: ConvInfo): TensorInfo {
  const { inChannels: ci, outChannels: co } = info;
  const [fourIn, fourOut] = [ci % 4 === 0, co % 4 === 0];
  return runProduct(gpu, "Conv2DFilterGrad", {
    m: info.filterHeight * info.filterWidth * ci,
    ...{ n: co, k: info.batchSize * info.outHeight * info.outWidth, shape: info.filterShape },
    ...{ read: { x, dy }, types: { x: VEC(fourIn), dy: VEC(fourOut) } },
    ...{ ...common(info), aAlong: "out", bAlong: "out", split: true },
    loads: `
${INPUT}
${gather("x", input, "u.ci", "u.m", fourIn)}${fetch("dy", fourOut)}
fn loadA(z: u32, row: u32, k: u32) -> vec4f {
  if (row >= u.m || k >= u.k) { return ${zero}; }
  return gather_x(z, k, row);
}
fn loadB(z: u32, k: u32, column: u32) -> vec4f {
  if (k >= u.k || column >= u.n) { return ${zero}; }
  return fetch_dy(k * u.n + column, u.n - column);
}`,
  });
}

export function registerConv(gpu: Gpu): void {
  /** The geometry, or an error that tells what the kernel needs. */
  const needed = (name: string, x: number[], filter: number[], attrs: ConvAttrs): ConvInfo => {
    const info = geometry(x, filter, attrs);
    if (info) return info;
    throw new Error(`${name} on WebGPU needs NHWC, dilation 1, equal strides and an output of some size`);
  };
  gpu.register("Conv2D", ({ x, filter }, attrs: ConvAttrs, original) => {
    const info = geometry(x.shape, filter.shape, attrs);
    return info ? forward(gpu, x, filter, info) : original();
  });
  gpu.register("FusedConv2D", (inputs, attrs: ConvAttrs, original) => {
    const { x, filter, bias, preluActivationWeights } = inputs;
    const info = geometry(x.shape, filter.shape, attrs);
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights;
    return info && plain ? forward(gpu, x, filter, info, bias) : original();
  });
  gpu.register(
    "Conv2DAdd",
    ({ x, filter, bias, residual }, attrs: ConvAttrs) =>
      forward(gpu, x, filter, needed("Conv2DAdd", x.shape, filter.shape, attrs), bias, residual),
  );
  gpu.register(
    "Conv2DBackpropInput",
    ({ dy, filter }, attrs: ConvAttrs & { inputShape: Shape4 }) =>
      inputGrad(gpu, dy, filter, needed("Conv2DBackpropInput", attrs.inputShape, filter.shape, attrs)),
  );
  gpu.register(
    "Conv2DBackpropFilter",
    ({ x, dy }, attrs: ConvAttrs & { filterShape: Shape4 }) =>
      filterGrad(gpu, x, dy, needed("Conv2DBackpropFilter", x.shape, attrs.filterShape, attrs)),
  );
}
