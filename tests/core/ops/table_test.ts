/**
 * Every op of the table on random shapes, odd sizes and ones among them: the device's kernel against the reference,
 * the gradient against differences, and inputs and attributes that do not fit against the check.
 */
import { assert, assertEquals } from "@std/assert";
import { Generator, nn, ops, Parameter, tf } from "../../../mod.ts";
import type { Tensor } from "../../../mod.ts";
import { BY_REFERENCE, checkGradients, device, numbers } from "../../support.ts";

type Table = typeof ops.OPS;
type Inputs<T> = T extends ops.Op<infer I, infer _A, infer _O> ? I : never;
type Attrs<T> = T extends ops.Op<infer _I, infer A, infer _O> ? A : never;

/** What an op is tried on. */
interface Case<I, A> {
  inputs: I;
  attrs: A;
  /** What an op in place has changed. */
  changed?: () => Tensor[];
}
type AnyCase = Case<Record<string, Tensor | undefined>, Record<string, unknown>>;

/** Random sizes and tensors. */
class Draw {
  constructor(readonly generator: Generator) {}
  whole(least: number, most: number): number {
    return this.generator.randintArray(1, least, most + 1)[0];
  }
  of<T>(...choices: T[]): T {
    return choices[this.whole(0, choices.length - 1)];
  }
  tensor(...shape: number[]): Tensor {
    return this.generator.normal(shape);
  }
  positive(...shape: number[]): Tensor {
    return tf.add(this.generator.uniform(shape), 0.5);
  }
  channels(): number {
    return this.of(1, 2, 3, 4, 5, 7, 8, 9, 16, 17);
  }
  image(): [n: number, h: number, w: number, c: number] {
    return [this.of(1, 1, 2, 3, 7), this.whole(1, 9), this.whole(1, 9), this.channels()];
  }
  /** One to three axes. */
  shape(): number[] {
    return Array.from({ length: this.whole(1, 3) }, () => this.of(1, 1, 2, 3, 5, 8, 11));
  }
  /** Numbers at least 0.2 from 0, where a rectifier bends. */
  bent(...shape: number[]): Tensor {
    const x = this.tensor(...shape);
    return tf.add(x, tf.mul(0.2, tf.sign(x)));
  }
}

/** Sizes of a convolution: of any filter, or one that devices have kernels of their own for. */
function convolution(d: Draw) {
  for (;;) {
    const any = d.whole(0, 3) > 0, k = d.of(3, 5);
    const x = any ? d.image() : [d.of(2, 5), d.whole(9, 16), d.whole(9, 16), d.of(8, 16)];
    const filter = [...any ? [d.whole(1, 5), d.whole(1, 5)] : [k, k], x[3], any ? d.channels() : d.of(8, 24)];
    const stride = any ? d.of(1, 1, 2, 3) : 1, padding = d.whole(0, 2);
    if (filter[0] > x[1] + 2 * padding || filter[1] > x[2] + 2 * padding) continue;
    return { x, filter, stride, padding, y: ops.convShape(x, filter, { stride, padding }) };
  }
}

function groups(d: Draw) {
  const groups = d.of(1, 2, 3, 8), c = groups * d.of(1, 2, 3, 4);
  const x = [d.whole(1, 3), ...d.of([], [d.whole(2, 9)], [d.whole(1, 7), d.whole(2, 7)]), c];
  return { x: d.tensor(...x), gamma: d.tensor(c), beta: d.tensor(c), groups };
}

function attention(d: Draw) {
  const heads = d.of(1, 2, 3, 8), width = d.of(1, 2, 3, 5, 8);
  const shape = [d.whole(1, 3), d.of(1, 2, 9, 16, 33, 64), heads * width];
  const [q, k, v] = [0, 1, 2].map(() => d.tensor(...shape));
  return { inputs: { q, k, v }, attrs: { heads, scale: 1 / Math.sqrt(width) } };
}

