/** Element by element: activations, a number a channel of each image, and tfjs's arithmetic. */
import {
  AddChannels,
  Gelu,
  GeluGrad,
  GeneralRelu,
  GeneralReluGrad,
  registerKernel,
  replaceKernel,
  Silu,
  SiluGrad,
} from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import type { TensorInfo } from "../../../tf.ts";
import { AddChannelsArgs, CHUNK, Kernel, MapArgs, MapOp } from "../assembly/abi.ts";
import { Float } from "../pool.ts";
import { areFloat, type Context, size } from "./context.ts";

/** What {@link runMap} takes beside a: another tensor of its size, and numbers. */
interface MapOperands {
  b?: TensorInfo;
  s?: number;
  t?: number;
}

/** f(a, b, s, t) element by element, into a tensor that is given or a new one of a's shape. */
export function runMap(
  ctx: Context,
  op: MapOp,
  a: TensorInfo,
  { b = a, s = 0, t = 0 }: MapOperands = {},
  out: TensorInfo = ctx.output(a.shape),
): TensorInfo {
  const length = size(a.shape);
  ctx.pool.run(Kernel.map, Math.ceil(length / CHUNK), MapArgs, {
    op,
    length,
    out,
    a,
    b,
    s: new Float(s),
    t: new Float(t),
  });
  return out;
}

/** Registers them. */
export function registerElementwise(ctx: Context): void {
  registerKernel("wasm", Silu, ({ x }) => ({ y: runMap(ctx, MapOp.silu, x) }));
  registerKernel("wasm", SiluGrad, ({ x, dy }) => ({ dx: runMap(ctx, MapOp.siluGrad, x, { b: dy }) }));
  registerKernel("wasm", Gelu, ({ x }) => ({ y: runMap(ctx, MapOp.gelu, x) }));
  registerKernel("wasm", GeluGrad, ({ x, dy }) => ({ dx: runMap(ctx, MapOp.geluGrad, x, { b: dy }) }));
  registerKernel(
    "wasm",
    GeneralRelu,
    ({ x }, { leak, sub }) => ({ y: runMap(ctx, MapOp.leaky, x, { s: leak, t: sub }) }),
  );
  registerKernel(
    "wasm",
    GeneralReluGrad,
    ({ x, dy }, { leak }) => ({ dx: runMap(ctx, MapOp.leakyGrad, x, { b: dy, s: leak }) }),
  );
  registerKernel("wasm", AddChannels, ({ x, b }) => {
    const [images, channels] = b.shape, pixels = size(x.shape) / images / channels;
    const y = ctx.output(x.shape);
    ctx.pool.run(Kernel.addChannels, images, AddChannelsArgs, { x, pixels, channels, b, y });
    return { y };
  });

  const binary = (name: string, op: MapOp) =>
    replaceKernel("wasm", name, (original) => (inputs, attrs) => {
      const { a, b } = inputs;
      const alike = areFloat(a, b) && tf.util.arraysEqual(a.shape, b.shape);
      return alike ? runMap(ctx, op, a, { b }) : original(inputs, attrs);
    });
  binary("Add", MapOp.add);
  binary("Sub", MapOp.sub);
  binary("Multiply", MapOp.mul);
  replaceKernel(
    "wasm",
    "Relu",
    (original) => (inputs, attrs) =>
      areFloat(inputs.x) ? runMap(ctx, MapOp.relu, inputs.x) : original(inputs, attrs),
  );
}
