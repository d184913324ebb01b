/** `learn.summary()`. */
import { Callback, CancelFitException, type Learner, type SummaryRow, type Tensor } from "../core/mod.ts";
import { HooksCallback } from "./hooks.ts";

/** Ends the fit after a batch. */
class OneBatchCB extends Callback {
  override afterBatch(): void {
    throw new CancelFitException();
  }
}

/** The shape of a tensor, or of the first in nested arrays. */
const shapeOf = (x: unknown): number[] => (Array.isArray(x) ? shapeOf(x[0]) : (x as Tensor).shape);

/**
 * Tells each direct part of the model with its shapes, parameters and MFLOP for one batch of the evaluation data. The
 * learner stays as it is, also inside a fit.
 * @param log takes the lines; default `console.log`
 */
export async function summary(
  learn: Learner,
  log: (line: string) => void = console.log,
): Promise<SummaryRow[]> {
  const rows: SummaryRow[] = [];
  const parts = new Set(learn.model.children().map(([, m]) => m));
  const hooks = new HooksCallback(({ module, inputs, output }) => {
    const out = shapeOf(output), area = out.length === 4 ? out[1] * out[2] : 1;
    const flops = module.parameters().reduce((sum, p) => sum + p.size * (p.shape.length === 4 ? area : 1), 0);
    rows.push({
      module: module.constructor.name,
      input: shapeOf(inputs[0]),
      output: out,
      parameters: module.parameterCount(),
      mflop: flops / 1e6,
    });
  }, { modFilter: (m) => parts.has(m), onValid: true });
  await learn.fit(1, { train: false, trial: true, cbs: [hooks, new OneBatchCB()] });
  table(rows).forEach((line) => log(line));
  return rows;
}

/** The lines of the table. */
function table(rows: SummaryRow[]): string[] {
  const total = (of: (row: SummaryRow) => number) => rows.reduce((sum, row) => sum + of(row), 0);
  const cells = rows.map((r) => [
    r.module,
    r.input.join("×"),
    r.output.join("×"),
    r.parameters.toLocaleString("en"),
    r.mflop.toFixed(1),
  ]);
  return [
    ["module", "input", "output", "parameters", "MFLOP"],
    ...cells,
    ["total", "", "", total((r) => r.parameters).toLocaleString("en"), total((r) => r.mflop).toFixed(1)],
  ].map((line) => line.map((c, i) => i ? c.padStart(18) : c.padEnd(18)).join(""));
}
