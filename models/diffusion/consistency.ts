/**
 * Consistency tuning (ECT; Geng et al. 2024, "Consistency Models Made Easy"): a network that was trained as EDM's learns to
 * go from any level of noise to the image at once. It begins with its own weights and has no teacher.
 */
import * as v from "npm:valibot@1.5.0";
import {
  Callback,
  callModel,
  COUNT,
  defaultGenerator,
  type Generator,
  type Json,
  type Learner,
  type LossFunc,
  noGrad,
  perFit,
  requireSchema,
  type Tensor,
  tf,
} from "../../core/mod.ts";
import { BatchDraws, ORDER } from "../../callbacks/mod.ts";
import { type ClassOptions, dropClasses, imagesAndClasses, requireConditions } from "./classes.ts";
import { type LogNormalOptions, logNormalSigmas } from "./edm.ts";
import {
  fixed,
  mix,
  type NoiseLevel,
  parametrisation,
  preconditioning,
  SIGMA_DATA,
} from "./parametrisation.ts";
import type { Sampler } from "./sampling.ts";

/** How the second level r of a pair comes nearer to the first, t: r = t·(1 − n(t)/qᵃ), n(t) = 1 + k·sigmoid(−b·t). */
export interface PairSchedule {
  /** What the distance is divided by at each stage, over 1; default 2. */
  q?: number;
  /** How much larger the distance is where there is little noise, at least 0; default 8. */
  k?: number;
  /** How fast that ends as the noise grows, over 0; default 1. */
  b?: number;
}

/** Options of {@link ConsistencyCB}. Levels t are log-normal; the paper has a mean of −1.1 and a standard deviation of 2. */
export interface ConsistencyOptions extends LogNormalOptions, PairSchedule {
  /** Training batches in a stage: after each stage the two levels of a pair are nearer; a positive whole number. */
  stageBatches: number;
  /** Standard deviation of the images' pixels; default 0.5. */
  sigmaData?: number;
  /** Where the network is told classes, which the batch's second element has; default it is not. */
  conditions?: ClassOptions;
  /** Draws levels, noise and dropped classes of training, as {@link DiffusionOptions}' does; default the shared generator. */
  generator?: Generator;
}

/** What a checkpoint holds; of before, the first number alone. */
const STATE = v.union([
  v.strictObject({ batches: COUNT, generator: v.custom<Json>((value) => value !== undefined, "a state") }),
  v.pipe(COUNT, v.transform((batches) => ({ batches, generator: null as Json }))),
]);

/** The least σ of a pair, where the estimate of the image is the image. */
const LEAST_SIGMA = 1e-4;

/** Song & Dhariwal's (2023) share of an image's √(numbers) in which distances are counted as squares. */
const HUBER_SHARE = 0.00054;

/**
 * The second levels r of pairs at a stage (paper, section 3.4), not below 1e-4: there the network's estimate is the image
 * itself, so that the first stage is near to training a diffusion model.
 * @param t first levels, [n]
 * @param stage a whole number of at least 0
 * @returns [n]
 */
export function pairedSigmas(t: Tensor, stage: number, { q = 2, k = 8, b = 1 }: PairSchedule = {}): Tensor {
  return tf.tidy(() => {
    const n = tf.add(tf.mul(tf.sigmoid(tf.mul(t, fixed(-b))), fixed(k)), fixed(1));
    const share = tf.sub(fixed(1), tf.mul(n, fixed(q ** -(stage + 1))));
    return tf.maximum(tf.mul(t, share), fixed(LEAST_SIGMA));
  });
}

/**
 * The loss of {@link ConsistencyCB}'s batches, for a learner: the mean over images of (√(‖D − D'‖² + c²) − c)/(t − r), a
 * pseudo-Huber distance of the two estimates of the image (paper, section 3.3).
 * @param c below this, distances count as squares; above 0; default 0.00054·√(numbers of an image) (Song & Dhariwal 2023)
 * @throws RangeError for another c.
 */