function rows(d: Draw) {
  const c = d.channels(), x = d.tensor(...d.of([d.whole(2, 40)], [3, d.whole(1, 5), d.whole(1, 5)]), c);
  return { c, x, gamma: d.tensor(c), beta: d.tensor(c) };
}

function pooled(d: Draw) {
  const shape = d.image(), factor = d.whole(1, 4);
  const [n, h, w, c] = shape;
  return { shape, factor, y: [n, Math.ceil(h / factor), Math.ceil(w / factor), c] };
}

function classified(d: Draw) {
  const n = d.of(1, 2, 5, 33), classes = d.of(1, 2, 7, 10, 40);
  const labels = tf.tensor1d(d.generator.randintArray(n, 0, classes), "int32");
  return { logits: d.tensor(n, classes), labels };
}

const twice = (d: Draw) => {
  const shape = d.shape();
  return { x: d.tensor(...shape), dy: d.tensor(...shape) };
};

const number = (value: number) => new Parameter(tf.scalar(value));

/** A case of each op from random numbers; one that lacks its op does not compile. */
const CASES: { [K in keyof Table]: (d: Draw) => Case<Inputs<Table[K]>, Attrs<Table[K]>> } = {
  Conv2d(d) {
    const { x, filter, stride, padding, y } = convolution(d);
    return {
      inputs: {
        x: d.tensor(...x),
        filter: d.tensor(...filter),
        bias: d.of(undefined, d.tensor(filter[3])),
        residual: d.of(undefined, d.tensor(...y)),
      },
      attrs: { stride, padding },
    };
  },
  Conv2dInputGrad(d) {
    const { x, filter, stride, padding, y } = convolution(d);
    return {
      inputs: { dy: d.tensor(...y), filter: d.tensor(...filter) },
      attrs: { stride, padding, inputShape: x },
    };
  },
  Conv2dFilterGrad(d) {
    const { x, filter, stride, padding, y } = convolution(d);
    return {
      inputs: { x: d.tensor(...x), dy: d.tensor(...y) },
      attrs: { stride, padding, filterShape: filter },
    };
  },
  Linear(d) {
    const [rows, ins, outs] = [d.of(1, 2, 7, 13, 100), d.of(1, 3, 4, 8, 33), d.of(1, 2, 5, 8, 24)];
    return {
      inputs: {
        x: d.tensor(rows, ins),
        weight: d.tensor(outs, ins),
        bias: d.of(undefined, d.tensor(outs)),
        residual: d.of(undefined, d.tensor(rows, outs)),
      },
      attrs: {},
    };
  },
  GroupNorm(d) {
    const { groups: count, ...inputs } = groups(d);
    return { inputs, attrs: { groups: count, eps: d.of(1e-5, 0.1), silu: d.of(true, false) } };
  },
  GroupNormGrad(d) {
    const { groups: count, ...inputs } = groups(d), attrs = { groups: count, silu: d.of(true, false) };
    const { mean, rstd } = ops.GroupNorm.reference(inputs, { ...attrs, eps: 1e-5 });
    return { inputs: { ...inputs, mean, rstd, dy: d.tensor(...inputs.x.shape) }, attrs };
  },
  BatchNorm(d) {
    const { x, gamma, beta } = rows(d);
    return { inputs: { x, gamma, beta }, attrs: { eps: d.of(1e-5, 0.1) } };
  },
  BatchNormGrad(d) {
    const { x, gamma, beta } = rows(d);
    const { mean, rstd } = ops.BatchNorm.reference({ x, gamma, beta }, { eps: 1e-5 });
    return { inputs: { x, gamma, mean, rstd, dy: d.tensor(...x.shape) }, attrs: {} };
  },
  ChannelAffine(d) {
    const { x, gamma, beta } = rows(d);
    return { inputs: { x, scale: gamma, shift: beta }, attrs: {} };
  },
  Attention: attention,
  AttentionGrad(d) {
    const { inputs, attrs } = attention(d);
    const outputs = ops.Attention.reference(inputs, attrs);
    return { inputs: { ...inputs, ...outputs, dy: d.tensor(...inputs.q.shape) }, attrs };
  },
  Silu: (d) => ({ inputs: { x: d.tensor(...d.shape()) }, attrs: {} }),
  SiluGrad: (d) => ({ inputs: twice(d), attrs: {} }),
  Gelu: (d) => ({ inputs: { x: d.tensor(...d.shape()) }, attrs: {} }),
  GeluGrad: (d) => ({ inputs: twice(d), attrs: {} }),
  GeneralRelu: (d) => ({
    inputs: { x: d.bent(...d.shape()) },
    attrs: { leak: d.of(0, 0.1, -0.5, 2), sub: d.of(0, 0.4, -1) },
  }),
  GeneralReluGrad: (d) => ({ inputs: twice(d), attrs: { leak: d.of(0, 0.1, -0.5, 2) } }),
  AddChannels(d) {
    const x = d.image();
    return { inputs: { x: d.tensor(...x), b: d.tensor(x[0], x[3]) }, attrs: {} };
  },
  SumPixels: (d) => ({ inputs: { x: d.tensor(...d.image()) }, attrs: {} }),
  AveragePool(d) {
    const { shape, factor } = pooled(d);
    return { inputs: { x: d.tensor(...shape) }, attrs: { factor } };
  },
  AveragePoolGrad(d) {
    const { shape, factor, y } = pooled(d);
    return { inputs: { dy: d.tensor(...y) }, attrs: { factor, shape } };
  },
  Upsample: (d) => ({ inputs: { x: d.tensor(...d.image()) }, attrs: { factor: d.whole(1, 4) } }),
  UpsampleGrad(d) {
    const [n, h, w, c] = d.image(), factor = d.whole(1, 4);
    return { inputs: { dy: d.tensor(n, h * factor, w * factor, c) }, attrs: { factor } };
  },
  SoftmaxGrad(d) {
    const { x, dy } = twice(d);
    return { inputs: { y: tf.softmax(x as tf.Tensor1D), dy }, attrs: {} };
  },
  LogSoftmaxGrad(d) {
    const { x, dy } = twice(d);
    return { inputs: { y: tf.logSoftmax(x as tf.Tensor1D), dy }, attrs: {} };
  },
  MseLoss(d) {
    const { x, dy } = twice(d);
    return { inputs: { input: x, target: dy }, attrs: {} };
  },
  MseLossGrad(d) {
    const { x, dy } = twice(d);
    return { inputs: { input: x, target: dy, dy: d.tensor() }, attrs: {} };
  },
  CrossEntropy: (d) => ({ inputs: classified(d), attrs: {} }),
  CrossEntropyGrad(d) {
    const inputs = classified(d);
    const { logSums } = ops.CrossEntropy.reference(inputs, {});
    return { inputs: { ...inputs, logSums, dy: d.tensor() }, attrs: {} };
  },
  AdamStep(d) {
    const entries = Array.from({ length: d.whole(0, 9) }, () => {
      const shape = d.shape();
      return {
        param: new Parameter(d.tensor(...shape)),
        grad: d.tensor(...shape),
        m: new nn.Buffer(d.tensor(...shape)),
        v: new nn.Buffer(d.positive(...shape)),
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-3,
        rootCorrection2: 0.7,
        rate: 0.3,
        decay: d.of(0, 0.1),
        l2: d.of(0, 0.1),
      };
    });
    const changed = () => entries.flatMap(({ param, m, v }) => [param, m.value, v.value]);
    const skip = d.of(0, 1, 2);
    return { inputs: {}, attrs: { entries, skip: skip < 2 ? tf.scalar(skip) : null }, changed };
  },
  UnscaleGrads(d) {
    const params = Array.from({ length: d.whole(0, 9) }, () => new Parameter(d.tensor(...d.shape())));
    params.forEach((p, i) => i === 3 || p.setGrad(d.tensor(...p.shape)));
    const odd = params[1];
    if (odd) odd.setGrad(tf.mul(odd.grad!, d.of(1, 1, NaN, Infinity)));
    const attrs = { params, scale: number(d.of(1, 0.5, 1024)), bad: number(d.of(0, 1)) };
    return { inputs: {}, attrs, changed: () => [attrs.bad, ...params.flatMap(({ grad }) => grad ?? [])] };
  },
  UpdateLossScale(d) {
    const scale = number(d.of(1, 2, 1024, 2 ** 24)), good = number(d.whole(0, 3)), bad = number(d.of(0, 1));
    return {
      inputs: {},
      attrs: { scale, good, bad, every: d.whole(1, 4) },
      changed: () => [scale, good, bad],
    };
  },
  Random: (d) => ({
    inputs: {},
    attrs: {
      shape: d.shape(),
      key: [d.whole(0, 1e6), d.whole(0, 1e6)],
      counter: d.of(0, 12345, 2 ** 31 - 3, 2 ** 32 - 2, 2 ** 45 + 2 ** 32 - 1),
      normal: d.of(true, false),
    },
  }),
};

