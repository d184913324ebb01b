/** Scaled dot-product attention; a task is a head of an image. */
import { Attention, AttentionGrad } from "../../../ops/mod.ts";
import { Kernel } from "../assembly/abi.ts";
import { Float } from "../pool.ts";
import type { Context } from "./context.ts";

/** Registers {@link Attention} and its gradient. */
export function registerAttention(ctx: Context): void {
  const { pool } = ctx;
  ctx.kernel(Attention, ({ q, k, v }, { heads, scale }) => {
    const [images, tokens, channels] = q.shape;
    const y = ctx.output(q.shape), stats = ctx.output([images, heads, tokens, 2]);
    pool.run(Kernel.attention, images * heads, {
      q,
      k,
      v,
      y,
      tokens,
      channels,
      heads,
      scale: new Float(scale),
      stats,
    });
    return { y, stats };
  });
  ctx.kernel(AttentionGrad, ({ q, k, v, y, stats, dy }, { heads, scale }) => {
    const [images, tokens, channels] = q.shape;
    const [dq, dk, dv] = [q, k, v].map((x) => ctx.output(x.shape));
    pool.run(Kernel.attentionGrad, images * heads, {
      q,
      k,
      v,
      dy,
      tokens,
      channels,
      heads,
      scale: new Float(scale),
      stats,
      dq,
      dk,
      dv,
      y,
    });
    return { dq, dk, dv };
  });
}