export function consistencyLoss(c?: number): LossFunc {
  if (c !== undefined && !(c > 0 && Number.isFinite(c))) {
    throw new RangeError(`consistencyLoss: c is a number above 0, not ${c}`);
  }
  return (F: Tensor, target: Tensor, out: Tensor, weight: Tensor): Tensor => {
    const axes = F.shape.map((_, axis) => axis).slice(1);
    const huber = c ?? HUBER_SHARE * Math.sqrt(F.size / F.shape[0]);
    const squares = tf.sum(tf.square(tf.mul(tf.sub(F, target), out)), axes);
    const distances = tf.sub(tf.sqrt(tf.add(squares, fixed(huber * huber))), fixed(huber));
    return tf.mean(tf.mul(distances, weight));
  };
}

/**
 * Turns a batch of images, and classes where the network is told them, into what consistency tuning trains on: images
 * with much noise, and what the network as it is says of the same images with less of the same noise (no gradient flows
 * there). It gives `[[c_in·x, c_noise, classes], F, c_out, 1/(t − r)]` for {@link consistencyLoss}, and the model takes
 * the list, as {@link PatchUNet} and {@link UNet} do. Every evaluation draws the same from a generator of its own; its
 * losses compare within a stage.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion } from "../../mod.ts";
 * const cb = new diffusion.ConsistencyCB({ stageBatches: 1000, sigmaData: 0.7 });
 * assert(cb.options.sigmaData === 0.7);
 * ```
 */
export class ConsistencyCB extends Callback {
  /** With the callbacks that change a batch on the device. */
  override order: number = ORDER.batchTransformCB;
  /** Two would noise twice. */
  override readonly once: readonly string[] = ["noises the batch"];
  /** The options as given. */
  readonly options: ConsistencyOptions;
  readonly #draws: BatchDraws;
  readonly #fit = perFit(() => ({ batches: 0 }));

  /**
   * Pairs levels of noise.
   * @throws RangeError for an option out of its range.
   */
  constructor(options: ConsistencyOptions) {
    super();
    const { stageBatches, q = 2, k = 8, b = 1, conditions } = options;
    const { meanLogSigma = -1.1, stdLogSigma = 2, sigmaData = SIGMA_DATA } = options;
    const requireOption = (name: string, value: number, fits: boolean, right: string) => {
      if (!fits) throw new RangeError(`ConsistencyCB: ${name} is ${right}, not ${value}`);
    };
    const whole = Number.isInteger(stageBatches) && stageBatches >= 1;
    requireOption("stageBatches", stageBatches, whole, "a positive whole number");
    requireOption("meanLogSigma", meanLogSigma, Number.isFinite(meanLogSigma), "a number");
    for (const [name, value] of Object.entries({ stdLogSigma, sigmaData, b })) {
      requireOption(name, value, value > 0 && Number.isFinite(value), "a number above 0");
    }
    requireOption("q", q, q > 1 && Number.isFinite(q), "a number above 1");
    requireOption("k", k, k >= 0 && Number.isFinite(k), "a number of at least 0");
    if (conditions) requireConditions("ConsistencyCB", conditions);
    this.options = { ...options, meanLogSigma, stdLogSigma, sigmaData };
    this.#draws = new BatchDraws(options.generator);
  }

