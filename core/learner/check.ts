/** What is wrong with a fit before it begins. */
import { requireWhole } from "../ops/check.ts";
import type { Callback, LearnerPhase } from "./callback.ts";
import type { FitOptions, Learner } from "./learner.ts";

const PHASES = ["predict", "getLoss", "backward", "step", "zeroGrad"] as const;

/** Whether a callback has a phase. */
const has = (cb: Callback, phase: LearnerPhase): boolean => cb[phase] !== undefined;

/**
 * Looks at what a fit is asked for.
 * @throws RangeError unless `nEpochs` is a whole number from 0 on.
 * @throws Error where the fit would neither train nor evaluate.
 */
export function checkOptions(nEpochs: number, { train = true, valid = true }: FitOptions): void {
  requireWhole("fit", "nEpochs", nEpochs, 0);
  if (!train && !valid) {
    throw new Error("fit: { train: false, valid: false } would do nothing: leave one out");
  }
}

/**
 * Looks at the callbacks of a fit that is about to begin.
 * @param plain the prototype of {@link Learner}, whose phases are callbacks' work
 * @throws Error for a callback whose phase would never be called, and where a phase that is needed is done by none, or twice.
 */
export function checkCallbacks(
  learn: Learner,
  cbs: readonly Callback[],
  train: boolean,
  plain: Learner,
): void {
  const left = new Set(learn.callbackPhases), name = learn.constructor.name;
  for (const cb of cbs) {
    const phases = PHASES.filter((phase) => has(cb, phase) && !left.has(phase));
    if (phases.length === 0) continue;
    throw new Error(
      `${cb.constructor.name}.${phases[0]} would never be called: ${name} does ${
        phases.join(", ")
      } itself. ` +
        `Use Learner with ${cb.constructor.name}, or ${name} without it; what a callback does to a batch before ` +
        `the model belongs into beforeBatch`,
    );
  }
  for (const [i, cb] of cbs.entries()) {
    for (const other of cbs.slice(i + 1)) {
      const both = cb.once.find((work) => other.once.includes(work));
      if (both === undefined) continue;
      throw new Error(
        `A fit takes one callback that ${both}; there are ${cb.constructor.name} and ${other.constructor.name}: leave one out`,
      );
    }
  }
  const idle = (train ? PHASES : ["predict"] as const)
    .filter((phase) => left.has(phase) && learn[phase] === plain[phase])
    .filter((phase) => !cbs.some((cb) => has(cb, phase)));
  if (idle.length) {
    throw new Error(
      `${name} leaves ${idle.join(", ")} to callbacks, and none of them does that: nothing would be ${
        train ? "trained" : "predicted"
      }. ` +
        `Add TrainCB to the callbacks, or use TrainLearner`,
    );
  }
}
