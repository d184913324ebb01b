/** Element by element: activations, a number a channel of each image, and tfjs's arithmetic. */
import {
  AddChannels,
  Gelu,
  GeluGrad,
  GeneralRelu,
  GeneralReluGrad,
  Silu,
  SiluGrad,
} from "../../../ops/mod.ts";
import { tf } from "../../../tf.ts";
import type { Tensor, TensorInfo } from "../../../tf.ts";
import { CHUNK, Kernel, MapOp } from "../assembly/abi.ts";
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
  ctx.pool.run(Kernel.map, Math.ceil(length / CHUNK), {
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

/** tfjs's Maximum or Minimum, which turns NaN into a number: here for operands of all shapes. */
function extreme(ctx: Context, name: string, op: MapOp.maximum | MapOp.minimum): void {
  const ofNumber = (x: TensorInfo, number: TensorInfo) => {
    const [s, t] = op === MapOp.maximum ? [ctx.scalar(number), Infinity] : [-Infinity, ctx.scalar(number)];
    return runMap(ctx, MapOp.clip, x, { s, t });
  };
  ctx.replace(name, (original) => (inputs, attrs) => {
    const { a, b } = inputs;
    if (!areFloat(a, b)) return original(inputs, attrs);
    const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const [wholeA, wholeB] = [a, b].map((x) => tf.util.arraysEqual(x.shape, shape));
    if (wholeA && wholeB) return runMap(ctx, op, a, { b });
    if (wholeA && size(b.shape) === 1) return ofNumber(a, b);
    if (wholeB && size(a.shape) === 1) return ofNumber(b, a);
    const [x, y] = [a, b].map((operand) => tf.broadcastTo(operand as Tensor, shape));
    const out = runMap(ctx, op, x, { b: y });
    tf.dispose([x, y]);
    return out;
  });
}

/** A tfjs kernel that keeps x between two numbers. tfjs's own turn NaN into a number, and read int32 as float32. */
function clamp(
  ctx: Context,
  name: string,
  limits: (attrs: Record<string, number>) => [low: number, high: number],
): void {
  ctx.replace(name, () => ({ x }, attrs) => {
    const [s, t] = limits(attrs);
    if (areFloat(x)) return runMap(ctx, MapOp.clip, x, { s, t });
    const out = ctx.output(x.shape, x.dtype), values = ctx.values(x);
    ctx.values(out).set(values.map((v) => Math.min(Math.max(v, s), t)));
    return out;
  });
}

/** A tfjs kernel of whole numbers, which tfjs's own would round to float32. */
function ofWhole(ctx: Context, name: string, f: (x: number) => number): void {
  ctx.replace(name, (original) => ({ x }, attrs) => {
    if (x.dtype !== "int32") return original({ x }, attrs);
    const out = ctx.output(x.shape, "int32");
    ctx.values(out).set(ctx.values(x).map(f));
    return out;
  });
}

/** Registers them. */
export function registerElementwise(ctx: Context): void {
  ctx.kernel(Silu, ({ x }) => ({ y: runMap(ctx, MapOp.silu, x) }));
  ctx.kernel(SiluGrad, ({ x, dy }) => ({ dx: runMap(ctx, MapOp.siluGrad, x, { b: dy }) }));
  ctx.kernel(Gelu, ({ x }) => ({ y: runMap(ctx, MapOp.gelu, x) }));
  ctx.kernel(GeluGrad, ({ x, dy }) => ({ dx: runMap(ctx, MapOp.geluGrad, x, { b: dy }) }));
  ctx.kernel(
    GeneralRelu,
    ({ x }, { leak, sub }) => ({ y: runMap(ctx, MapOp.leaky, x, { s: leak, t: sub }) }),
  );
  ctx.kernel(
    GeneralReluGrad,
    ({ x, dy }, { leak }) => ({ dx: runMap(ctx, MapOp.leakyGrad, x, { b: dy, s: leak }) }),
  );
  ctx.kernel(AddChannels, ({ x, b }) => {
    const [images, channels] = b.shape, pixels = size(x.shape) / images / channels;
    const y = ctx.output(x.shape);
    ctx.pool.run(Kernel.addChannels, images, { x, pixels, channels, b, y });
    return { y };
  });

  const binary = (name: string, op: MapOp) =>
    ctx.replace(name, (original) => (inputs, attrs) => {
      const { a, b } = inputs;
      const alike = areFloat(a, b) && tf.util.arraysEqual(a.shape, b.shape);
      return alike ? runMap(ctx, op, a, { b }) : original(inputs, attrs);
    });
  binary("Add", MapOp.add);
  binary("Sub", MapOp.sub);
  binary("Multiply", MapOp.mul);
  extreme(ctx, "Maximum", MapOp.maximum);
  extreme(ctx, "Minimum", MapOp.minimum);

  ofWhole(ctx, "Abs", Math.abs);
  ofWhole(ctx, "Neg", (x) => -x);
  clamp(ctx, "Relu", () => [0, Infinity]);
  clamp(ctx, "Relu6", () => [0, 6]);
  clamp(ctx, "ClipByValue", ({ clipValueMin, clipValueMax }) => [clipValueMin, clipValueMax]);
}
