/** Batch normalisation over all axes but the last. */
import { BatchNorm, BatchNormGrad, ChannelAffine } from "../../../ops/mod.ts";
import type { TensorInfo } from "../../../tf.ts";
import { Kernel } from "../assembly/abi.ts";
import { Float, type Word } from "../pool.ts";
import { type Context, share, size } from "./context.ts";

/** Most rows that are summed in float32; the sums of parts go on in double precision. */
const MAX_ROWS_PER_TASK = 4096;

/** Rows of channels, and how they are shared between tasks. */
function rowsOf(x: TensorInfo) {
  const channels = x.shape.at(-1)!, rows = size(x.shape) / channels;
  return { channels, rows, ...share(rows, Math.max(8, Math.ceil(8192 / channels)), MAX_ROWS_PER_TASK) };
}

/** Σu and Σuv a channel by parts, handed to `finish` with their address and number. */
function withSums(
  ctx: Context,
  x: TensorInfo,
  dy: TensorInfo | undefined,
  finish: (parts: number, partCount: number) => void,
): void {
  const { channels, rows, per, tasks } = rowsOf(x);
  ctx.temporary(tasks * 2 * channels, (parts) => {
    ctx.pool.run(Kernel.channelSums, tasks, {
      x,
      dy,
      rows,
      channels,
      parts,
      rowsPerTask: per,
    });
    finish(parts, tasks);
  });
}

/** y = uScale·u (+ xScale·x) + shift a channel. */
function affine(
  ctx: Context,
  u: TensorInfo,
  x: TensorInfo | undefined,
  y: TensorInfo,
  coefficients: { uScale: Word; xScale?: Word; shift: Word },
): void {
  const { channels, rows, per, tasks } = rowsOf(u);
  const { uScale, xScale, shift } = coefficients;
  ctx.pool.run(Kernel.channelAffine, tasks, {
    u,
    x,
    rows,
    channels,
    y,
    rowsPerTask: per,
    uScale,
    xScale,
    shift,
  });
}

/** Registers {@link BatchNorm}, its gradient, and the affine map a channel that evaluation needs. */
export function registerBatchNorm(ctx: Context): void {
  const { pool } = ctx;
  ctx.kernel(BatchNorm, ({ x, gamma, beta }, { eps }) => {
    const { channels, rows } = rowsOf(x);
    const y = ctx.output(x.shape);
    const [mean, variance, rstd] = [0, 1, 2].map(() => ctx.output([channels]));
    ctx.temporary(2 * channels, (scale) => {
      const shift = scale + 4 * channels;
      withSums(
        ctx,
        x,
        undefined,
        (parts, partCount) =>
          pool.run(Kernel.batchNormStats, 1, {
            parts,
            partCount,
            rows,
            channels,
            x,
            gamma,
            beta,
            eps: new Float(eps),
            mean,
            variance,
            rstd,
            scale,
            shift,
          }),
      );
      affine(ctx, x, undefined, y, { uScale: scale, shift });
    });
    return { y, mean, variance, rstd };
  });
  ctx.kernel(BatchNormGrad, ({ x, gamma, mean, rstd, dy }) => {
    const { channels, rows } = rowsOf(x);
    const dx = ctx.output(x.shape);
    const [dGamma, dBeta] = [0, 1].map(() => ctx.output([channels]));
    ctx.temporary(3 * channels, (dyScale) => {
      const xScale = dyScale + 4 * channels, shift = xScale + 4 * channels;
      withSums(
        ctx,
        x,
        dy,
        (parts, partCount) =>
          pool.run(Kernel.batchNormGradStats, 1, {
            parts,
            partCount,
            rows,
            channels,
            gamma,
            mean,
            rstd,
            dGamma,
            dBeta,
            dyScale,
            xScale,
            shift,
          }),
      );
      affine(ctx, dy, x, dx, { uScale: dyScale, xScale, shift });
    });
    return { dx, dGamma, dBeta };
  });
  ctx.kernel(ChannelAffine, ({ x, scale, shift }) => {
    const y = ctx.output(x.shape);
    affine(ctx, x, undefined, y, { uScale: scale, shift });
    return { y };
  });
}
