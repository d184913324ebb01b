/** Training on any process. */
import {
  Callback,
  defaultGenerator,
  type Generator,
  type Json,
  type Learner,
  type LossFunc,
  type Tensor,
  tf,
} from "../../core/mod.ts";
import { BatchDraws, ORDER } from "../../callbacks/mod.ts";
import { type ClassOptions, dropClasses, imagesAndClasses, requireConditions } from "./classes.ts";
import { parametrisation, type Prediction } from "./parametrisation.ts";
import type { Process } from "./process.ts";
import { minSnrWeights, trainingBatch, uniformTimes } from "./training.ts";

/** Options of {@link DiffusionCB}. */
export interface DiffusionOptions {
  /** What makes noise of the images. */
  process: Process;
  /** What the network is to say; default `epsilon`. */
  prediction?: Prediction;
  /** Standard deviation of the images' pixels, for `edm`; default 0.5. */
  sigmaData?: number;
  /** Draws the times of n images, [n], as {@link logitNormalTimes} does; default {@link uniformTimes}. */
  times?: (n: number, generator: Generator) => Tensor;
  /** γ of {@link minSnrWeights}, over 0: the batch then has weights for {@link weightedMseLoss}; default it has none. */
  minSnr?: number;
  /** Where the network is told classes, which the batch's second element has; default it is not. */
  conditions?: ClassOptions;
  /**
   * Draws times, noise and dropped classes of training; default the shared generator. A fit has a stream of its own from
   * where it stands, and it goes on where the fit's draws end, unless something else drew from it meanwhile.
   */
  generator?: Generator;
}

/**
 * Turns a batch of images, and classes where the network is told them, into `[[input, t, classes], target, weights]`: what
 * the network is given and told, what it should say, and with `minSnr` how much each image counts. For any learner that
 * trains by itself and a model that takes the list, as {@link UNet} does. Every evaluation draws the same from a generator
 * of its own, and drops no class.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DeviceCB, diffusion } from "../../mod.ts";
 * const flow = new diffusion.DiffusionCB({
 *   process: diffusion.flow(),
 *   prediction: "flow_prediction",
 *   times: (n, generator) => diffusion.logitNormalTimes(n, {}, generator),
 * });
 * assert(flow.order > new DeviceCB().order);
 * ```
 */
export class DiffusionCB extends Callback {
  /** With the callbacks that change a batch on the device. */
  override order: number = ORDER.batchTransformCB;
  /** Two would noise twice. */
  override readonly once: readonly string[] = ["noises the batch"];
  /** The options as given. */
  readonly options: DiffusionOptions;
  readonly #draws: BatchDraws;

  /**
   * Noises by a process.
   * @throws RangeError for an unknown prediction, or another option out of its range.
   */
  constructor(options: DiffusionOptions) {
    super();
    const { prediction = "epsilon", sigmaData, minSnr, conditions } = options;
    parametrisation(prediction, sigmaData); // refuses what is none
    if (minSnr !== undefined && !(minSnr > 0)) {
      throw new RangeError(`${this.constructor.name}: minSnr is over 0, not ${minSnr}`);
    }
    if (conditions) requireConditions(this.constructor.name, conditions);
    this.options = options;
    this.#draws = new BatchDraws(options.generator);
    if (!options.generator) return;
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
   * @throws Error if it is still on the host, or has no classes where the network is told them.
   */
  override beforeBatch(learn: Learner): void {
    const { conditions } = this.options;
    const [x0, labels] = imagesAndClasses(this.constructor.name, learn.batch, !!conditions);
    const generator = this.#draws.of(learn);
    const [inputs, ...rest] = this.noisify(x0, generator);
    const told = conditions && (learn.training ? dropClasses(labels, conditions, generator) : labels);
    learn.batch = [told ? [...inputs, told] : inputs, ...rest];
  }

  /**
   * Noised images, what the network should say of them, and with `minSnr` how much each counts.
   * @param x0 images [N,H,W,C]
   * @returns `[[input, t], target, weights]`
   */
  noisify(
    x0: Tensor,
    generator: Generator = defaultGenerator,
  ): [inputs: [x: Tensor, t: Tensor], target: Tensor, weights?: Tensor] {
    const { process, prediction, sigmaData, minSnr, times: draw } = this.options;
    return tf.tidy(() => {
      const [n] = x0.shape, times = draw?.(n, generator) ?? uniformTimes(process, n, generator);
      const { input, t, target, ...at } = trainingBatch(x0, {
        process,
        prediction,
        sigmaData,
        times,
        generator,
      });
      const noised: [[Tensor, Tensor], Tensor] = [[input, t], target];
      return minSnr === undefined
        ? noised
        : [...noised, minSnrWeights(at, { prediction, sigmaData, gamma: minSnr })];
    });
  }
}

/**
 * The mean of weights·(prediction − target)² for a learner whose batches have weights, as {@link DiffusionCB}'s with `minSnr`.
 * @param weights that broadcast over the images, as [N,1,1,1]
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const loss = diffusion.weightedMseLoss(tf.tensor1d([1, 3]), tf.tensor1d([0, 0]), tf.tensor1d([2, 1]));
 * assertEquals((await loss.data())[0], (2 * 1 + 9) / 2);
 * ```
 */
export const weightedMseLoss: LossFunc = (prediction: Tensor, target: Tensor, weights: Tensor): Tensor =>
  tf.mean(tf.mul(tf.square(tf.sub(prediction, target)), weights));
