/** What is measured: the cases, what each must compute and move at least, and how we run it. */
import {
  Adam,
  AdamW,
  F,
  type Module,
  noGrad,
  noisify,
  ops,
  Parameter,
  sample,
  Tape,
  type Tensor,
  tf,
  UNet,
} from "../mod.ts";
import { defaultGenerator, linearSchedule, resnet } from "../mod.ts";

/** A case as peers are asked for it; which numbers it has depends on its kind. */
export interface Case {
  kind: string;
  part?: string;
  [key: string]: unknown;
}

/** Least work: floating-point operations, and bytes read and written once each. */
export interface Cost {
  flops: number;
  bytes: number;
}

type Numbers = Record<string, number>;
const of = (c: Case) => c as unknown as Numbers;

const conv = (part: string, n: number, h: number, ci: number, co: number, k = 3, stride = 1): Case => ({
  kind: "conv",
  part,
  n,
  h,
  ci,
  co,
  k,
  stride,
});
const parts = (make: (part: string) => Case, names = ["forward", "backward"]) => names.map(make);
const images = (kind: string, n: number, h: number, c: number, more = {}) => (part: string): Case => ({
  kind,
  part,
  n,
  h,
  c,
  ...more,
});

const CONV_PARTS = ["forward", "dx", "dw"];
/** The kernels, on the shapes that the lesson's networks run them with. */
export const KERNELS: Case[] = [
  ...parts((p) => conv(p, 32, 32, 1, 16), CONV_PARTS),
  ...parts((p) => conv(p, 32, 32, 16, 1), CONV_PARTS),
  ...parts((p) => conv(p, 32, 32, 3, 16), CONV_PARTS),
  ...parts((p) => conv(p, 32, 32, 16, 16), CONV_PARTS),
  ...parts((p) => conv(p, 32, 32, 32, 32), CONV_PARTS),
  ...parts((p) => conv(p, 32, 16, 64, 64), CONV_PARTS),
  ...parts((p) => conv(p, 32, 8, 128, 128), CONV_PARTS),
  ...parts((p) => conv(p, 32, 4, 64, 64), CONV_PARTS),
  ...parts((p) => conv(p, 32, 16, 64, 64, 3, 2), CONV_PARTS),
  ...parts((p) => conv(p, 256, 4, 256, 256, 3, 2), CONV_PARTS),
  ...parts((p) => conv(p, 256, 2, 256, 512), CONV_PARTS),
  ...parts((p) => conv(p, 32, 16, 64, 32, 1), CONV_PARTS),
  ...parts((p) => conv(p, 64, 28, 1, 16, 5), CONV_PARTS),
  ...parts((p) => conv(p, 64, 28, 16, 16, 5), CONV_PARTS),
  { kind: "matmul", m: 8192, k: 32, n: 32, ta: false, tb: true },
  { kind: "matmul", m: 2048, k: 128, n: 128, ta: false, tb: false },
  { kind: "matmul", m: 128, k: 2048, n: 128, ta: true, tb: false },
  { kind: "matmul", m: 512, k: 512, n: 512, ta: false, tb: false },
  ...parts((part) => ({ kind: "attention", part, b: 32, t: 256, heads: 4, d: 8 })),
  ...parts((part) => ({ kind: "attention", part, b: 32, t: 64, heads: 8, d: 8 })),
  ...parts(images("groupnorm", 32, 32, 16, { groups: 8 })),
  ...parts(images("groupnorm", 32, 16, 64, { groups: 8 })),
  ...parts(images("batchnorm", 256, 14, 32)),
  ...parts((part) => ({ kind: "silu", part, size: 1 << 20 })),
  ...parts((part) => ({ kind: "gelu", part, size: 1 << 20 })),
  ...parts((part) => ({ kind: "softmax", part, rows: 8192, columns: 64 })),
  ...parts((part) => ({ kind: "mse", part, size: 1 << 20 })),
  ...parts((part) => ({ kind: "crossentropy", part, rows: 8192, columns: 10 })),
  ...parts(images("upsample", 32, 16, 32)),
  { kind: "add", size: 1 << 20 },
  { kind: "concat", n: 32, h: 16, c: 32 },
  { kind: "sum", n: 32, h: 32, c: 16 },
  { kind: "normal", size: 1 << 20 },
  { kind: "adam", size: 1_695_300 },
];

