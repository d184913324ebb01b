/** Our own fused kernels: group normalisation, attention, SiLU, upsampling, random numbers. */
import type { TensorInfo } from "../../../tf.ts";
import { Float, Kernel } from "../pool.ts";
import { CHUNK, type Context, size } from "./context.ts";
import type { AdamEntry } from "../../../ops/mod.ts";

/** Numbers of the elementwise maps, as the module's `map` switches on them. */
export const MapOp = {
  silu: 0,
  siluGrad: 1,
  add: 2,
  sub: 3,
  mul: 4,
  scale: 5,
  relu: 6,
  scaledDifference: 7,
  leaky: 8,
  leakyGrad: 9,
} as const;

/** out = op(a, b, s) elementwise over n floats at addresses. */
export function runMap(ctx: Context, op: number, n: number, out: number, a: number, b = a, s = 0, t = 0) {
  ctx.pool.run(Kernel.map, Math.ceil(n / CHUNK), [op, n, out, a, b, new Float(s), new Float(t)]);
}

/** Registers the kernels that `nn/functional.ts` names. */
export function registerFused(ctx: Context): void {
  const { pool } = ctx;
  ctx.register("GroupNorm", () => ({ x, gamma, beta }, { groups, eps, silu }) => {
    const n = x.shape[0], c = x.shape[x.shape.length - 1];
    const pixels = size(x.shape) / n / c;
    const [y, mean, rstd] = [x.shape, [n, groups], [n, groups]].map((s) => ctx.output(s));
    pool.run(Kernel.groupNorm, n, [
      ...[ctx.at(x), pixels, c, groups, ctx.at(gamma), ctx.at(beta), new Float(eps)],
      ...[ctx.at(y), ctx.at(mean), ctx.at(rstd), silu ? 1 : 0],
    ], 8 * (c + 4));
    return [y, mean, rstd];
  });
  ctx.register("GroupNormGrad", () => (inputs, { groups, silu }) => {
    const { x, gamma, beta, mean, rstd, dy } = inputs;
    const n = x.shape[0], c = x.shape[x.shape.length - 1];
    const pixels = size(x.shape) / n / c;
    const [dx, dGamma, dBeta] = [x.shape, [c], [c]].map((s) => ctx.output(s));
    ctx.temporary(2 * n * c, (parts) => {
      const partsBeta = parts + n * c * 4;
      pool.run(Kernel.groupNormGrad, n, [
        ...[ctx.at(x), pixels, c, groups, ctx.at(gamma), ctx.at(beta), ctx.at(dy), ctx.at(dx)],
        ...[ctx.at(mean), ctx.at(rstd), silu ? 1 : 0, parts, partsBeta],
      ], 16 * (c + 4));
      pool.run(Kernel.sumRows, 1, [parts, n, c, ctx.at(dGamma), c]);
      pool.run(Kernel.sumRows, 1, [partsBeta, n, c, ctx.at(dBeta), c]);
    });
    return [dx, dGamma, dBeta];
  });

  ctx.register("Attention", () => ({ q, k, v }, { heads, scale }) => {
    const [b, t, c] = q.shape;
    const d = c / heads;
    const out = ctx.output(q.shape), stats = ctx.output([b, heads, t, 2]);
    const scratch = 64 + (t + 32) * d + (d + 8) * t + 24 * (t + 8);
    pool.run(Kernel.attention, b * heads, [
      ...[ctx.at(q), ctx.at(k), ctx.at(v), ctx.at(out), t, c, heads, new Float(scale)],
      ...[ctx.at(stats), c],
    ], scratch * 4);
    return [out, stats];
  });
  ctx.register("AttentionGrad", () => ({ q, k, v, y, stats, dy }, { heads, scale }) => {
    const [b, t, c] = q.shape;
    const d = c / heads;
    const grads = [q, k, v].map((x) => ctx.output(x.shape));
    const scratch = 96 + 2 * (t + 8) * d + (d + 8) * (t + 96) + 48 * (t + 8);
    pool.run(Kernel.attentionGrad, b * heads, [
      ...[ctx.at(q), ctx.at(k), ctx.at(v), ctx.at(dy), t, c, heads, new Float(scale)],
      ...[ctx.at(stats), c, ...grads.map((g) => ctx.at(g)), c, ctx.at(y)],
    ], scratch * 4);
    return grads;
  });

  ctx.register("Silu", () => ({ x }) => {
    const y = ctx.output(x.shape);
    runMap(ctx, MapOp.silu, size(x.shape), ctx.at(y), ctx.at(x));
    return y;
  });
  ctx.register("SiluGrad", () => ({ x, dy }) => {
    const dx = ctx.output(x.shape);
    runMap(ctx, MapOp.siluGrad, size(x.shape), ctx.at(dx), ctx.at(x), ctx.at(dy));
    return dx;
  });

  ctx.register("GeneralRelu", () => ({ x }, { leak, sub }) => {
    const y = ctx.output(x.shape);
    runMap(ctx, MapOp.leaky, size(x.shape), ctx.at(y), ctx.at(x), undefined, leak, sub);
    return y;
  });
  ctx.register("GeneralReluGrad", () => ({ x, dy }, { leak }) => {
    const dx = ctx.output(x.shape);
    runMap(ctx, MapOp.leakyGrad, size(x.shape), ctx.at(dx), ctx.at(x), ctx.at(dy), leak);
    return dx;
  });

  ctx.register("AveragePool", () => ({ x }, { factor }) => {
    const [n, h, w, c] = x.shape, ho = Math.ceil(h / factor);
    const y = ctx.output([n, ho, Math.ceil(w / factor), c]);
    pool.run(Kernel.averagePool, n * ho, [ctx.at(x), h, w, c, factor, ctx.at(y)]);
    return y;
  });
  ctx.register("AveragePoolGrad", () => ({ dy }, { factor, shape }) => {
    const [n, h, w, c] = shape;
    const dx = ctx.output(shape);
    pool.run(Kernel.averagePoolGrad, n * Math.ceil(h / factor), [ctx.at(dy), h, w, c, factor, ctx.at(dx)]);
    return dx;
  });

  ctx.register("AddChannels", () => ({ x, b }) => {
    const [n, c] = b.shape;
    const y = ctx.output(x.shape);
    pool.run(Kernel.addChannels, n, [ctx.at(x), size(x.shape) / n / c, c, ctx.at(b), ctx.at(y)]);
    return y;
  });
  ctx.register("SumPixels", () => ({ x }) => {
    const n = x.shape[0], c = x.shape.at(-1)!;
    const pixels = size(x.shape) / n / c;
    const out = ctx.output([n, c]);
    pool.run(Kernel.sumColumns, n, [ctx.at(x), n * pixels, c, ctx.at(out), pixels]);
    return out;
  });

  ctx.register("Upsample", () => ({ x }, { factor }) => {
    const [n, h, w, c] = x.shape;
    const y = ctx.output([n, h * factor, w * factor, c]);
    pool.run(Kernel.upsample, n * h, [ctx.at(x), w, c, factor, ctx.at(y)]);
    return y;
  });
  ctx.register("UpsampleGrad", () => ({ dy }, { factor }) => {
    const [n, h, w, c] = dy.shape;
    const dx = ctx.output([n, h / factor, w / factor, c]);
    pool.run(Kernel.upsampleGrad, n * h / factor, [
      ...[ctx.at(dy), w / factor, c, factor, ctx.at(dx)],
    ]);
    return dx;
  });

  ctx.register(
    "AdamStep",
    () => (_, { entries, skip }: { entries: AdamEntry[]; skip: TensorInfo | null }) => {
      if (skip && new Float32Array(pool.memory.buffer)[ctx.at(skip) / 4] !== 0) return [];
      // Long parameters are cut into pieces, so that threads share them.
      const pieces = entries.flatMap((e) => {
        const tensors = [e.param, e.grad, e.m.value, e.v.value].map((t) => ctx.at(t));
        const n = e.param.size;
        return Array.from({ length: Math.ceil(n / CHUNK) }, (_, i) => ({
          ...e,
          addresses: tensors.map((at) => at + i * CHUNK * 4),
          length: Math.min(CHUNK, n - i * CHUNK),
        }));
      });
      ctx.temporary(pieces.length * 13, (table) => {
        const ints = new Int32Array(pool.memory.buffer), floats = new Float32Array(pool.memory.buffer);
        pieces.forEach((p, i) => {
          const at = table / 4 + i * 13;
          ints.set([...p.addresses, p.length], at);
          floats.set(
            [p.lr, p.beta1, p.beta2, p.eps, p.rootCorrection2, p.rate, p.decay, p.l2],
            at + 5,
          );
        });
        pool.run(Kernel.adam, pieces.length, [table]);
      });
      return [];
    },
  );

  ctx.register("Random", () => (_, { shape, key, counter, normal }) => {
    const out = ctx.output(shape);
    const n = size(shape);
    pool.run(Kernel.random, Math.ceil(n / CHUNK), [
      ...[ctx.at(out), n, key[0], key[1]],
      ...[counter >>> 0, Math.floor(counter / 2 ** 32), normal ? 1 : 0],
    ]);
    return out;
  });
}