/** Cases of an op; software WebGPU compiles a shader for many of them. */
const COUNT = device.name === "wasm" ? 40 : 6;

const make = (name: string, seed: number): AnyCase =>
  (CASES as unknown as Record<string, (d: Draw) => AnyCase>)[name](new Draw(new Generator(seed)));
const describe = ({ inputs, attrs }: AnyCase): string => {
  const shapes = Object.entries(inputs).map(([name, x]) => `${name} [${x?.shape ?? "none"}]`);
  return `${shapes.join(", ")} ${JSON.stringify(attrs, (_, v) => v instanceof tf.Tensor ? v.shape : v)}`;
};

/** What the device makes of a case: outputs, and what was changed in place. */
function byKernel(op: ops.AnyOp, { inputs, attrs, changed }: AnyCase): Tensor[] {
  const outputs = ops.run(op, inputs, attrs);
  return [...op.outputs.map((name) => outputs[name as string]), ...(changed?.() ?? [])];
}

/** The same by the op's reference. */
function byReference(op: ops.AnyOp, { inputs, attrs, changed }: AnyCase): Tensor[] {
  const outputs = op.reference(inputs, attrs);
  return [...op.outputs.map((name) => outputs[name as string]), ...(changed?.() ?? [])];
}

/** Fails unless outputs are near to 2e-4 of 1 or the largest number, and infinite or NaN in the same places. */
async function assertSame(op: ops.AnyOp, got: Tensor[], wanted: Tensor[], what: string): Promise<void> {
  for (const [i, x] of got.entries()) {
    const name = `${op.name} ${op.outputs[i] ?? `changed ${i}`} of ${what}`;
    assertEquals(x.shape, wanted[i].shape, name);
    const [a, b] = [await numbers(x), await numbers(wanted[i])];
    const scale = b.filter(Number.isFinite).reduce((m, v) => Math.max(m, Math.abs(v)), 1);
    const off = a.findIndex((v, j) => !Object.is(v, b[j]) && !(Math.abs(v - b[j]) <= 2e-4 * scale));
    assert(off < 0, `${name}: [${off}] is ${a[off]}, not ${b[off]}`);
  }
}

