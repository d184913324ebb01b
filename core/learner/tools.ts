/** What the learner's tools take and give; the callbacks' package does them. */
import type { Batch } from "../data/loader.ts";
import type { ShowOptions } from "../vis/show.ts";

/** Options of `LRFinderCB`. */
export interface LRFinderOptions {
  /** What the rate is multiplied by after each batch, over 1 and finite; default 1.3. */
  gamma?: number;
  /** Ends the fit when the loss is over this many times the lowest, over 1; default 3. */
  maxMult?: number;
}

/** Options of `learn.lrFind`. */
export interface LRFindOptions extends LRFinderOptions {
  /** The first rate, over 0; default 1e-5. */
  startLr?: number;
  /** Epochs at most, a positive whole number; default 10. */
  maxEpochs?: number;
  /** Where the plot goes; default nowhere. */
  path?: string;
  /** Takes the line with the suggestion; default `console.log`. */
  log?: (line: string) => void;
}

/** What `learn.lrFind` found. */
export interface LRFinder {
  /** The rate of each batch. */
  readonly lrs: number[];
  /** The loss of each batch. */
  readonly losses: number[];
  /** The rate where the smoothed loss falls most steeply over log lr; undefined before three batches. */
  readonly suggestion: number | undefined;
  /** Loss over log lr, as SVG. */
  plot(): Promise<string>;
}

/** A part of a model, as `learn.summary` tells it. */
export interface SummaryRow {
  /** Its class. */
  module: string;
  /** The shape of its first input. */
  input: number[];
  /** The shape of its output. */
  output: number[];
  /** Trained numbers. */
  parameters: number;
  /** As miniai counts: filters by the area of the part's output, everything else once; millions. */
  mflop: number;
}

/** Options of `learn.showImageBatch`. */
export interface ShowBatchOptions extends Omit<ShowOptions, "titles"> {
  /** Images at most, a positive whole number; default 16. */
  n?: number;
  /** Names of the classes; default the numbers. */
  classes?: readonly string[];
}

/** From a batch on the device to another, such as `flipBatch`. */
export type BatchTransform = (batch: Batch) => Batch;
