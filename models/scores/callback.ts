/** ScoreCB. */
import * as v from "npm:valibot@1.5.0";
import {
  Callback,
  COUNT,
  type Done,
  Generator,
  type HostArray,
  type Json,
  type Learner,
  NUMBER,
  requireSchema,
} from "../../core/mod.ts";
import type { ImageEval, Scores } from "./eval.ts";

/** Images that were drawn, and the classes that they should be of, where those are known. */
export interface Drawn {
  /** [N,H,W,C] in the evaluation's range. */
  images: HostArray;
  /** [N]. */
  labels?: ArrayLike<number>;
}

/** Options of {@link ScoreCB}. */
export interface ScoreCBOptions {
  /** What scores the images. */
  evaluation: ImageEval;
  /**
   * Draws images by the network that is trained.
   * @param n how many
   * @param generator to draw the noise with; it begins alike in each epoch
   * @param from how many were drawn before
   */
  draw: (learn: Learner, n: number, generator: Generator, from: number) => Promise<Drawn>;
  /** Epochs from one scoring to the next, a positive whole number; the last epoch is scored in any case. Default 1. */
  every?: number;
  /** Images that are scored, a whole number from 8 on; default 1,000. */
  n?: number;
  /** Images that are drawn at once, a positive whole number; default 250. */
  batch?: number;
  /** Fixes the noise; default 0. */
  seed?: number;
}

/** What the images of an epoch scored. */
export interface ScoredEpoch extends Scores {
  /** The number of the epoch. */
  epoch: number;
}

/** What a checkpoint holds. */
const ROWS: v.GenericSchema<unknown, ScoredEpoch[]> = v.array(v.strictObject({
  epoch: COUNT,
  n: COUNT,
  fid: NUMBER,
  fidEqual: NUMBER,
  kid: NUMBER,
  precision: NUMBER,
  recall: NUMBER,
  accuracy: v.nullable(NUMBER),
}));

/**
 * Scores what a network draws each few epochs of its training. Rows go to {@link ScoreCB.rows}, which a checkpoint keeps,
 * and to {@link ScoreCB.log}, which prints them. Fewer images than 10,000 score higher: compare a run's epochs with each
 * other, and with as many real images.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { HostArray, scores, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = await scores.classifierFeatures();
 * const real = new HostArray(new Float32Array(20 * 784).map((_, i) => i % 9 / 9), [20, 28, 28, 1]);
 * const evaluation = await scores.ImageEval.of(model, (async function* () {
 *   yield [await Promise.resolve(real)];
 * })());
 * const score = new scores.ScoreCB({
 *   evaluation,
 *   every: 5,
 *   n: 20,
 *   draw: (_learn, n) => Promise.resolve({ images: new HostArray(new Float32Array(n * 784), [n, 28, 28, 1]) }),
 * });
 * assert(score.rows.length === 0);
 * ```
 */
export class ScoreCB extends Callback {
  /** Before a checkpoint, which keeps the rows. */
  override order = 50;
  /** A row for each epoch that was scored, in order. */
  rows: ScoredEpoch[] = [];
  /** Called with each new row, and waited for; default prints it. */
  log: (row: ScoredEpoch, learn: Learner) => Done = (row) => console.log(showScores(row));
  readonly #options: Required<ScoreCBOptions>;

  /**
   * Scores each few epochs.
   * @throws RangeError for an option out of its range.
   */
  constructor({ evaluation, draw, every = 1, n = 1000, batch = 250, seed = 0 }: ScoreCBOptions) {
    super();
    for (const [name, value] of Object.entries({ every, batch })) {
      if (Number.isInteger(value) && value >= 1) continue;
      throw new RangeError(`ScoreCB: ${name} is a positive whole number, not ${value}`);
    }
    evaluation.begin(n); // refuses what is none
    this.#options = { evaluation, draw, every, n, batch, seed };
  }

  /** Draws and scores, after a pass of training. */
  override async afterEpoch(learn: Learner): Promise<void> {
    const { evaluation, draw, every, n, batch, seed } = this.#options, { epoch, epochs } = learn;
    if (!learn.training || ((epoch + 1) % every !== 0 && epoch !== epochs.at(-1))) return;
    const generator = new Generator(seed), sums = evaluation.begin(n);
    for (let from = 0; from < n; from += batch) {
      const { images, labels } = await draw(learn, Math.min(batch, n - from), generator, from);
      await sums.add(images, labels);
    }
    const row = { epoch, ...await sums.scores() };
    this.rows.push(row);
    await this.log(row, learn);
  }

  /** The rows. */
  override state(): Json {
    return this.rows as unknown as Json;
  }

  /**
   * Goes on after those rows.
   * @throws Error for a state that is none.
   */
  override loadState(state: Json): void {
    this.rows = requireSchema(ROWS, state, "ScoreCB");
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }
}

/** What an epoch scored as a line. */
export function showScores({ epoch, n, fid, kid, precision, recall, accuracy }: ScoredEpoch): string {
  const right = accuracy === null ? "" : `, class right ${(100 * accuracy).toFixed(1)}%`;
  return `epoch ${epoch + 1}: FID ${fid.toFixed(4)}, KID ${kid.toFixed(5)}, precision ${
    precision.toFixed(3)
  }, ` +
    `recall ${recall.toFixed(3)}${right} (${n} images)`;
}