  /** The stage of a fit that is running, from 0. */
  stageOf(learn: Learner): number {
    return Math.floor(this.#fit(learn).batches / this.options.stageBatches);
  }

  /** Begins the draws of evaluation again. */
  override beforeEpoch(learn: Learner): void {
    this.#draws.beginEpoch(learn);
  }

  /** The generator that it was given goes on where the fit's draws end. */
  override cleanupFit(learn: Learner): void {
    this.#draws.endFit(learn);
  }

  /**
   * Makes pairs of the batch.
   * @throws Error if it is still on the host, or has no classes where the network is told them.
   */
  override beforeBatch(learn: Learner): void {
    const { conditions } = this.options;
    const [x0, labels] = imagesAndClasses("ConsistencyCB", learn.batch, !!conditions);
    const generator = this.#draws.of(learn);
    const told = conditions && [learn.training ? dropClasses(labels, conditions, generator) : labels];
    const predict = (x: Tensor, t: Tensor) => callModel(learn.model, [[x, t, ...told ?? []]]);
    const [inputs, ...rest] = this.pair(x0, this.stageOf(learn), predict, generator);
    learn.batch = [[...inputs, ...told ?? []], ...rest];
  }

  /**
   * Pairs of images with more and with less of the same noise.
   * @param x0 images [N,H,W,C]
   * @param stage a whole number of at least 0
   * @param predict what the network says of c_in·x and c_noise; its work is not recorded
   * @returns `[[c_in·x, c_noise], F, c_out, 1/(t − r)]`: the network's input, what it should say, [N,1,1,1], [N]
   */
  pair(
    x0: Tensor,
    stage: number,
    predict: (x: Tensor, t: Tensor) => Tensor,
    generator: Generator = defaultGenerator,
  ): [[x: Tensor, t: Tensor], target: Tensor, out: Tensor, weight: Tensor] {
    const { sigmaData } = this.options, edm = parametrisation("edm", sigmaData);
    return tf.tidy(() => {
      const t = logNormalSigmas(x0.shape[0], this.options, generator);
      const r = pairedSigmas(t, stage, this.options), ε = generator.normal(x0.shape);
      const level = (σ: Tensor) => ({ α: 1, σ: tf.reshape(σ, [-1, 1, 1, 1]) });
      const [more, less] = [level(t), level(r)];
      const [xt, xr] = [more, less].map(({ σ }) => tf.add(x0, tf.mul(ε, σ)) as Tensor); // x₀ is sent to a GPU once
      const estimate = noGrad(() => edm.toSample(xr, predict(...edm.input!(xr, less)), less));
      const { out } = preconditioning(more.σ, sigmaData);
      return [edm.input!(xt, more), edm.fromSample(xt, estimate, more), out, tf.div(fixed(1), tf.sub(t, r))];
    });
  }

  /** Counts the batches, by which stages end. */
  override afterBatch(learn: Learner): void {
    if (learn.training) this.#fit(learn).batches++;
  }

  /** The batches of the fit, and where the generator stands, if it was given one; a checkpoint has the shared one's. */
  override state(learn: Learner): Json {
    return { batches: this.#fit(learn).batches, generator: this.#draws.state(learn) };
  }

  /** Goes on in its stage; checkpoints of before have the batches alone. */
  override loadState(state: Json, learn: Learner): void {
    const { batches, generator } = requireSchema(STATE, state, "ConsistencyCB's state");
    this.#fit(learn).batches = batches;
    this.#draws.loadState(generator, learn);
  }
}

/**
 * The sampler of a consistency model (Song et al. 2023, algorithm 1): the estimate of the image, with new noise of the
 * next level.
 */
export function consistency(): Sampler {
  return ({ x, at, to, denoise, noise }) => {
    const x̂0 = denoise(x, at);
    return { x: to.σ > 0 ? mix(x̂0, noise(), to) : tf.mul(x̂0, to.α), x̂0 };
  };
}

/** Between these σ the levels after the first lie, evenly in log σ; the middle one is the paper's for two steps. */
const SECOND_SIGMAS = { most: 12, least: 0.1 };

/**
 * The levels at which a consistency model is asked: the first of much noise, then evenly in log σ from 12 to 0.1, then
 * the image. With two steps the second is at σ 1.1, the paper's 0.821 for the standard deviation of its images
 * (section 4).
 * @param n evaluations, a whole number of at least 1
 * @param sigmaMax σ of the first level, above 12; default 80
 * @returns n + 1 levels for {@link sample}
 * @throws RangeError for another n or sigmaMax.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion } from "../../mod.ts";
 * const levels = diffusion.consistencyLevels(2, 40);
 * assertEquals(levels.map(({ σ }) => Number(σ.toFixed(2))), [40, 1.1, 0]);
 * ```
 */
export function consistencyLevels(n: number, sigmaMax = 80): NoiseLevel[] {
  const { most, least } = SECOND_SIGMAS;
  if (!Number.isInteger(n) || n < 1) {
    throw new RangeError(`consistencyLevels: n is a whole number of at least 1, not ${n}`);
  }
  if (!(sigmaMax > most && Number.isFinite(sigmaMax))) {
    throw new RangeError(`consistencyLevels: sigmaMax is a number above ${most}, not ${sigmaMax}`);
  }
  const later = Array.from({ length: n - 1 }, (_, i) => most * (least / most) ** ((i + 1) / n));
  return [sigmaMax, ...later, 0].map((σ) => ({ α: 1, σ, t: σ }));
}
