/** Convolution and its two gradients as tiled products whose operands are gathered on the way (implicit GEMM). */
import * as ops from "../../ops/mod.ts";
import { tf } from "../../tf.ts";
import type { TensorInfo } from "../../tf.ts";
import type { Gpu } from "./gpu.ts";
import { addends, fetch, NOWHERE, runProduct } from "./product.ts";
import { vectorType } from "./shader.ts";

type Shape4 = [number, number, number, number];

/** Sizes of a convolution, in pixels and channels. */
interface Geometry {
  n: number;
  inHeight: number;
  inWidth: number;
  ci: number;
  outHeight: number;
  outWidth: number;
  co: number;
  kh: number;
  kw: number;
  stride: number;
  /** Padding before the first row and column. */
  top: number;
  left: number;
}

/** What tfjs's own convolutions take. */
interface TfjsAttrs {
  strides: [number, number] | number;
  pad: "valid" | "same" | number;
  dataFormat?: string;
  dilations?: [number, number] | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  activation?: string;
}

/** The geometry of the ops of our table. */
function geometry(x: number[], filter: number[], steps: { stride: number; padding: number }): Geometry {
  const [n, inHeight, inWidth, ci] = x, [kh, kw] = filter;
  const [, outHeight, outWidth, co] = ops.convShape(x, filter, steps);
  const { stride, padding } = steps;
  return { n, inHeight, inWidth, ci, outHeight, outWidth, co, kh, kw, stride, top: padding, left: padding };
}

/** The geometry of tfjs's attributes; undefined for what our kernels do not do. */
function tfjsGeometry(x: number[], filter: number[], attrs: TfjsAttrs): Geometry | undefined {
  const { strides, pad, dataFormat = "NHWC", dilations = 1, dimRoundingMode = "floor" } = attrs;
  const info = tf.backend_util.computeConv2DInfo(
    x as Shape4,
    filter as Shape4,
    strides,
    dilations,
    pad,
    dimRoundingMode,
  );
  if (info.outHeight < 1 || info.outWidth < 1) {
    const sides = `${filter[0]}×${filter[1]}`;
    throw new Error(
      `conv2d: a filter of ${sides} is larger than the padded image, of ${x[1]}×${x[2]} unpadded`,
    );
  }
  const stride = info.strideHeight;
  if (dataFormat !== "NHWC" || stride !== info.strideWidth) return undefined;
  if (info.dilationHeight !== 1 || info.dilationWidth !== 1) return undefined;
  // For a number, tfjs computes the width from the filter's height.
  if (typeof pad === "number" && dimRoundingMode === "floor") {
    return geometry(x, filter, { stride, padding: pad });
  }
  return {
    n: info.batchSize,
    inHeight: info.inHeight,
    inWidth: info.inWidth,
    ci: info.inChannels,
    outHeight: info.outHeight,
    outWidth: info.outWidth,
    co: info.outChannels,
    kh: info.filterHeight,
    kw: info.filterWidth,
    stride,
    top: info.padInfo.top,
    left: info.padInfo.left,
  };
}

/** What the loads of all three products know of the geometry. */
function common(g: Geometry) {
  const { inHeight, inWidth, outHeight, outWidth, ci, co } = g;
  return {
    sizes: { inHeight, inWidth, outHeight, outWidth, ci, co },
    consts: { KH: g.kh, KW: g.kw, STRIDE: g.stride, TOP: g.top, LEFT: g.left },
    key: [g.kh, g.kw, g.stride, g.top, g.left],
  };
}

const ZERO = "vec4f(0.0)";

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
  if (first < 0) { return ${ZERO}; }
  return ${name}[(u32(first) + ${q} - q * ${channels}) / 4u];`
    : `var v = ${ZERO};
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
  if (at.w == 0u || k >= u.k) { return ${ZERO}; }
  return fetch_${name}(k * u.n + at.x, at.y);
}`;
/** WGSL of a tap's row and column in the filter. */
const tapAt = (tap: string) => `vec2u(${tap} / KW, ${tap} % KW)`;

/** out = x ∗ filter (+ bias) (+ residual): rows are output pixels, the sum runs over taps and input channels. */
function forward(
  gpu: Gpu,
  x: TensorInfo,
  filter: TensorInfo,
  g: Geometry,
  bias?: TensorInfo,
  residual?: TensorInfo,
): TensorInfo {
  const { ci, co } = g, { sizes, consts, key } = common(g);
  const fourIn = ci % 4 === 0, fourOut = co % 4 === 0;
  return runProduct(gpu, "Conv2D", {
    m: g.n * g.outHeight * g.outWidth,
    n: co,
    k: g.kh * g.kw * ci,
    shape: [g.n, g.outHeight, g.outWidth, co],
    read: { x, weight: filter, bias, residual },
    sizes,
    key: [...key, fourIn, fourOut, !!bias, !!residual],
    aAlong: "sum",
    bAlong: "out",
    loads: () => {
      const added = addends(co, bias, residual);
      return {
        types: { x: vectorType(fourIn), weight: vectorType(fourOut), ...added.types },
        consts,
        epilogue: added.epilogue,
        code: `
