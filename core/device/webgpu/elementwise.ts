/** Kernels in which each thread makes one element by itself. */
import * as ops from "../../ops/mod.ts";
import type { TensorInfo } from "../../tf.ts";
import {
  NORMAL_SHARE_P1,
  NORMAL_SHARE_P2,
  NORMAL_SHARE_P3,
  NORMAL_SHARE_P4,
  NORMAL_SHARE_P5,
  NORMAL_SHARE_SLOPE,
} from "../wasm/assembly/abi.ts";
import { type Gpu, size } from "./gpu.ts";
import { IS_NAN, SIGMOID } from "./shader.ts";

/** What {@link map} needs besides its expression. */
interface MapOptions {
  key?: readonly (string | number)[];
  types?: Record<string, string>;
  floats?: Record<string, number>;
  declarations?: string;
}

/** y[gid] of the inputs' elements at gid, by a WGSL expression. */
function map(
  gpu: Gpu,
  name: string,
  read: Record<string, TensorInfo>,
  expression: () => string,
  { key, types, floats, declarations }: MapOptions = {},
): TensorInfo {
  const [{ shape }] = Object.values(read), y = gpu.output(shape);
  gpu.runEach(name, size(shape), {
    key,
    read,
    write: { y },
    floats,
    shader: () => ({ types, declarations, body: `y[gid] = ${expression()};` }),
  });
  return y;
}

/** WGSL of Φ(x), as {@link NORMAL_SHARE_SLOPE} has it. */
const NORMAL_SHARE = `
fn normalShare(x: f32) -> f32 {
  let t = 1.0 / (1.0 + abs(x) * ${NORMAL_SHARE_SLOPE * Math.SQRT1_2});
  var p = fma(${NORMAL_SHARE_P5}, t, ${NORMAL_SHARE_P4});
  p = fma(fma(fma(p, t, ${NORMAL_SHARE_P3}), t, ${NORMAL_SHARE_P2}), t, ${NORMAL_SHARE_P1});
  let tail = 0.5 * p * t * exp(-0.5 * x * x);
  return select(tail, 1.0 - tail, x >= 0.0);
}`;

/** Ops of two operands as WGSL. */
const BINARY: Record<string, (a: string, b: string) => string> = {
  Add: (a, b) => `${a} + ${b}`,
  Sub: (a, b) => `${a} - ${b}`,
  Multiply: (a, b) => `${a} * ${b}`,
  RealDiv: (a, b) => `${a} / ${b}`,
  Maximum: (a, b) => `withNan(max(${a}, ${b}), ${a}, ${b})`,
  Minimum: (a, b) => `withNan(min(${a}, ${b}), ${a}, ${b})`,
};

/** WGSL of `withNan(y, a, b)`: y, or NaN where a or b is. */
const WITH_NAN = `${IS_NAN}
fn withNan(y: f32, a: f32, b: f32) -> f32 { return select(select(y, b, isNan(b)), a, isNan(a)); }
`;

/** WGSL of `reduced(x)`, x within half a turn: WGSL promises no precision of sin and cos outside. */
const REDUCED = `
fn reduced(x: f32) -> f32 {
  let turns = round(x * 0.15915494309189535);
  // 2π in two parts, of which whole multiples of the first are exact.
  return fma(-turns, 0.0019353071795864769, fma(-turns, 6.28125, x));
}`;

/** A number that the device has not seen yet, such as the 2 of `tf.mul(x, 2)`; otherwise undefined. */
function hostNumber({ backend }: Gpu, { dataId, shape, dtype }: TensorInfo): number | undefined {
  const { values, resource } = backend.tensorMap.get(dataId);
  return size(shape) === 1 && dtype === "float32" && values && !resource ? values[0] : undefined;
}

/** op(x, number) for each element of x: the number goes along with the sizes, not as an upload of its own. */
function replaceBinary(gpu: Gpu, name: string): void {
  const op = BINARY[name];
  const onDevice = ({ dataId, dtype }: TensorInfo) =>
    dtype === "float32" && gpu.backend.tensorMap.get(dataId).resource;
  ops.replaceKernel("webgpu", name, (original) => ({ a, b }, attrs) => {
    const right = hostNumber(gpu, b);
    if (right !== undefined && onDevice(a) && b.shape.length <= a.shape.length) {
      const floats = { number: right };
      return map(gpu, name, { x: a }, () => op("x[gid]", "u.number"), { floats, declarations: WITH_NAN });
    }
    const left = hostNumber(gpu, a);
    if (left !== undefined && onDevice(b) && a.shape.length <= b.shape.length) {
      const floats = { number: left };
      return map(gpu, `${name}From`, { x: b }, () => op("u.number", "x[gid]"), {
        floats,
        declarations: WITH_NAN,
      });
    }
    return original({ a, b }, attrs);
  });
}

