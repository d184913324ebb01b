/** Drawing images: one loop, and a function for each sampler's step. */
import {
  branch,
  breathe,
  defaultGenerator,
  type Generator,
  HostArray,
  type Module,
  noGrad,
  type Tensor,
  tf,
  withMode,
} from "../../core/mod.ts";
import type { Schedule } from "./schedule.ts";

/** A model of noise: called with xₜ and t, it gives ε, bare or as `{ sample }`. */
// deno-lint-ignore no-explicit-any
export type NoiseModel = Module<[Tensor, any], any>;

/** What a step knows. */
export interface StepInputs {
  /** The images xₜ, [N,H,W,C]. */
  x: Tensor;
  /** The number of the step, from nSteps − 1 down to 0. */
  t: number;
  /** Whose steps are taken. */
  schedule: Schedule;
  /** The noise ε that the model sees in images at a step of the schedule. */
  predict(x: Tensor, t: number): Tensor;
  /** Standard normal noise of the images' shape, new at each call. */
  noise(): Tensor;
  /** Clamps an estimate of x₀. */
  clip(x: Tensor): Tensor;
}

/** A step of a sampler: from xₜ to xₜ₋₁. It is run in a `tf.tidy`, without recording, the model in evaluation mode. */
export type SampleStep = (inputs: StepInputs) => Tensor;

/** Options of {@link sample}. */
export interface SampleOptions {
  /** The steps to take. */
  schedule: Schedule;
  /** The sampler; default {@link ddpmStep}. */
  step?: SampleStep;
  /** Draws the noise; default the shared generator. */
  generator?: Generator;
  /** Where to begin, of the size asked for; default noise. It stays the caller's. */
  xT?: Tensor;
  /** The noise that step t asks for, of the images' shape, in place of drawn one; a tensor that it makes is freed. */
  noise?: (t: number) => Tensor;
  /** Which xₜ₋₁ to return, by the t of the step that makes them; default every one. */
  keep?: (t: number) => boolean;
  /** Range that x̂₀ is clamped to, low ≤ high; default [−1, 1]. */
  clip?: [low: number, high: number];
  /** Called after each step with the images it made, which are freed after the next. */
  onStep?: (t: number, x: Tensor) => void | Promise<void>;
  /** Ends the sampling before its next step when it is aborted, with its reason as the error. */
  signal?: AbortSignal;
}

/** Ancestral sampling (paper, algorithm 2, in the form of eq. 7 with x̂₀ clamped; lesson notebook 15). */
export function ddpmStep({ x, t, schedule: { β, α, ᾱ, σ }, predict, noise, clip }: StepInputs): Tensor {
  const ᾱ_prev = t > 0 ? ᾱ[t - 1] : 1;
  const ε = predict(x, t);
  const x̂0 = clip(tf.div(tf.sub(x, tf.mul(ε, Math.sqrt(1 - ᾱ[t]))), Math.sqrt(ᾱ[t])));
  const μ = tf.add(
    tf.mul(x̂0, Math.sqrt(ᾱ_prev) * β[t] / (1 - ᾱ[t])),
    tf.mul(x, Math.sqrt(α[t]) * (1 - ᾱ_prev) / (1 - ᾱ[t])),
  );
  return t > 0 ? tf.add(μ, tf.mul(noise(), σ[t])) : μ;
}

/**
 * Draws images with a model of noise. The model is put in evaluation mode for each step alone, so that it may be trained
 * or sampled beside this; a fit changes the weights between the steps.
 * An image depends on where the generator stands when this is called and on its index alone, not on how many are drawn,
 * nor on what draws from the generator beside this.
 * @param size [N,H,W,C]
 * @throws RangeError if the size has no images, or `xT`, the model's output or what a step gives has another shape. Error
 *   if a step gives no tensor, or kept images are not finite; the signal's reason if it is aborted.
 * @returns the kept images on the host, in the order they were made; the last one is x₀
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearSchedule, sample, UNet2DModel, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const model = new UNet2DModel({
 *   in_channels: 1,
 *   out_channels: 1,
 *   block_out_channels: [8, 8],
 *   down_block_types: ["DownBlock2D", "DownBlock2D"],
 *   up_block_types: ["UpBlock2D", "UpBlock2D"],
 *   norm_num_groups: 4,
 * });
 * const steps = await sample(model, [2, 8, 8, 1], { schedule: linearSchedule({ nSteps: 5 }) });
 * assert(steps.length === 5);
 * ```
 */
export async function sample(
  model: NoiseModel,
  size: [number, number, number, number],
  options: SampleOptions,
): Promise<HostArray[]> {
  const { schedule, step = ddpmStep, generator = defaultGenerator, xT, keep = () => true } = options;
  options.signal?.throwIfAborted();
  if (size.length !== 4 || !size.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new RangeError(`sample: size is [N,H,W,C], each a whole number of at least 1, not [${size}]`);
  }
  const { noise = () => draw(), clip: [low, high] = [-1, 1], onStep } = options;
  const requireSize = (what: string, x: Tensor) => {
    if (String(x.shape) === String(size)) return;
    throw new RangeError(`sample: ${what} has the shape [${x.shape}], not [${size}] as asked`);
  };
  if (xT) requireSize("xT", xT);
  const predict = (x: Tensor, t: number): Tensor => {
    const output = model.call(x, schedule.timesteps[t]);
    const ε: Tensor = output.sample ?? output;
    if (String(ε.shape) !== String(x.shape)) {
      throw new RangeError(`sample: the model gives noise of shape [${ε.shape}] for images of [${x.shape}]`);
    }
    return ε;
  };
  const clip = (x: Tensor) => tf.clipByValue(x, low, high);
  const kept: HostArray[] = [];
  const [own, giveBack] = branch(generator);
  // A stream for each draw, in which an image's noise has its place: the others do not change it.
  const draw = () => own.fork().normal(size);
  let x = tf.keep(noGrad(() => xT ? tf.clone(xT) : draw()));
  try {
    for (let t = schedule.nSteps - 1; t >= 0; t--) {
      options.signal?.throwIfAborted();
      const inputs = { x, t, schedule, predict, clip, noise: () => noise(t) };
      const next = withMode(model, false, () => noGrad(() => tf.tidy(() => requireTensor(step(inputs)))));
      if (next !== x) x.dispose();
      x = tf.keep(next);
      requireSize("what a step gives", x);
      if (keep(t)) kept.push(finite(await HostArray.from(x), t));
      await onStep?.(t, x);
      await breathe();
    }
  } finally {
    x.dispose();
    giveBack();
  }
  return kept;
}

/** @throws Error unless a step gave a tensor. */
function requireTensor(x: Tensor): Tensor {
  if (x instanceof tf.Tensor) return x;
  throw new Error(`sample: a step gives a tensor, at once, not ${x}`);
}

/** @throws Error if a number is NaN or infinite. */
function finite(x: HostArray, t: number): HostArray {
  if (x.data.every(Number.isFinite)) return x;
  throw new Error(
    `sample: the images of step ${t} are not finite; the model has diverged, or its input was not finite`,
  );
}