${INPUT}
${fetch("weight", fourOut)}${added.code}
fn atA(z: u32, row: u32) -> vec4u { return select(vec4u(0u), seen(row), row < u.m); }
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${ZERO}; }
  ${gather("x", "k", (tap) => `input(at, ${tapAt(tap)})`, "u.ci", "u.k", fourIn)}
}
${columnsOf("weight")}`,
      };
    },
  });
}

/** dx: rows are a phase's input pixels, the sum runs over its taps and output channels. */
function inputGrad(gpu: Gpu, dy: TensorInfo, filter: TensorInfo, g: Geometry): TensorInfo {
  const { ci, co, stride } = g, { sizes, consts, key } = common(g);
  const four = co % 4 === 0;
  const part = (n: number) => Math.ceil(n / stride);
  const rows = part(g.inHeight), columns = part(g.inWidth), taps = part(g.kw);
  return runProduct(gpu, "Conv2DInputGrad", {
    m: g.n * rows * columns,
    n: ci,
    k: part(g.kh) * taps * co,
    batch: stride * stride,
    shape: [g.n, g.inHeight, g.inWidth, ci],
    read: { dy, weight: filter },
    sizes: { ...sizes, rows, columns },
    key: [...key, four],
    aAlong: "sum",
    bAlong: "sum",
    place: stride > 1,
    split: stride === 1,
    loads: () => ({
      types: { dy: vectorType(four), weight: vectorType(four) },
      consts: { ...consts, TAPS: taps },
      code: `
${OUTPUT}
fn atA(z: u32, row: u32) -> vec4u { return vec4u(seeing(z, row), select(0u, z + 1u, row < u.m)); }
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${ZERO}; }
  ${gather("dy", "k", (tap) => `output(at.xyz, tap(at.w - 1u, ${tap}))`, "u.co", "u.k", four)}
}
/** Where the filter's output channels for the tap and input channel begin, or −1 past the filter. */
fn channels(z: u32, q: u32, column: u32) -> i32 {
  let at = tap(z, q);
  return select(i32(((at.x * KW + at.y) * u.ci + column) * u.co), -1, at.x >= KH || at.y >= KW);
}
fn atB(z: u32, column: u32) -> vec4u { return vec4u(column, z, 0u, u32(column < u.n)); }
fn loadB(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${ZERO}; }
  ${gather("weight", "k", (tap) => `channels(at.y, ${tap}, at.x)`, "u.co", "u.k", four)}
}`,
    }),
  });
}

/** dW: rows are taps and input channels, the sum runs over output pixels. */
function filterGrad(gpu: Gpu, x: TensorInfo, dy: TensorInfo, g: Geometry): TensorInfo {
  const { ci, co } = g, { sizes, consts, key } = common(g);
  const fourIn = ci % 4 === 0, fourOut = co % 4 === 0;
  return runProduct(gpu, "Conv2DFilterGrad", {
    m: g.kh * g.kw * ci,
    n: co,
    k: g.n * g.outHeight * g.outWidth,
    shape: [g.kh, g.kw, ci, co],
    read: { x, dy },
    sizes,
    key: [...key, fourIn, fourOut],
    aAlong: "out",
    bAlong: "out",
    split: true,
    loads: () => ({
      types: { x: vectorType(fourIn), dy: vectorType(fourOut) },
      consts,
      code: `
${INPUT}
${fetch("dy", fourOut)}
fn atA(z: u32, row: u32) -> vec4u {
  let q = row / u.ci;
  return vec4u(row, ${tapAt("q")}, u32(row < u.m));
}
fn loadA(at: vec4u, k: u32) -> vec4f {
  if (at.w == 0u || k >= u.k) { return ${ZERO}; }
  let window = seen(k);
  ${
        fourIn
          ? `let first = input(window, at.yz);
  if (first < 0) { return ${ZERO}; }
  return x[(u32(first) + at.x % u.ci) / 4u];`
          : gather("x", "at.x", (tap) => `input(window, ${tapAt(tap)})`, "u.ci", "u.m", false)
      }
}
${columnsOf("dy")}`,
    }),
  });
}

export function registerConv(gpu: Gpu): void {
  ops.registerKernel("webgpu", ops.Conv2d, ({ x, filter, bias, residual }, attrs) => ({
    y: forward(gpu, x, filter, geometry(x.shape, filter.shape, attrs), bias, residual),
  }));
  ops.registerKernel("webgpu", ops.Conv2dInputGrad, ({ dy, filter }, attrs) => ({
    dx: inputGrad(gpu, dy, filter, geometry(attrs.inputShape, filter.shape, attrs)),
  }));
  ops.registerKernel("webgpu", ops.Conv2dFilterGrad, ({ x, dy }, attrs) => ({
    dFilter: filterGrad(gpu, x, dy, geometry(x.shape, attrs.filterShape, attrs)),
  }));

  ops.replaceKernel("webgpu", "Conv2D", (original) => ({ x, filter }, attrs: TfjsAttrs) => {
    const g = tfjsGeometry(x.shape, filter.shape, attrs);
    return g ? forward(gpu, x, filter, g) : original({ x, filter }, attrs);
  });
  ops.replaceKernel("webgpu", "FusedConv2D", (original) => (inputs, attrs: TfjsAttrs) => {
    const { x, filter, bias, preluActivationWeights } = inputs;
    const g = tfjsGeometry(x.shape, filter.shape, attrs);
    const plain = (attrs.activation ?? "linear") === "linear" && !preluActivationWeights &&
      (!bias || tf.util.sizeFromShape(bias.shape) === filter.shape[3]);
    return g && plain ? forward(gpu, x, filter, g, bias) : original(inputs, attrs);
  });
  ops.replaceKernel("webgpu", "Conv2DBackpropInput", (original) => ({ dy, filter }, attrs) => {
    const g = tfjsGeometry(attrs.inputShape, filter.shape, attrs);
    return g ? inputGrad(gpu, dy, filter, g) : original({ dy, filter }, attrs);
  });
  ops.replaceKernel("webgpu", "Conv2DBackpropFilter", (original) => ({ x, dy }, attrs) => {
    const g = tfjsGeometry(x.shape, attrs.filterShape, attrs);
    return g ? filterGrad(gpu, x, dy, g) : original({ x, dy }, attrs);
  });
}