const ATTENTION = ["AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"] as const;
const UP = ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D"] as const;
/** A U-Net of the lesson. */
const net = (block_out_channels: number[], norm_num_groups: number) => ({
  sample_size: 32,
  in_channels: 1,
  out_channels: 1,
  layers_per_block: 2,
  attention_head_dim: 8,
  block_out_channels,
  norm_num_groups,
  down_block_types: ["DownBlock2D" as const, ...ATTENTION],
  up_block_types: [...UP, "UpBlock2D" as const],
});
const SMALL = net([16, 32, 64, 64], 8), LARGE = net([32, 64, 128, 128], 32);

/** Whole models: a training step, and a sampling step. */
export const MODELS: Case[] = [
  { kind: "unet", part: "step", n: 32, config: SMALL },
  { kind: "unet", part: "step", n: 32, config: LARGE },
  { kind: "unet", part: "sample", n: 16, config: SMALL },
  { kind: "unet", part: "sample", n: 16, config: LARGE },
  { kind: "resnet", part: "step", n: 256 },
];

/** Training steps whose peak memory is measured, each in a process of its own. */
export const MEMORY: Case[] = [
  { kind: "unet", part: "step", n: 128, config: SMALL },
  { kind: "unet", part: "step", n: 128, config: LARGE },
];

/** A case in a few words. */
export function title(c: Case): string {
  const { n, h, ci, co, k, stride, m, b, t, heads, d, rows, columns, size, c: channels } = of(c);
  const what = c.part ? `${c.kind} ${c.part}` : c.kind;
  if (c.kind === "conv") {
    return `conv ${k}×${k}${stride > 1 ? "/2" : ""} ${ci}→${co}, ${n}×${h}×${h}: ${c.part}`;
  }
  if (c.kind === "matmul") return `matmul ${m}×${k}${c.ta ? "ᵀ" : ""} · ${k}×${of(c).n}${c.tb ? "ᵀ" : ""}`;
  if (c.kind === "attention") return `attention ${b}×${t}, ${heads} heads of ${d}: ${c.part}`;
  if (c.kind === "unet") {
    const channels = (c.config as typeof SMALL).block_out_channels.join(",");
    return `U-Net (${channels}), ${c.part === "step" ? "training" : "sampling"} step of ${n}`;
  }
  if (c.kind === "resnet") return `ResNet classifier, training step of ${n}`;
  if (rows) return `${what} ${rows}×${columns}`;
  if (channels) return `${what} ${n}×${h}×${h}×${channels}`;
  return `${what} ${size}`;
}

/** What a case must compute and move at least; null for whole models. */
export function cost(c: Case): Cost | null {
  const { n, h, ci, co, k, stride, m, b, t, heads, d, rows, columns, size, c: channels } = of(c);
  const back = c.part === "backward";
  const elements = rows ? rows * columns : channels ? n * h * h * channels : size;
  switch (c.kind) {
    case "conv": {
      const ho = Math.ceil(h / stride);
      const floats = n * h * h * ci + n * ho * ho * co + k * k * ci * co;
      return { flops: 2 * n * ho * ho * k * k * ci * co, bytes: 4 * floats };
    }
    case "matmul": {
      const nn = of(c).n;
      return { flops: 2 * m * k * nn, bytes: 4 * (m * k + k * nn + m * nn) };
    }
    case "attention":
      return {
        flops: (back ? 10 : 4) * b * t * t * heads * d,
        bytes: 4 * (back ? 8 : 4) * b * t * heads * d,
      };
    case "unet":
    case "resnet":
    case "data":
      return null;
    // reads and writes of whole tensors: what must be seen at least once, statistics apart
    case "groupnorm":
    case "batchnorm":
      return { flops: 0, bytes: 4 * elements * (back ? 5 : 3) };
    case "upsample":
      return { flops: 0, bytes: 4 * elements * 5 };
    case "mse":
    case "crossentropy":
      return { flops: 0, bytes: 4 * elements * (back ? 3 : 2) };
    case "sum":
    case "normal":
      return { flops: 0, bytes: 4 * elements };
    case "concat":
      return { flops: 0, bytes: 4 * elements * 4 };
    case "adam":
      return { flops: 0, bytes: 4 * size * 7 };
    case "add":
      return { flops: 0, bytes: 4 * size * 3 };
    default:
      return { flops: 0, bytes: 4 * elements * (back ? 3 : 2) };
  }
}

