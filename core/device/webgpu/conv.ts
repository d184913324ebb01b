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
 * WGSL of `seen(pixel)`: the image's first input pixel, and the row and column (before padding) where the window of an
 * output pixel begins; and of `input(at, tap)`: where the channels begin that a tap (row, column) of that window falls
 * on, or −1 outside the image.
 */
const INPUT = `
fn seen(pixel: u32) -> vec4u {
  let line = pixel / u.outWidth;
  let image = line / u.outHeight;
  let at = STRIDE * vec2u(line - image * u.outHeight, pixel - line * u.outWidth);
  return vec4u(image * u.inHeight * u.inWidth, at, 1u);
}
fn input(at: vec4u, tap: vec2u) -> i32 {
  let to = vec2i(at.yz + tap) - vec2i(vec2u(TOP, LEFT));
  if (any(to < vec2i(0)) || to.x >= i32(u.inHeight) || to.y >= i32(u.inWidth)) { return -1; }
  return (i32(at.x) + to.x * i32(u.inWidth) + to.y) * i32(u.ci);
}`;

/**
 * WGSL for the input's gradient. With stride s an input pixel is seen by those taps alone that have its phase: the s²
 * phases are batches z of the product, each with its own taps, of which `tap(z, q)` is the q-th (row, column).
 * `seeing(z, pixel)` is the image's first output pixel, and the padded row and column of the phase's pixel;
 * `output(at, tap)` tells where the channels of the output pixel begin that sees it by that tap, or −1 for none;
 * `place(z, pixel)` which input pixel it is, or the largest number for none.
 */
const OUTPUT = `
fn tap(z: u32, q: u32) -> vec2u {
  let phase = (vec2u(z / STRIDE, z % STRIDE) + vec2u(TOP, LEFT)) % STRIDE;
  return phase + STRIDE * vec2u(q / TAPS, q % TAPS);
}
fn position(z: u32, pixel: u32) -> vec3u {
  let line = pixel / u.columns;
  let image = line / u.rows;
  let at = STRIDE * vec2u(line - image * u.rows, pixel - line * u.columns);
  return vec3u(image, at + vec2u(z / STRIDE, z % STRIDE));
}
fn place(z: u32, pixel: u32) -> u32 {
  let at = position(z, pixel);
  if (at.y >= u.inHeight || at.z >= u.inWidth) { return ${NOWHERE}; }
  return (at.x * u.inHeight + at.y) * u.inWidth + at.z;
}
fn seeing(z: u32, pixel: u32) -> vec3u {
  let at = position(z, pixel);
  return vec3u(at.x * u.outHeight * u.outWidth, at.yz + vec2u(TOP, LEFT));
}
fn output(at: vec3u, by: vec2u) -> i32 {
  if (by.x >= KH || by.y >= KW || any(by > at.yz)) { return -1; }
  let to = (at.yz - by) / STRIDE;
  if (to.x >= u.outHeight || to.y >= u.outWidth) { return -1; }
  return i32((at.x + to.x * u.outWidth + to.y) * u.co);
}`;

/**
 * WGSL statements that return four values from q = tap·channels + channel on, of a buffer where `where(tap)` tells
 * where a tap's channels begin, zeros where it is negative. Where `four`, they are of one tap.
 */
function gather(
  name: string,
  q: string,
  where: (tap: string) => string,
  channels: string,
  limit: string,
  four: boolean,
): string {
  return four
    ? `let q = ${q} / ${channels};
  let first = ${where("q")};
  if (first < 0) { return ${zero}; }
  return ${name}[(u32(first) + ${q} - q * ${channels}) / 4u];`
    : `var v = ${zero};
  for (var j = 0u; j < 4u && ${q} + j < ${limit}; j++) {
    let q = (${q} + j) / ${channels};
    let first = ${where("q")};
    if (first >= 0) { v[j] = ${name}[u32(first) + ${q} + j - q * ${channels}]; }
  }
  return v;`;
}

/** WGSL of the right-hand operand that lies in memory as it is used: weight[k, column]. */
const columnsOf = (name: string) => `
fn atB(z: u32, column: u32) -> vec4u { return vec4u(column, u.n - column, 0u, u32(column < u.n)); }
fn loadB(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${zero}; }
  return fetch_${name}(k * u.n + at.x, at.y);
}`;
const square = (tap: string) => `vec2u(${tap} / KW, ${tap} % KW)`;

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
${fetch("weight", fourOut)}${bias ? fetch("bias", fourOut) : ""}${residual ? fetch("residual", fourOut) : ""}
fn atA(z: u32, row: u32) -> vec4u { return select(vec4u(0u), seen(row), row < u.m); }
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${zero}; }
  ${gather("x", "k", (tap) => `input(at, ${square(tap)})`, "u.ci", "u.k", fourIn)}
}
${columnsOf("weight")}`,
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
fn atA(z: u32, row: u32) -> vec4u { return vec4u(seeing(z, row), select(0u, z + 1u, row < u.m)); }
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${zero}; }
  ${gather("dy", "k", (tap) => `output(at.xyz, tap(at.w - 1u, ${tap}))`, "u.co", "u.k", four)}
}
/** Where the filter's output channels for the tap and input channel begin, or −1 past the filter. */
fn channels(z: u32, q: u32, column: u32) -> i32 {
  let at = tap(z, q);
  return select(i32(((at.x * KW + at.y) * u.ci + column) * u.co), -1, at.x >= KH || at.y >= KW);
}
fn atB(z: u32, column: u32) -> vec4u { return vec4u(column, z, 0u, u32(column < u.n)); }
fn loadB(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${zero}; }
  ${gather("weight", "k", (tap) => `channels(at.y, ${tap}, at.x)`, "u.co", "u.k", four)}
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
${fetch("dy", fourOut)}
fn atA(z: u32, row: u32) -> vec4u {
  let q = row / u.ci;
  return vec4u(row, ${square("q")}, u32(row < u.m));
}
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${zero}; }
  let window = seen(k);
  ${
      fourIn
        ? `let first = input(window, at.yz);
  if (first < 0) { return ${zero}; }
  return x[(u32(first) + at.x % u.ci) / 4u];`
        : gather("x", "at.x", (tap) => `input(window, ${square(tap)})`, "u.ci", "u.m", false)
    }
}
${columnsOf("dy")}`,
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
