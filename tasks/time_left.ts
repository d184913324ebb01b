/** How long a fit will still take, with its evaluations and what is written between epochs. */
import { Callback, type Learner } from "../mod.ts";

/** What is known of a fit that is under way. Times are seconds. */
export interface Pace {
  /** Training batches that are left, and how long one has taken. */
  trainBatches: number;
  train: number;
  /** Evaluation batches that are left, and how long one has taken; undefined before the first evaluation. */
  evalBatches: number;
  evaluation?: number;
  /** Epochs that are left, and how long what comes after one has taken; undefined before the first is over. */
  epochs: number;
  rest?: number;
}

/** What an evaluation costs beside a training step, which computes backward as well: a third, before one was measured. */
const FORWARD = 1 / 3;

/** Seconds that are left. */
export function secondsLeft(
  { trainBatches, train, evalBatches, evaluation, epochs, rest = 0 }: Pace,
): number {
  return trainBatches * train + evalBatches * (evaluation ?? FORWARD * train) + epochs * rest;
}

/** A time for people, such as `about 2 h 5 min`. */
export function formatTime(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return "under a minute";
  return `about ${minutes < 60 ? "" : `${Math.floor(minutes / 60)} h `}${minutes % 60} min`;
}

/** A mean of times. */
class Mean {
  sum = 0;
  n = 0;
  add(value: number): void {
    this.sum += value;
    this.n++;
  }
  get value(): number | undefined {
    return this.n ? this.sum / this.n : undefined;
  }
}

/** When it is first said, in seconds of training, if an epoch has not ended before. */
const FIRST = 30;

/** Says how long a fit will still take: within its first minute, and after each epoch. */
export class TimeLeftCB extends Callback {
  /** After everything else of an event. */
  override order = 200;
  #train = new Mean();
  #evaluation = new Mean();
  #rest = new Mean();
  #last = 0;
  #ended?: number;
  #isTold = false;

  /**
   * Says it.
   * @param say takes a line
   * @param now seconds
   */
  constructor(
    readonly say: (line: string) => void = console.error,
    readonly now: () => number = () => performance.now() / 1000,
  ) {
    super();
  }

  override beforeEpoch(learn: Learner): void {
    const now = this.now();
    if (learn.training && this.#ended !== undefined) {
      this.#rest.add(now - this.#ended);
      this.#tell(learn, learn.dl.length! - learn.current.batchesDone);
    }
    this.#last = now;
  }

  override afterBatch(learn: Learner): void {
    const now = this.now();
    (learn.training ? this.#train : this.#evaluation).add(now - this.#last);
    this.#last = now;
    const left = learn.dl.length! - learn.iter - 1;
    if (learn.training && !this.#isTold && (this.#train.sum >= FIRST || left === 0)) this.#tell(learn, left);
    if (!learn.training && left === 0) this.#ended = now;
  }

  /** Not where something is only tried. */
  override inTrials(): boolean {
    return false;
  }

  /** Says what is left from a training batch on. */
  #tell(learn: Learner, batches: number): void {
    this.#isTold = true;
    const { train, valid } = learn.dls!, epochs = learn.nEpochs - learn.epoch;
    const seconds = secondsLeft({
      trainBatches: batches + (epochs - 1) * train.length!,
      train: this.#train.value!,
      evalBatches: epochs * valid.length!,
      evaluation: this.#evaluation.value,
      epochs,
      rest: this.#rest.value,
    });
    const more = this.#evaluation.value === undefined ? ", evaluations included, as yet a guess" : "";
    this.say(`Time left: ${formatTime(seconds)} (to epoch ${learn.nEpochs}${more})`);
  }
}