/** Something to time, and what to free after it. */
export interface Prepared {
  run(): void | Promise<void>;
  free(): void;
}

const normal = (...shape: number[]) => defaultGenerator.normal(shape);
/** Runs f and frees what it made. */
const once = (f: () => unknown): () => void => () => tf.tidy(() => void f());

/** How we run a case. */
export function prepare(c: Case): Prepared {
  const scope: Tensor[] = [];
  const keep = (...xs: Tensor[]) => (scope.push(...xs), xs);
  const free = () => tf.dispose(scope);
  const { n, h, ci, co, k, stride, m, b, t, heads, d, rows, columns, size, c: channels } = of(c);
  const image = () => keep(normal(n, h, h, channels))[0];
  const [gamma, beta] = channels ? keep(normal(channels), normal(channels)) : [];
  /** An op, or the op of its gradient from the outputs that it has given once. */
  const opCase = <I, A, O extends Record<string, Tensor>, GI, GA, GO>(
    op: ops.Op<I, A, O>,
    inputs: I,
    attrs: A,
    gradient: ops.Op<GI, GA, GO>,
    gradientInputs: (outputs: O, dy: Tensor) => GI,
    gradientAttrs: GA,
  ): Prepared => {
    const forward = () => ops.run(op, inputs, attrs);
    if (c.part === "forward") return { run: once(forward), free };
    const outputs = forward();
    keep(...Object.values(outputs));
    const [dy] = keep(defaultGenerator.normal(outputs[op.outputs[0]].shape));
    return { run: once(() => ops.run(gradient, gradientInputs(outputs, dy), gradientAttrs)), free };
  };
  switch (c.kind) {
    case "conv": {
      const ho = Math.ceil(h / stride);
      const [x, filter, dy] = keep(normal(n, h, h, ci), normal(k, k, ci, co), normal(n, ho, ho, co));
      const attrs = { stride, padding: Math.floor(k / 2) };
      const run = {
        forward: () => ops.run(ops.Conv2d, { x, filter }, attrs),
        dx: () => ops.run(ops.Conv2dInputGrad, { dy, filter }, { ...attrs, inputShape: x.shape }),
        dw: () => ops.run(ops.Conv2dFilterGrad, { x, dy }, { ...attrs, filterShape: filter.shape }),
      }[c.part as "forward" | "dx" | "dw"];
      return { run: once(run), free };
    }
    case "matmul": {
      const nn = of(c).n;
      const [x, y] = keep(c.ta ? normal(k, m) : normal(m, k), c.tb ? normal(nn, k) : normal(k, nn));
      return { run: once(() => tf.matMul(x, y, c.ta as boolean, c.tb as boolean)), free };
    }
    case "attention": {
      const [q, k, v] = keep(...[0, 1, 2].map(() => normal(b, t, heads * d)));
      const attrs = { heads, scale: 1 / Math.sqrt(d) };
      const grad = (outputs: { y: Tensor; stats: Tensor }, dy: Tensor) => ({ q, k, v, ...outputs, dy });
      return opCase(ops.Attention, { q, k, v }, attrs, ops.AttentionGrad, grad, attrs);
    }
    case "groupnorm": {
      const inputs = { x: image(), gamma, beta }, attrs = { groups: of(c).groups, eps: 1e-5, silu: true };
      type Stats = { mean: Tensor; rstd: Tensor };
      const grad = ({ mean, rstd }: Stats, dy: Tensor) => ({ ...inputs, mean, rstd, dy });
      return opCase(ops.GroupNorm, inputs, attrs, ops.GroupNormGrad, grad, attrs);
    }
    case "batchnorm": {
      const x = image();
      type Stats = { mean: Tensor; rstd: Tensor };
      const grad = ({ mean, rstd }: Stats, dy: Tensor) => ({ x, gamma, mean, rstd, dy });
      return opCase(ops.BatchNorm, { x, gamma, beta }, { eps: 1e-5 }, ops.BatchNormGrad, grad, {});
    }
    case "silu": {
      const [x] = keep(normal(size));
      return opCase(ops.Silu, { x }, {}, ops.SiluGrad, (_, dy) => ({ x, dy }), {});
    }
    case "gelu": {
      const [x] = keep(normal(size));
      return opCase(ops.Gelu, { x }, {}, ops.GeluGrad, (_, dy) => ({ x, dy }), {});
    }
    case "softmax": {
      const [logits, dy] = keep(normal(rows, columns), normal(rows, columns));
      const forward = () => tf.softmax(logits as tf.Tensor2D);
      if (c.part === "forward") return { run: once(forward), free };
      const [y] = keep(forward());
      return { run: once(() => ops.run(ops.SoftmaxGrad, { y, dy }, {})), free };
    }
    case "mse": {
      const [input, target] = keep(normal(size), normal(size));
      const grad = (_: unknown, dy: Tensor) => ({ input, target, dy });
      return opCase(ops.MseLoss, { input, target }, {}, ops.MseLossGrad, grad, {});
    }
    case "crossentropy": {
      const [labels] = keep(tf.tensor1d(defaultGenerator.randintArray(rows, 0, columns), "int32"));
      const [logits] = keep(normal(rows, columns));
      const grad = ({ logSums }: { logSums: Tensor }, dy: Tensor) => ({ logits, labels, logSums, dy });
      return opCase(ops.CrossEntropy, { logits, labels }, {}, ops.CrossEntropyGrad, grad, {});
    }
    case "upsample": {
      const x = image(), attrs = { factor: 2 };
      return opCase(ops.Upsample, { x }, attrs, ops.UpsampleGrad, (_, dy) => ({ dy }), attrs);
    }
    case "add": {
      const [x, y] = keep(normal(size), normal(size));
      return { run: once(() => tf.add(x, y)), free };
    }
    case "concat": {
      const [x, y] = [image(), image()];
      return { run: once(() => tf.concat([x, y], -1)), free };
    }
    case "sum": {
      const x = image();
      return { run: once(() => tf.sum(x, [0, 1, 2])), free };
    }
    case "normal":
      return { run: once(() => normal(size)), free };
    case "adam": {
      const params = Array.from({ length: 300 }, () => new Parameter(normal(size / 300)));
      params.forEach((p) => p.setGrad(normal(p.size)));
      const opt = new Adam(params, { lr: 1e-3 });
      return {
        run: () => opt.step(),
        free: () => {
          opt.dispose();
          params.forEach((p) => p.dispose());
        },
      };
    }
    default:
      throw new Error(`prepare: no case of kind ${c.kind}`);
  }
}

