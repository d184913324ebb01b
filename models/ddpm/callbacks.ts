/** Training a model of noise: both of the lesson's forms. */
import { Callback, type Generator, HostArray, type Json, type Learner } from "../../core/mod.ts";
import { BatchDraws, ORDER, TrainCB } from "../../callbacks/mod.ts";
import { noisify } from "./noisify.ts";
import { linearSchedule, type Schedule } from "./schedule.ts";

/** Options of both callbacks. */
export interface DDPMOptions {
  /** Default {@link linearSchedule}. */
  schedule?: Schedule;
  /**
   * Draws steps and noise of training; default the shared generator. A fit has a stream of its own from where it stands,
   * and it goes on where the fit's draws end, unless something else drew from it meanwhile.
   */
  generator?: Generator;
}

/**
 * Turns a batch of images into `[[xₜ, t], ε]` for any learner that trains by itself (paper, algorithm 1); the model
 * takes the pair, as {@link UNet} does. Every evaluation draws the same from a generator of its own, so that its losses are comparable and
 * training is the same without it. Source: lesson notebook 17.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DDPMCB, DeviceCB } from "../../mod.ts";
 * assert(new DDPMCB().order > new DeviceCB().order);
 * ```
 */
export class DDPMCB extends Callback {
  /** With the callbacks that change a batch on the device. */
  override order: number = ORDER.batchTransformCB;
  /** Two would noise twice. */
  override readonly once: readonly string[] = ["noises the batch"];
  /** Keeps nothing beyond a fit. */
  override readonly shareable: boolean = true;
  /** The schedule that batches are noised by. */
  readonly schedule: Schedule;
  readonly #draws: BatchDraws;

  /** Noises by a schedule. */
  constructor({ schedule = linearSchedule(), generator }: DDPMOptions = {}) {
    super();
    this.schedule = schedule;
    this.#draws = new BatchDraws(generator);
    if (!generator) return;
    this.state = (learn) => this.#draws.state(learn);
    this.loadState = (state, learn) => this.#draws.loadState(state, learn);
  }

  /** Where the generator stands, if it was given one; a checkpoint has the shared one's. */
  override state?: (learn: Learner) => Json;
  /** Goes on from there. */
  override loadState?: (state: Json, learn: Learner) => void;

  /** Begins the draws of evaluation again. */
  override beforeEpoch(learn: Learner): void {
    this.#draws.beginEpoch(learn);
  }

  /** The generator that it was given goes on where the fit's draws end. */
  override cleanupFit(learn: Learner): void {
    this.#draws.endFit(learn);
  }

  /**
   * Noises the batch.
   * @throws Error if it is still on the host.
   */
  override beforeBatch(learn: Learner): void {
    if (learn.batch[0] instanceof HostArray) {
      throw new Error("The batch is still on the host: add DeviceCB to the callbacks");
    }
    learn.batch = noisify(learn.batch[0], this.schedule, { generator: this.#draws.of(learn) });
  }
}

/**
 * {@link TrainCB} for a model of noise that takes (xₜ, t) and gives `{ sample }`. Source: lesson notebook 15.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DDPMTrainCB, linearSchedule } from "../../mod.ts";
 * assert(new DDPMTrainCB({ schedule: linearSchedule({ nSteps: 10 }) }).schedule.nSteps === 10);
 * ```
 */
export class DDPMTrainCB extends TrainCB {
  /** With the callbacks that change a batch on the device. */
  override order: number = ORDER.batchTransformCB;
  /** Two would train, or noise, twice. */
  override readonly once: readonly string[] = ["trains", "noises the batch"];
  readonly #noising: DDPMCB;

  /** Noises by a schedule. */
  constructor(options: DDPMOptions = {}) {
    super();
    this.#noising = new DDPMCB(options);
    if (!this.#noising.state) return;
    this.state = this.#noising.state;
    this.loadState = this.#noising.loadState;
  }

  /** As that of {@link DDPMCB}. */
  override state?: (learn: Learner) => Json;
  /** Goes on from there. */
  override loadState?: (state: Json, learn: Learner) => void;

  /** The schedule that batches are noised by. */
  get schedule(): Schedule {
    return this.#noising.schedule;
  }

  /** Begins the draws of evaluation again. */
  override beforeEpoch(learn: Learner): void {
    this.#noising.beforeEpoch(learn);
  }

  /** Noises the batch. */
  override beforeBatch(learn: Learner): void {
    this.#noising.beforeBatch(learn);
  }

  /** The generator that it was given goes on where the fit's draws end. */
  override cleanupFit(learn: Learner): void {
    this.#noising.cleanupFit(learn);
  }

  /** Predicts the noise. */
  override predict(learn: Learner): void {
    const [xt, t] = learn.batch[0];
    learn.preds = learn.model.call(xt, t).sample;
  }
}
