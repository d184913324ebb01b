/** Images made smaller by means of blocks, and larger by repeating pixels; a task is a row. */
import { AveragePool, AveragePoolGrad, Upsample, UpsampleGrad } from "../../../ops/mod.ts";
import { Kernel } from "../assembly/abi.ts";
import type { Context } from "./context.ts";

/** Registers them. */
export function registerResample(ctx: Context): void {
  const { pool } = ctx;
  ctx.kernel(AveragePool, ({ x }, { factor }) => {
    const [n, height, width, channels] = x.shape, rows = Math.ceil(height / factor);
    const y = ctx.output([n, rows, Math.ceil(width / factor), channels]);
    pool.run(Kernel.averagePool, n * rows, { x, height, width, channels, factor, y });
    return { y };
  });
  ctx.kernel(AveragePoolGrad, ({ dy }, { factor, shape }) => {
    const [n, height, width, channels] = shape, rows = Math.ceil(height / factor);
    const dx = ctx.output(shape);
    pool.run(Kernel.averagePoolGrad, n * rows, {
      dy,
      height,
      width,
      channels,
      factor,
      dx,
    });
    return { dx };
  });
  ctx.kernel(Upsample, ({ x }, { factor }) => {
    const [n, height, width, channels] = x.shape;
    const y = ctx.output([n, height * factor, width * factor, channels]);
    pool.run(Kernel.upsample, n * height, { x, width, channels, factor, y });
    return { y };
  });
  ctx.kernel(UpsampleGrad, ({ dy }, { factor }) => {
    const [n, h, w, channels] = dy.shape, height = h / factor, width = w / factor;
    const dx = ctx.output([n, height, width, channels]);
    pool.run(Kernel.upsampleGrad, n * height, { dy, width, channels, factor, dx });
    return { dx };
  });
}
