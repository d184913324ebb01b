/** Kernels in which each thread makes one element or one pixel by itself. */
import type { TensorInfo } from "../../tf.ts";
import { type Gpu, grid, size } from "./gpu.ts";

const THREADS = 64;
const SIGMOID = "fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }";

/** y[i] of the inputs' elements at i, by an expression. */
function map(
  gpu: Gpu,
  name: string,
  read: Record<string, TensorInfo>,
  expression: string,
  floats: Record<string, number> = {},
  declarations = "",
): TensorInfo {
  const [first] = Object.values(read), n = size(first.shape), y = gpu.output(first.shape);
  gpu.run(name, {
    ...{ read, write: { y }, sizes: { n }, floats, declarations, threads: THREADS, groups: grid(n, THREADS) },
    body: `if (gid < u.n) { y[gid] = ${expression}; }`,
  });
  return y;
}

/** An image tensor made pixel by pixel: the body knows n, row, column and c of the output element `gid`. */
function perPixel(
  gpu: Gpu,
  name: string,
  x: TensorInfo,
  shape: number[],
  sizes: Record<string, number>,
  body: string,
): TensorInfo {
  const y = gpu.output(shape), [, height, width, channels] = shape, n = size(shape);
  gpu.run(name, {
    ...{ read: { x }, write: { y }, threads: THREADS, groups: grid(n, THREADS) },
    sizes: { size: n, height, width, channels, inHeight: x.shape[1], inWidth: x.shape[2], ...sizes },
    body: `
  if (gid >= u.size) { return; }
  let c = gid % u.channels; let pixel = gid / u.channels;
  let column = pixel % u.width; let row = pixel / u.width % u.height; let n = pixel / u.width / u.height;
  ${body}`,
  });
  return y;
}

/** Sum of a block of x [n, inHeight, inWidth, channels] at (row, column)·factor, cut off at the image's end. */
const BLOCK = `
  let rows = min(u.factor, u.inHeight - row * u.factor);
  let columns = min(u.factor, u.inWidth - column * u.factor);
  var sum = 0.0;
  for (var i = 0u; i < rows; i++) {
    for (var j = 0u; j < columns; j++) {
      let y0 = row * u.factor + i; let x0 = column * u.factor + j;
      sum += x[((n * u.inHeight + y0) * u.inWidth + x0) * u.channels + c];
    }
  }`;

/** Ops of two operands as WGSL. */
const BINARY: Record<string, (a: string, b: string) => string> = {
  Add: (a, b) => `${a} + ${b}`,
  Sub: (a, b) => `${a} - ${b}`,
  Multiply: (a, b) => `${a} * ${b}`,
  RealDiv: (a, b) => `${a} / ${b}`,
  Maximum: (a, b) => `max(${a}, ${b})`,
  Minimum: (a, b) => `min(${a}, ${b})`,
};

/** A number that the device has not seen yet, such as the 2 of `tf.mul(x, 2)`; otherwise undefined. */
function hostNumber({ backend }: Gpu, { dataId, shape, dtype }: TensorInfo): number | undefined {
  const { values, resource } = backend.tensorMap.get(dataId);
  return size(shape) === 1 && dtype === "float32" && values && !resource ? values[0] : undefined;
}

/** op(x, number) for each element of x: the number goes along with the sizes, not as an upload of its own. */
function registerBinary(gpu: Gpu, name: string): void {
  const onDevice = ({ dataId, dtype }: TensorInfo) =>
    dtype === "float32" && gpu.backend.tensorMap.get(dataId).resource;
  gpu.register(name, ({ a, b }, _, original) => {
    const [left, right] = [hostNumber(gpu, a), hostNumber(gpu, b)];
    if (right !== undefined && onDevice(a) && b.shape.length <= a.shape.length) {
      return map(gpu, name, { x: a }, BINARY[name]("x[gid]", "u.number"), { number: right });
    }
    if (left !== undefined && onDevice(b) && a.shape.length <= b.shape.length) {
      return map(gpu, `${name}From`, { x: b }, BINARY[name]("u.number", "x[gid]"), { number: left });
    }
    return original();
  });
}

/** To float32 in memory too: tfjs's own leaves whole numbers as they are, and notes it where only its kernels look. */
function registerCast(gpu: Gpu): void {
  gpu.register("Cast", ({ x }, { dtype }, original) => {
    if (dtype !== "float32" || !["int32", "bool"].includes(x.dtype)) return original();
    const y = gpu.output(x.shape), n = size(x.shape);
    gpu.run("Cast", {
      ...{ read: { x }, write: { y }, types: { x: "i32" }, sizes: { n } },
      ...{ threads: THREADS, groups: grid(n, THREADS), body: "if (gid < u.n) { y[gid] = f32(x[gid]); }" },
    });
    return y;
  });
}