/** The network of a whole-model case. */
export function makeNetwork(c: Case): UNet | Module<[Tensor], Tensor> {
  return c.kind === "unet" ? new UNet(c.config as typeof SMALL) : resnet.getModel();
}

/** How we run a training or sampling step of a network. */
export function prepareModel(c: Case, model: Module): Prepared {
  const { n } = of(c);
  if (c.part === "sample") {
    const schedule = linearSchedule({ nSteps: 1 });
    const unet = model as UNet;
    return {
      run: async () => void await sample(unet, [n, 32, 32, 1], { schedule, keep: () => false }),
      free: () => model.dispose(),
    };
  }
  const resnet = c.kind === "resnet";
  const side = resnet ? 28 : 32;
  const x = defaultGenerator.uniform([n, side, side, 1]);
  const labels = tf.tensor1d(defaultGenerator.randintArray(n, 0, 10), "int32");
  const opt = resnet
    ? new AdamW(model.parameters(), { lr: 1e-4 })
    : new Adam(model.parameters(), { lr: 1e-4, eps: 1e-5 });
  const { ᾱ } = linearSchedule();
  model.train();
  const step = () =>
    tf.tidy(() => {
      const [input, target] = resnet ? [x, labels] : noGrad(() => noisify(x, ᾱ));
      const tape = new Tape();
      tape.start();
      const predicted = model.call(input);
      const loss = resnet ? F.crossEntropy(predicted, target) : F.mseLoss(predicted, target);
      tape.stop();
      tape.backward(loss);
      opt.step();
      opt.zeroGrad();
      return loss;
    });
  return {
    run: async () => {
      const loss = step();
      await loss.data();
      loss.dispose();
    },
    free: () => {
      tf.dispose([x, labels]);
      opt.dispose();
      model.dispose();
    },
  };
}
