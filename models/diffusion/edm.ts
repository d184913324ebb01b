/** Training as in Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models" (EDM). */
import {
  Callback,
  constant,
  defaultGenerator,
  Generator,
  HostArray,
  type Learner,
  perFit,
  type Tensor,
  tf,
} from "../../core/mod.ts";
import { ORDER } from "../../callbacks/mod.ts";
import { fixed, mix, parametrisation, SIGMA_DATA } from "./parametrisation.ts";

/** What a network of classes is told, beside the numbers of the classes themselves. */
export interface ClassOptions {
  /** How many classes there are; the network has a row more in its table, which stands for none. */
  classes: number;
  /** Share of the images whose class is not told, from 0 to 1; default 0.1 (Ho & Salimans 2022, section 3.2). */
  dropout?: number;
}

/** Levels of noise that training draws: ln σ is normal (paper, table 1). */
export interface LogNormalOptions {
  /** P_mean, the mean of ln σ; default −1.2. */
  meanLogSigma?: number;
  /** P_std, its standard deviation, above 0; default 1.2. */
  stdLogSigma?: number;
}

/** Options of {@link EDMCB}. */
export interface EDMOptions extends LogNormalOptions {
  /** Standard deviation of the images' pixels; default 0.5. */
  sigmaData?: number;
  /** Where the network is told classes, which the batch's second element has; default it is not. */
  conditions?: ClassOptions;
  /** Draws levels, noise and dropped classes of training; default the shared generator. */
  generator?: Generator;
}

/** Seed of the draws in evaluation. */
const EVALUATION_SEED = 0;

/** n levels of noise σ, log-normal; [n]. */
export function logNormalSigmas(
  n: number,
  { meanLogSigma = -1.2, stdLogSigma = 1.2 }: LogNormalOptions = {},
  generator: Generator = defaultGenerator,
): Tensor {
  return tf.tidy(() => {
    const log = tf.add(tf.mul(generator.normal([n]), fixed(stdLogSigma)), fixed(meanLogSigma));
    return tf.exp(log);
  });
}

/**
 * Classes of which each is dropped with a probability: it becomes the number after the last class, which the network's
 * table has a row for.
 * @param labels int32 [N]
 * @returns int32 [N]
 */
export function dropClasses(
  labels: Tensor,
  { classes, dropout = 0.1 }: ClassOptions,
  generator: Generator = defaultGenerator,
): Tensor {
  return tf.tidy(() => {
    const none = constant(`no class of ${classes}`, () => tf.scalar(classes, "int32"));
    return tf.where(tf.less(generator.uniform(labels.shape), fixed(dropout)), none, labels);
  });
}

/** @throws RangeError unless classes and their dropout are numbers that can be. */
export function requireConditions(who: string, { classes, dropout = 0.1 }: ClassOptions): void {
  if (!Number.isInteger(classes) || classes < 1) {
    throw new RangeError(`${who}: classes is a positive whole number, not ${classes}`);
  }
  if (!(dropout >= 0 && dropout <= 1)) {
    throw new RangeError(`${who}: dropout lies in [0, 1], not ${dropout}`);
  }
}

/**
 * Turns a batch of images, and classes where the network is told them, into what EDM trains on: `[[c_in·x, c_noise,
 * classes], F]`, for images x with noise of a random level and what the network should say of them. With the mean
 * squared error as loss, that is the paper's loss with its weight λ(σ) = 1/c_out² (eq. 8). For any learner that trains by
 * itself and a model that takes the list, as {@link PatchUNet} and {@link UNet} do. Every evaluation draws the same from a
 * generator of its own, and drops no class.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { DeviceCB, diffusion } from "../../mod.ts";
 * const cb = new diffusion.EDMCB({ sigmaData: 0.7, conditions: { classes: 10 } });
 * assert(cb.order > new DeviceCB().order);
 * ```
 */
export class EDMCB extends Callback {
  /** With the callbacks that change a batch on the device. */
  override order: number = ORDER.batchTransformCB;
  /** Two would noise twice. */
  override readonly single: boolean = true;
  /** The options as given. */
  readonly options: EDMOptions;
  readonly #evaluation = perFit(() => new Generator(EVALUATION_SEED));

  /**
   * Noises by log-normal levels.
   * @throws RangeError for an option out of its range.
   */
  constructor(options: EDMOptions = {}) {
    super();
    const { meanLogSigma = -1.2, stdLogSigma = 1.2, sigmaData = SIGMA_DATA, conditions } = options;
    if (!Number.isFinite(meanLogSigma)) {
      throw new RangeError(`EDMCB: meanLogSigma is a number, not ${meanLogSigma}`);
    }
    for (const [name, value] of Object.entries({ stdLogSigma, sigmaData })) {
      if (value > 0 && Number.isFinite(value)) continue;
      throw new RangeError(`EDMCB: ${name} is a number above 0, not ${value}`);
    }
    if (conditions) requireConditions("EDMCB", conditions);
    this.options = options;
  }

  /** Begins the draws of evaluation again. */
  override beforeEpoch(learn: Learner): void {
    this.#evaluation(learn).seed = EVALUATION_SEED;
  }

  /**
   * Noises the batch.
   * @throws Error if it is still on the host, or has no classes where the network is told them.
   */
  override beforeBatch(learn: Learner): void {
    const [x0, labels] = learn.batch, { conditions } = this.options;
    if (x0 instanceof HostArray) {
      throw new Error("The batch is still on the host: add DeviceCB to the callbacks");
    }
    if (conditions && !labels) throw new Error("EDMCB: the batch has no classes behind its images");
    const generator = learn.training ? this.options.generator ?? defaultGenerator : this.#evaluation(learn);
    const [inputs, target] = this.noisify(x0, generator);
    if (conditions) inputs.push(learn.training ? dropClasses(labels, conditions, generator) : labels);
    learn.batch = [inputs, target];
  }

  /**
   * Noised images and what the network should say of them.
   * @param x0 images [N,H,W,C]
   * @returns `[[c_in·x, c_noise], F]`
   */
  noisify(x0: Tensor, generator: Generator = defaultGenerator): [[x: Tensor, t: Tensor], target: Tensor] {
    const edm = parametrisation("edm", this.options.sigmaData);
    return tf.tidy(() => {
      const [n] = x0.shape;
      const σ = tf.reshape(logNormalSigmas(n, this.options, generator), [n, 1, 1, 1]);
      const at = { α: 1, σ }, x = mix(x0, generator.normal(x0.shape), at);
      return [edm.input!(x, at), edm.fromSample(x, x0, at)];
    });
  }
}
