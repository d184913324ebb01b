/** Scores of images that a network draws: FID, KID, precision, recall, and whether they are of the class asked for. */
export { type Drawn, ScoreCB, type ScoreCBOptions, type ScoredEpoch, showScores } from "./callback.ts";
export { classifierFeatures, type FeatureModel } from "./classifier.ts";
export { ImageEval, type ImageEvalOptions, type Scores, ScoreSums } from "./eval.ts";
export { frechetDistance } from "./frechet.ts";
export { kernelDistance, squaredMmd } from "./kernel.ts";
export { Moments } from "./moments.ts";
export { type NeighbourOptions, type PrecisionRecall, precisionRecall } from "./neighbours.ts";
export {
  decodeReference,
  encodeReference,
  makeReference,
  type Reference,
  type ReferenceOptions,
} from "./reference.ts";