for (const op of Object.values<ops.AnyOp>(ops.OPS)) {
  Deno.test(`${op.name}: the device's kernel is the reference, on ${COUNT} random shapes`, async () => {
    for (let seed = 0; seed < COUNT; seed++) {
      const at = make(op.name, seed);
      await assertSame(op, byKernel(op, at), byReference(op, make(op.name, seed)), describe(at));
    }
  });

  if (op.gradient) {
    Deno.test(`${op.name}: the gradient is that of differences`, async () => {
      for (let seed = 0; seed < COUNT / 2; seed++) {
        const at = make(op.name, 100 + seed);
        const real = Object.entries(at.inputs).filter(([, x]) => x?.dtype === "float32");
        const f = (...xs: Tensor[]) => {
          const given = Object.fromEntries(real.map(([name], i) => [name, xs[i]]));
          return ops.run(op, { ...at.inputs, ...given }, at.attrs)[op.outputs[0]];
        };
        try {
          await checkGradients(f, real.map(([, x]) => x!), { step: 3e-3, tolerance: 2e-2 });
        } catch (cause) {
          throw new Error(`${op.name}: ${describe(at)}: ${(cause as Error).message}`, { cause });
        }
      }
    });
  }

  Deno.test(`${op.name}: what does not fit is refused by name, or right`, async () => {
    for (let seed = 0; seed < COUNT / 4; seed++) {
      const fresh = () => make(op.name, 200 + seed);
      const { inputs, attrs } = fresh();
      for (const [name, x] of Object.entries(inputs)) {
        if (!x) continue;
        const other = x.dtype === "int32" ? "float32" : "int32";
        const error = thrown(() => ops.run(op, { ...inputs, [name]: tf.cast(x, other) }, attrs))!;
        assert(error instanceof TypeError, `${op.name}: ${name} of ${other} is taken`);
        for (const word of [op.name, name, other]) {
          assert(error.message.includes(word), `"${error.message}" does not name ${word}`);
        }
        const empty = tf.zeros([...x.shape.slice(0, -1), 0], x.dtype as "float32");
        assert(thrown(() => ops.run(op, { ...inputs, [name]: empty }, attrs)), `${op.name}: empty ${name}`);
        const longer = x.shape.map((_, axis) => tf.concat([x, tf.slice(x, 0, x.shape.with(axis, 1))], axis));
        const others = [...longer, tf.expandDims(x, 0), tf.reshape(x, [x.size])];
        for (const y of others) {
          await rightOrRefused(op, { inputs: { ...inputs, [name]: y }, attrs });
        }
      }
      for (const [name, value] of Object.entries(attrs)) {
        const wrong = name === "scale"
          ? [NaN, Infinity]
          : typeof value === "number"
          ? [-1, 0, 0.5, 1.5, NaN, Infinity]
          : Array.isArray(value) && typeof value[0] === "number" && name !== "key"
          ? [...value.map((n, i) => value.with(i, n + 1)), value.slice(1), value.map((n) => -n)]
          : [];
        for (const other of wrong) {
          await rightOrRefused(op, { ...fresh(), attrs: { ...attrs, [name]: other } });
        }
      }
    }
  });
}

Deno.test("which ops run by their reference on this device", () => {
  assertEquals(ops.opsByReference(device.name), BY_REFERENCE[device.name]);
});

function thrown(f: () => unknown): Error | undefined {
  try {
    f();
  } catch (error) {
    return error as Error;
  }
}

/** Fails unless the check names the op, or the kernel gives what the reference gives. */
async function rightOrRefused(op: ops.AnyOp, at: AnyCase): Promise<void> {
  const error = thrown(() => op.check(at.inputs, at.attrs));
  if (error) {
    assert(error.message.includes(op.name), `"${error.message}" does not name ${op.name}`);
    return;
  }
  if (at.changed || op.outputs.length === 0) return;
  await assertSame(op, byKernel(op, at), byReference(op, at), describe(at));
}

Deno.test("every op of the table has its name's place and an output that its gradient can follow", () => {
  for (const [name, op] of Object.entries<ops.AnyOp>(ops.OPS)) {
    assertEquals(op.name, name);
    assert(!op.gradient || op.outputs.length > 0, name);
  }
});
