/** In which order our callbacks run, and why. */

/**
 * The `order` of each callback whose place matters; all others have 0. Lower ones run first, and what they put around a
 * phase (`Fit.wrap`) is further inside.
 */
export const ORDER: {
  readonly emaCB: number;
  readonly gradientClipCB: number;
  readonly mixedPrecision: number;
  readonly accumulateGradCB: number;
  readonly deviceCB: number;
  readonly batchTransformCB: number;
  readonly singleBatchCB: number;
  readonly progressCB: number;
  readonly checkpointCB: number;
  readonly earlyStoppingCB: number;
  readonly showBatchCB: number;
} = {
  // Around the step: gradients are averaged over batches (outside), then unscaled, then clipped; the average of the
  // weights moves with the step itself.
  emaCB: -20,
  gradientClipCB: -10,
  mixedPrecision: -5,
  accumulateGradCB: 0,
  // Before everything that looks at a batch on the device; metrics and others of 0 that only look after it may be equal.
  deviceCB: 0,
  // On the device, before the model; what noises a batch has this order too.
  batchTransformCB: 1,
  // After the metrics of its batch.
  singleBatchCB: 1,
  // After MetricsCB, whose rows it prints.
  progressCB: 1,
  // After every callback whose state it saves has taken in the batch.
  checkpointCB: 100,
  // After the checkpoint, which an ended fit is to have.
  earlyStoppingCB: 150,
  // After everything that changes a batch.
  showBatchCB: Infinity,
};
