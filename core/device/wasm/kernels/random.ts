/** Counter-based random numbers. */
import { Random } from "../../../ops/mod.ts";
import { CHUNK, Kernel } from "../assembly/abi.ts";
import { type Context, size } from "./context.ts";

/** Registers {@link Random}. */
export function registerRandom(ctx: Context): void {
  ctx.kernel(Random, (_, { shape, key, counter, normal }) => {
    const length = size(shape), y = ctx.output(shape);
    ctx.pool.run(Kernel.random, Math.ceil(length / CHUNK), {
      out: y,
      length,
      key0: key[0],
      key1: key[1],
      counterLow: counter >>> 0,
      counterHigh: Math.floor(counter / 2 ** 32),
      normal,
    });
    return { y };
  });
}
