/** Batch normalisation over all axes but the last. */
import type { TensorInfo } from "../../../tf.ts";
import { Float, Kernel } from "../pool.ts";
import { type Context, share, size } from "./context.ts";

/** Registers it, its gradient, and the affine map a channel that evaluation needs. */
export function registerBatchNorm(ctx: Context): void {
  const { pool } = ctx;
  const rowsOf = (x: TensorInfo) => {
    const c = x.shape.at(-1)!, rows = size(x.shape) / c;
    return { c, rows, ...share(rows, Math.max(8, Math.ceil(8192 / c))) };
  };
  /** Σu and Σuv a channel by parts, handed to `finish` with their address and number. */
  const sums = (
    x: TensorInfo,
    dy: TensorInfo | undefined,
    finish: (parts: number, tasks: number) => void,
  ) => {
    const { c, rows, per, tasks } = rowsOf(x);
    ctx.temporary(tasks * 2 * c, (parts) => {
      pool.run(Kernel.channelSums, tasks, [ctx.at(x), dy ? ctx.at(dy) : 0, rows, c, parts, per]);
      finish(parts, tasks);
    });
  };
  /** out = a·u (+ b·x) + c a channel, the coefficients at addresses. */
  const affine = (
    u: TensorInfo,
    x: TensorInfo | undefined,
    out: TensorInfo,
    a: number,
    b: number,
    c: number,
  ) => {
    const { c: channels, rows, per, tasks } = rowsOf(u);
    pool.run(Kernel.channelAffine, tasks, [
      ...[ctx.at(u), x ? ctx.at(x) : 0, rows, channels, ctx.at(out), per, a, b, c],
    ]);
  };

  ctx.register("BatchNorm", () => ({ x, gamma, beta }, { eps }) => {
    const { c, rows } = rowsOf(x);
    const y = ctx.output(x.shape);
    const [mean, variance, rstd] = [0, 1, 2].map(() => ctx.output([c]));
    ctx.temporary(2 * c, (a) => {
      const b = a + 4 * c;
      sums(x, undefined, (parts, tasks) =>
        pool.run(Kernel.batchNormStats, 1, [
          ...[parts, tasks, rows, c, ctx.at(x), ctx.at(gamma), ctx.at(beta), new Float(eps)],
          ...[ctx.at(mean), ctx.at(variance), ctx.at(rstd), a, b],
        ]));
      affine(x, undefined, y, a, 0, b);
    });
    return [y, mean, variance, rstd];
  });
  ctx.register("BatchNormGrad", () => ({ x, gamma, mean, rstd, dy }) => {
    const { c, rows } = rowsOf(x);
    const dx = ctx.output(x.shape);
    const [dGamma, dBeta] = [0, 1].map(() => ctx.output([c]));
    ctx.temporary(3 * c, (k) => {
      const [a, b, shift] = [k, k + 4 * c, k + 8 * c];
      sums(x, dy, (parts, tasks) =>
        pool.run(Kernel.batchNormGradStats, 1, [
          ...[parts, tasks, rows, c, ctx.at(gamma), ctx.at(mean), ctx.at(rstd)],
          ...[ctx.at(dGamma), ctx.at(dBeta), a, b, shift],
        ]));
      affine(dy, x, dx, a, b, shift);
    });
    return [dx, dGamma, dBeta];
  });
  ctx.register("ChannelAffine", () => ({ x, scale, shift }) => {
    const y = ctx.output(x.shape);
    affine(x, undefined, y, ctx.at(scale), 0, ctx.at(shift));
    return y;
  });
}
