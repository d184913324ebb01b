/** Thrown by a callback to skip the rest of a batch, an epoch or the whole fit, its `after…` event included. */
export class CancelBatchException extends Error {
  override name = "CancelBatchException";
}
/** Skips the rest of the epoch. */
export class CancelEpochException extends Error {
  override name = "CancelEpochException";
}
/** Skips the rest of the fit. */
export class CancelFitException extends Error {
  override name = "CancelFitException";
}
