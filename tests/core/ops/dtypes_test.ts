/** tfjs's ops of one and two tensors, of every dtype, against plain numbers. */
import { assertEquals, assertThrows } from "@std/assert";
import { type DataType, type Tensor, tf } from "../../../mod.ts";
import { numbers, wasmOnly } from "../../support.ts";

const { test } = Deno;
const DTYPES: DataType[] = ["float32", "int32", "bool"];
const X = {
  float32: [-2.5, -0.5, 0, 0.25, 1, 3.5, 8],
  int32: [-3, -1, 0, 1, 2, 7, 20],
  bool: [0, 1, 1, 0, 1, 0, 0],
};
const Y = {
  float32: [1.5, -2, 0.5, 2, -1, 0.25, 3],
  int32: [2, -2, 1, 3, -5, 4, 7],
  bool: [1, 1, 1, 1, 1, 1, 1],
};

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const elu = (x: number) => x > 0 ? x : Math.expm1(x);
const selu = (x: number) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x));
const even = (x: number) => Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);

/** Every op of one tensor, element by element. */
const UNARY: Record<string, (x: number) => number> = {
  abs: Math.abs,
  acos: Math.acos,
  acosh: Math.acosh,
  asin: Math.asin,
  asinh: Math.asinh,
  atan: Math.atan,
  atanh: Math.atanh,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  elu,
  exp: Math.exp,
  expm1: Math.expm1,
  floor: Math.floor,
  isFinite: (x) => +Number.isFinite(x),
  isInf: () => 0,
  isNaN: (x) => +Number.isNaN(x),
  leakyRelu: (x) => x > 0 ? x : 0.2 * x,
  log: Math.log,
  log1p: Math.log1p,
  logSigmoid: (x) => Math.log(sigmoid(x)),
  neg: (x) => -x,
  reciprocal: (x) => 1 / x,
  relu: (x) => Math.max(x, 0),
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  round: even,
  rsqrt: (x) => 1 / Math.sqrt(x),
  selu,
  sigmoid,
  sign: Math.sign,
  sin: Math.sin,
  sinh: Math.sinh,
  softplus: (x) => Math.log1p(Math.exp(x)),
  sqrt: Math.sqrt,
  square: (x) => x * x,
  step: (x) => x > 0 ? 1 : 0,
  tan: Math.tan,
  tanh: Math.tanh,
};

/** Every op of two tensors of one dtype, element by element. */
const BINARY: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  atan2: Math.atan2,
  div: (a, b) => a / b,
  equal: (a, b) => +(a === b),
  floorDiv: (a, b) => Math.floor(a / b),
  greater: (a, b) => +(a > b),
  greaterEqual: (a, b) => +(a >= b),
  less: (a, b) => +(a < b),
  lessEqual: (a, b) => +(a <= b),
  maximum: Math.max,
  minimum: Math.min,
  mod: (a, b) => ((a % b) + b) % b,
  mul: (a, b) => a * b,
  notEqual: (a, b) => +(a !== b),
  prelu: (a, b) => a > 0 ? a : a * b,
  squaredDifference: (a, b) => (a - b) ** 2,
  sub: (a, b) => a - b,
};

/** Ops of a whole tensor. */
const WHOLE: Record<string, (x: number[]) => number[]> = {
  cumsum: (x) => x.map((_, i) => x.slice(0, i + 1).reduce((a, b) => a + b)),
  cumprod: (x) => x.map((_, i) => x.slice(0, i + 1).reduce((a, b) => a * b)),
  reverse: (x) => x.toReversed(),
  max: (x) => [Math.max(...x)],
  min: (x) => [Math.min(...x)],
  sum: (x) => [x.reduce((a, b) => a + b)],
  mean: (x) => [x.reduce((a, b) => a + b) / x.length],
  prod: (x) => [x.reduce((a, b) => a * b)],
  argMax: (x) => [x.indexOf(Math.max(...x))],
  argMin: (x) => [x.indexOf(Math.min(...x))],
  softmax: (x) => {
    const e = x.map((v) => Math.exp(v - Math.max(...x))), sum = e.reduce((a, b) => a + b);
    return e.map((v) => v / sum);
  },
  logSumExp: (x) => [Math.log(x.map((v) => Math.exp(v)).reduce((a, b) => a + b))],
  clone: (x) => x,
  onesLike: (x) => x.map(() => 1),
  zerosLike: (x) => x.map(() => 0),
};

// deno-lint-ignore no-explicit-any
const ops = tf as any;

