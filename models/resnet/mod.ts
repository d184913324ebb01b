/** The Fashion-MNIST classifiers of the lesson, and reports on what they predict. */
export {
  type Act,
  actGr,
  conv,
  type ConvOptions,
  type Layer,
  type Norm,
  normBn,
  ResBlock,
} from "./blocks.ts";
export { getDropModel, getModel, getModel2, getModel3, getModel4, type ModelOptions } from "./model.ts";
export { calibrationPlot, confusionPlot, leastConfident, mostWrong, showPredictions } from "./plots.ts";
export {
  averagePasses,
  calibration,
  classAccuracy,
  type ConfidenceBin,
  confusionMatrix,
  type Prediction,
  testTimeDropout,
} from "./report.ts";