/** Σ of tensors of one shape, as many a dispatch as the device can bind. */
function registerAddN(gpu: Gpu): void {
  const add = (xs: TensorInfo[]): TensorInfo => {
    const most = gpu.limits.maxStorageBuffersPerShaderStage - 1;
    const read = Object.fromEntries(xs.slice(0, most).map((x, i) => [`x${i}`, x]));
    const sum = map(gpu, "AddN", read, Object.keys(read).map((name) => `${name}[gid]`).join(" + "));
    if (xs.length <= most) return sum;
    const whole = add([sum, ...xs.slice(most)]);
    gpu.free(sum);
    return whole;
  };
  gpu.register("AddN", (inputs, _, original) => {
    const xs = Object.values(inputs);
    return xs.every((x) => x.dtype === "float32") ? add(xs) : original();
  });
}

export function registerElementwise(gpu: Gpu): void {
  registerAddN(gpu);
  registerCast(gpu);
  Object.keys(BINARY).forEach((name) => registerBinary(gpu, name));
  gpu.register("Silu", ({ x }) => map(gpu, "Silu", { x }, "x[gid] * sigmoid(x[gid])", {}, SIGMOID));
  gpu.register("SiluGrad", ({ x, dy }) => {
    const slope = "sigmoid(x[gid]) * (1.0 + x[gid] * (1.0 - sigmoid(x[gid])))";
    return map(gpu, "SiluGrad", { x, dy }, `dy[gid] * ${slope}`, {}, SIGMOID);
  });
  gpu.register(
    "GeneralRelu",
    ({ x }, { leak, sub }) =>
      map(gpu, "GeneralRelu", { x }, "select(x[gid] * u.leak, x[gid], x[gid] > 0.0) - u.sub", { leak, sub }),
  );
  gpu.register(
    "GeneralReluGrad",
    ({ x, dy }, { leak }) =>
      map(gpu, "GeneralReluGrad", { x, dy }, "select(dy[gid] * u.leak, dy[gid], x[gid] > 0.0)", { leak }),
  );

  /** x[N,H,W,C] + b[N,C]. */
  gpu.register("AddChannels", ({ x, b }) => {
    const [, h, w, channels] = x.shape, y = gpu.output(x.shape), n = size(x.shape);
    gpu.run("AddChannels", {
      ...{ read: { x, b }, write: { y }, threads: THREADS, groups: grid(n, THREADS) },
      sizes: { n, image: h * w * channels, channels },
      body: "if (gid < u.n) { y[gid] = x[gid] + b[gid / u.image * u.channels + gid % u.channels]; }",
    });
    return y;
  });
  /** x[…,C]·scale[C] + shift[C]. */
  gpu.register("ChannelAffine", ({ x, scale, shift }) => {
    const y = gpu.output(x.shape), n = size(x.shape);
    gpu.run("ChannelAffine", {
      ...{ read: { x, scale, shift }, write: { y }, threads: THREADS, groups: grid(n, THREADS) },
      sizes: { n, channels: scale.shape[0] },
      body: "let c = gid % u.channels; if (gid < u.n) { y[gid] = x[gid] * scale[c] + shift[c]; }",
    });
    return y;
  });

  gpu.register("Upsample", ({ x }, { factor }) => {
    const [n, h, w, c] = x.shape;
    const body =
      `y[gid] = x[((n * u.inHeight + row / u.factor) * u.inWidth + column / u.factor) * u.channels + c];`;
    return perPixel(gpu, "Upsample", x, [n, h * factor, w * factor, c], { factor }, body);
  });
  gpu.register("UpsampleGrad", ({ dy }, { factor }) => {
    const [n, h, w, c] = dy.shape;
    return perPixel(
      gpu,
      "UpsampleGrad",
      dy,
      [n, h / factor, w / factor, c],
      { factor },
      `${BLOCK} y[gid] = sum;`,
    );
  });
  gpu.register("AveragePool", ({ x }, { factor }) => {
    const [n, h, w, c] = x.shape, shape = [n, Math.ceil(h / factor), Math.ceil(w / factor), c];
    return perPixel(gpu, "AveragePool", x, shape, { factor }, `${BLOCK} y[gid] = sum / f32(rows * columns);`);
  });
  gpu.register("AveragePoolGrad", ({ dy }, { factor, shape }) => {
    const body = `
  let i = row / u.factor; let j = column / u.factor;
  let rows = min(u.factor, u.height - i * u.factor); let columns = min(u.factor, u.width - j * u.factor);
  y[gid] = x[((n * u.inHeight + i) * u.inWidth + j) * u.channels + c] / f32(rows * columns);`;
    return perPixel(gpu, "AveragePoolGrad", dy, shape, { factor }, body);
  });
}