/** What an op gives otherwise than plain numbers; it may refuse a dtype by name. */
async function difference(name: string, inputs: Tensor[], wanted: number[]): Promise<string | undefined> {
  const said = `${name}(${inputs.map((x) => x.dtype)})`;
  try {
    const out: Tensor = ops[name](...inputs), got = await numbers(out);
    const at = wanted.findIndex((w, i) => {
      if (Number.isNaN(w)) return !Number.isNaN(got[i]);
      if (!Number.isFinite(w)) return got[i] !== w;
      return !(Math.abs(got[i] - w) <= 5e-4 * Math.max(Math.abs(w), 0.01));
    });
    if (at < 0 && got.length === wanted.length) return undefined;
    return `${said}: ${got[at]} of ${out.dtype} at ${at}, not ${wanted[at]}`;
  } catch (error) {
    const { message } = error as Error;
    return /must be float32 tensor, but got/.test(message) ? undefined : `${said}: ${message}`;
  }
}

test("tfjs's ops give plain numbers' values, of every dtype", async () => {
  const found: Promise<string | undefined>[] = [];
  for (const dtype of DTYPES as (keyof typeof X)[]) {
    const x = tf.tensor(X[dtype], [7], dtype), y = tf.tensor(Y[dtype], [7], dtype);
    for (const [name, f] of Object.entries(UNARY)) found.push(difference(name, [x], X[dtype].map(f)));
    for (const [name, f] of Object.entries(WHOLE)) found.push(difference(name, [x], f(X[dtype])));
    for (const [name, f] of Object.entries(BINARY)) {
      const of = name === "div" && dtype === "int32" ? BINARY.floorDiv : f; // as in tfjs
      found.push(difference(name, [x, y], X[dtype].map((v, i) => of(v, Y[dtype][i]))));
    }
  }
  assertEquals((await Promise.all(found)).filter(Boolean), []);
});

test("elements that are moved keep their dtype and value", async () => {
  for (const dtype of DTYPES as (keyof typeof X)[]) {
    const x = tf.tensor(X[dtype], [7], dtype), numbersOf = X[dtype];
    const moved: Record<string, [Tensor, number[]]> = {
      reverse: [tf.reverse(x), numbersOf.toReversed()],
      tile: [tf.tile(x, [2]), [...numbersOf, ...numbersOf]],
      slice: [tf.slice(x, [2], [3]), numbersOf.slice(2, 5)],
      concat: [tf.concat([x, x]), [...numbersOf, ...numbersOf]],
      gather: [tf.gather(x, [6, 0, 3]), [6, 0, 3].map((i) => numbersOf[i])],
      pad: [tf.pad(x, [[1, 1]]), [0, ...numbersOf, 0]],
      transpose: [
        tf.transpose(tf.reshape(tf.slice(x, [0], [4]), [2, 2])),
        [0, 2, 1, 3].map((i) => numbersOf[i]),
      ],
      stack: [tf.stack([x, x]), [...numbersOf, ...numbersOf]],
    };
    for (const [name, [out, wanted]] of Object.entries(moved)) {
      assertEquals([out.dtype, await numbers(out)], [dtype, wanted], `${name} of ${dtype}`);
    }
  }
});

// tfjs's WebGPU kernels compute int32 in float32, exact to 2²⁴.
test("whole numbers above 2²⁴ stay whole", wasmOnly, async () => {
  const values = [16777217, -16777219, 2000000001], x = tf.tensor(values, [3], "int32");
  assertEquals(await numbers(tf.abs(x)), values.map(Math.abs));
  assertEquals(await numbers(tf.neg(x)), values.map((v) => -v));
  assertEquals(await numbers(tf.reverse(x)), values.toReversed());
  assertEquals(await numbers(tf.relu(x)), values.map((v) => Math.max(v, 0)));
  assertEquals(await numbers(tf.round(x)), values);
  assertEquals(await numbers(tf.maximum(x, tf.scalar(0, "int32"))), values.map((v) => Math.max(v, 0)));
  assertEquals(await numbers(tf.sub(x, tf.scalar(1, "int32"))), values.map((v) => v - 1));
});

test("sums and means of large whole numbers are right, or refused", async () => {
  const x = tf.fill([2, 300], 1e7, "int32");
  assertEquals(await numbers(tf.mean(x, 1)), [1e7, 1e7]);
  assertEquals(await numbers(tf.mean(x)), [1e7]);
  assertEquals(await numbers(tf.sum(tf.slice(x, [0, 0], [2, 100]), [1], true)), [1e9, 1e9]);
});

test("a sum past 2³¹ is refused where its numbers are at hand", wasmOnly, async () => {
  const x = tf.fill([300, 2], 1e7, "int32");
  assertThrows(
    () => tf.sum(x, 0),
    RangeError,
    "sum: 3000000000 is more than int32 holds; cast x to float32 first",
  );
  assertThrows(() => tf.sum(x), RangeError, "more than int32 holds");
  assertEquals(await numbers(tf.sum(tf.cast(x, "float32"), 0)), [3e9, 3e9]);
  assertEquals(await numbers(tf.sum(tf.tensor([16777217, 2, 2, 2], [2, 2], "int32"), 0)), [16777219, 4]);
});
