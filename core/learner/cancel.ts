/** Thrown by a callback to skip the rest of a batch, a pass or the whole fit, its `after…` event included. */
export class CancelBatchException extends Error {
  /** The class's name. */
  override name = "CancelBatchException";
}
/** Skips the rest of the pass over the training or validation data. */
export class CancelEpochException extends Error {
  /** The class's name. */
  override name = "CancelEpochException";
}
/** Skips the rest of the fit. */
export class CancelFitException extends Error {
  /** The class's name. */
  override name = "CancelFitException";
}

/** Whether something thrown skips a part of the loop, and is no error. */
function isCancel(thrown: unknown): boolean {
  return thrown instanceof CancelBatchException || thrown instanceof CancelEpochException ||
    thrown instanceof CancelFitException;
}

/**
 * Of several things thrown one after another, the one to go on with: the first error, else the first to cancel. Other
 * errors become the `cause` at the end of its chain.
 */
export function firstThrown(thrown: readonly unknown[]): unknown {
  const [first = thrown[0], ...later] = thrown.filter((x) => !isCancel(x));
  for (const error of later) {
    let last = first;
    while (last instanceof Error && last.cause instanceof Error && last !== error) last = last.cause;
    if (last instanceof Error && last !== error) Reflect.set(last, "cause", error); // not where it is frozen
  }
  return first;
}