/** A kernel of one float operand under tfjs's name, by a WGSL expression. */
function replaceMap(gpu: Gpu, name: string, expression: string, declarations: string): void {
  ops.replaceKernel(
    "webgpu",
    name,
    (original) => ({ x }, attrs) =>
      x.dtype === "float32"
        ? map(gpu, name, { x }, () => expression, { declarations })
        : original({ x }, attrs),
  );
}

/** Σ of tensors of one shape, as many a run as the device can bind. */
function addAll(gpu: Gpu, xs: TensorInfo[]): TensorInfo {
  const most = gpu.limits.maxStorageBuffersPerShaderStage - 1;
  const now = xs.slice(0, most);
  const read = Object.fromEntries(now.map((x, i) => [`x${i}`, x]));
  const sum = map(gpu, "AddN", read, () => now.map((_, i) => `x${i}[gid]`).join(" + "), {
    key: [now.length],
  });
  if (xs.length <= most) return sum;
  const whole = addAll(gpu, [sum, ...xs.slice(most)]);
  gpu.free(sum);
  return whole;
}

export function registerElementwise(gpu: Gpu): void {
  for (const name in BINARY) replaceBinary(gpu, name);
  ops.replaceKernel("webgpu", "AddN", (original) => (inputs, attrs) => {
    const xs = Object.values(inputs);
    return xs.every((x) => x.dtype === "float32") ? addAll(gpu, xs) : original(inputs, attrs);
  });
  // To float32 in memory too: tfjs's own leaves whole numbers as they are, and notes it where only its kernels look.
  ops.replaceKernel("webgpu", "Cast", (original) => ({ x }, attrs) => {
    if (attrs.dtype !== "float32" || !["int32", "bool"].includes(x.dtype)) return original({ x }, attrs);
    return map(gpu, "Cast", { x }, () => "f32(x[gid])", { types: { x: "i32" } });
  });

  replaceMap(gpu, "Relu", "withNan(max(x[gid], 0.0), x[gid], 0.0)", WITH_NAN);
  replaceMap(gpu, "Relu6", "withNan(clamp(x[gid], 0.0, 6.0), x[gid], 0.0)", WITH_NAN);
  replaceMap(gpu, "Sin", "sin(reduced(x[gid]))", REDUCED);
  replaceMap(gpu, "Cos", "cos(reduced(x[gid]))", REDUCED);
  ops.replaceKernel("webgpu", "ClipByValue", (original) => ({ x }, attrs) => {
    if (x.dtype !== "float32") return original({ x }, attrs);
    const floats = { low: attrs.clipValueMin, high: attrs.clipValueMax };
    const expression = () => "withNan(min(max(x[gid], u.low), u.high), x[gid], 0.0)";
    return map(gpu, "ClipByValue", { x }, expression, { floats, declarations: WITH_NAN });
  });

  ops.registerKernel("webgpu", ops.Silu, ({ x }) => ({
    y: map(gpu, "Silu", { x }, () => "x[gid] * sigmoid(x[gid])", { declarations: SIGMOID }),
  }));
  ops.registerKernel("webgpu", ops.SiluGrad, ({ x, dy }) => {
    const slope = "sigmoid(x[gid]) * (1.0 + x[gid] * (1.0 - sigmoid(x[gid])))";
    return { dx: map(gpu, "SiluGrad", { x, dy }, () => `dy[gid] * ${slope}`, { declarations: SIGMOID }) };
  });
  ops.registerKernel("webgpu", ops.Gelu, ({ x }) => ({
    y: map(gpu, "Gelu", { x }, () => "x[gid] * normalShare(x[gid])", { declarations: NORMAL_SHARE }),
  }));
  ops.registerKernel("webgpu", ops.GeluGrad, ({ x, dy }) => {
    const slope = "(normalShare(x[gid]) + x[gid] * 0.3989422804014327 * exp(-0.5 * x[gid] * x[gid]))";
    return {
      dx: map(gpu, "GeluGrad", { x, dy }, () => `dy[gid] * ${slope}`, { declarations: NORMAL_SHARE }),
    };
  });
  ops.registerKernel("webgpu", ops.GeneralRelu, ({ x }, { leak, sub }) => {
    const expression = () => "select(x[gid] * u.leak, x[gid], x[gid] > 0.0) - u.sub";
    return { y: map(gpu, "GeneralRelu", { x }, expression, { floats: { leak, sub } }) };
  });
  ops.registerKernel("webgpu", ops.GeneralReluGrad, ({ x, dy }, { leak }) => {
    const expression = () => "select(dy[gid] * u.leak, dy[gid], x[gid] > 0.0)";
    return { dx: map(gpu, "GeneralReluGrad", { x, dy }, expression, { floats: { leak } }) };
  });
  ops.registerKernel("webgpu", ops.AddChannels, ({ x, b }) => {
    const [, h, w, channels] = x.shape, y = gpu.output(x.shape);
    gpu.runEach("AddChannels", size(x.shape), {
      read: { x, b },
      write: { y },
      sizes: { image: h * w * channels, channels },
      shader: () => ({ body: "y[gid] = x[gid] + b[gid / u.image * u.channels + gid % u.channels];" }),
    });
    return { y };
  });
}
