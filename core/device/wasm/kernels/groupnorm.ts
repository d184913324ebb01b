/** Group normalisation, with SiLU after it where asked; a task is an image. */
import { GroupNorm, GroupNormGrad } from "../../../ops/mod.ts";
import { Kernel } from "../assembly/abi.ts";
import { Float } from "../pool.ts";
import { type Context, size } from "./context.ts";
import { sumRows } from "./reduce.ts";

/** Registers {@link GroupNorm} and its gradient. */
export function registerGroupNorm(ctx: Context): void {
  const { pool } = ctx;
  const sizesOf = (shape: number[]) => {
    const images = shape[0], channels = shape.at(-1)!;
    return { images, channels, pixels: size(shape) / images / channels };
  };
  ctx.kernel(GroupNorm, ({ x, gamma, beta }, { groups, eps, silu }) => {
    const { images, channels, pixels } = sizesOf(x.shape);
    const [y, mean, rstd] = [x.shape, [images, groups], [images, groups]].map((s) => ctx.output(s));
    pool.run(Kernel.groupNorm, images, {
      x,
      pixels,
      channels,
      groups,
      gamma,
      beta,
      eps: new Float(eps),
      y,
      mean,
      rstd,
      silu,
    });
    return { y, mean, rstd };
  });
  ctx.kernel(GroupNormGrad, ({ x, gamma, beta, mean, rstd, dy }, { groups, silu }) => {
    const { images, channels, pixels } = sizesOf(x.shape);
    const [dx, dGamma, dBeta] = [x.shape, [channels], [channels]].map((s) => ctx.output(s));
    ctx.temporary(2 * images * channels, (gammaParts) => {
      const betaParts = gammaParts + images * channels * 4;
      pool.run(Kernel.groupNormGrad, images, {
        x,
        pixels,
        channels,
        groups,
        gamma,
        beta,
        dy,
        dx,
        mean,
        rstd,
        silu,
        dGamma: gammaParts,
        dBeta: betaParts,
      });
      sumRows(ctx, gammaParts, images, channels, dGamma);
      sumRows(ctx, betaParts, images, channels, dBeta);
    });
    return { dx, dGamma, dBeta };
  });
}
