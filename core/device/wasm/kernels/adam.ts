/** Adam's step over every parameter, in place. */
import { type AdamEntry, AdamStep } from "../../../ops/mod.ts";
import { ADAM_PIECE_WORDS, AdamPiece, CHUNK, Kernel } from "../assembly/abi.ts";
import { Float, type Words } from "../pool.ts";
import type { Context } from "./context.ts";

/** A parameter's pieces, so that threads share long ones. */
function piecesOf(ctx: Context, { param, grad, m, v, ...numbers }: AdamEntry): Words<typeof AdamPiece>[] {
  const n = param.size;
  const [p, g, first, second] = [param, grad, m.value, v.value].map((t) => ctx.address(t));
  const floats = {
    lr: new Float(numbers.lr),
    beta1: new Float(numbers.beta1),
    beta2: new Float(numbers.beta2),
    eps: new Float(numbers.eps),
    rootCorrection2: new Float(numbers.rootCorrection2),
    rate: new Float(numbers.rate),
    decay: new Float(numbers.decay),
    l2: new Float(numbers.l2),
  };
  return Array.from({ length: Math.ceil(n / CHUNK) }, (_, i) => ({
    ...floats,
    param: p + i * CHUNK * 4,
    grad: g + i * CHUNK * 4,
    m: first + i * CHUNK * 4,
    v: second + i * CHUNK * 4,
    length: Math.min(CHUNK, n - i * CHUNK),
  }));
}

/** Registers {@link AdamStep}. */
export function registerAdam(ctx: Context): void {
  const { pool } = ctx;
  ctx.kernel(AdamStep, (_, { entries, skip }) => {
    if (skip && ctx.scalar(skip) !== 0) return {};
    const pieces = entries.flatMap((entry) => piecesOf(ctx, entry));
    ctx.temporary(pieces.length * ADAM_PIECE_WORDS, (table) => {
      pieces.forEach((piece, i) => pool.write(table + i * ADAM_PIECE_WORDS * 4, AdamPiece, piece));
      pool.run(Kernel.adam, pieces.length, { table });
    });
    return {};
  });
}
