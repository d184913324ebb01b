/** Drawing images: one loop over levels, and a function for each sampler's step. */
import {
  branch,
  breathe,
  defaultGenerator,
  type Generator,
  HostArray,
  noGrad,
  type Tensor,
  tensorsIn,
  tf,
} from "../../core/mod.ts";
import type { Denoise } from "./denoiser.ts";
import type { NoiseLevel } from "./parametrisation.ts";
import { dpmSolver } from "./samplers/dpm_solver.ts";

/** What a step knows. */
export interface StepInputs<Memory> {
  /** The images, at the level `at`. */
  x: Tensor;
  /** The level of the images. */
  at: NoiseLevel;
  /** The level to go to. */
  to: NoiseLevel;
  /** The number of the step, from 0. */
  i: number;
  /** How many steps there are. */
  nSteps: number;
  /** x̂₀ of images at a level, clamped where the caller asks for that. */
  denoise: Denoise;
  /** Standard normal noise of the images' shape, new at each call. */
  noise(): Tensor;
  /** What the step before left to remember; undefined in the first. */
  memory?: Memory;
}

/** What a step gives. */
export interface Stepped<Memory> {
  /** The images at the level `to`. */
  x: Tensor;
  /** What the images at the level `at` are expected to be without noise. */
  x̂0: Tensor;
  /** What the next step is to know; its tensors live until that one has ended. */
  memory?: Memory;
}

/**
 * A sampler: a step from images at a level to images at the next. It is run in a `tf.tidy`, without recording. What it
 * remembers goes from step to step through the loop, so that one sampler serves many samplings at once.
 */
// deno-lint-ignore no-explicit-any
export type Sampler = (inputs: StepInputs<any>) => Stepped<unknown>;

/** A step that was taken. */
export interface Walked {
  /** Its number, from 0. */
  i: number;
  /** The level that x has now. */
  level: NoiseLevel;
  /** The images after it. */
  x: Tensor;
  /** What the step expected of the images without noise. */
  x̂0: Tensor;
}

/** Options of {@link walk}. */
export interface WalkOptions {
  /** The levels to go through, n + 1 of n steps, as {@link levels} gives them. */
  levels: readonly NoiseLevel[];
  /** Default {@link dpmSolver}. */
  sampler?: Sampler;
  /** Draws the noise; default the shared generator. */
  generator?: Generator;
  /** The noise of the i-th draw, from 0, in place of drawn one. */
  noise?: (i: number) => Tensor;
  /** Range that x̂₀ is clamped to; default none. */
  clip?: readonly [low: number, high: number];
  /** Ends the walk before its next step, with the signal's reason as error. */
  signal?: AbortSignal;
}

/** Options of {@link sample}. */
export interface DiffusionSampleOptions extends WalkOptions {
  /** Where to begin, at the first level and of the size asked for; default noise. It stays the caller's. */
  xT?: Tensor;
  /** Called after each step; its tensors are freed after the next. */
  onStep?: (step: Walked) => void | Promise<void>;
}

/** @throws RangeError unless images can be walked along them. */
function requireLevels(levels: readonly NoiseLevel[]): void {
  if (levels.length < 2) throw new RangeError(`walk: there are at least 2 levels, not ${levels.length}`);
  for (const [i, { α, σ, t }] of levels.entries()) {
    const show = `α ${α}, σ ${σ}, t ${t}`;
    if (!(α >= 0 && σ >= 0 && α + σ > 0 && [α, σ, t].every(Number.isFinite))) {
      throw new RangeError(`walk: level ${i} is of finite α and σ of at least 0, not both 0: ${show}`);
    }
    if (σ === 0 && i < levels.length - 1) {
      throw new RangeError(`walk: only the last level is without noise, not level ${i}: ${show}`);
    }
    if (i > 0 && !(σ / α < levels[i - 1].σ / levels[i - 1].α)) {
      throw new RangeError(`walk: σ/α falls from level to level, but not to level ${i}: ${show}`);
    }
  }
}

/** Clamps x̂₀, and not what comes in channels behind it. */
function clamped(denoise: Denoise, [low, high]: readonly [number, number]): Denoise {
  if (!(low < high)) throw new RangeError(`walk: clip is a range [low, high], not [${low}, ${high}]`);
  return (x, at) =>
    tf.tidy(() => {
      const said = denoise(x, at), channels = x.shape.at(-1)!;
      if (said.shape.at(-1) === channels) return tf.clipByValue(said, low, high);
      const [x̂0, behind] = tf.split(said, [channels, said.shape.at(-1)! - channels], -1);
      return tf.concat([tf.clipByValue(x̂0, low, high), behind], -1);
    });
}

/**
 * Takes images through levels of noise, a step each time that the next is asked for.
 * The tensors that it yields are freed when the next step has been taken, or the walk ends; however it ends, nothing is
 * left.
 * @param x the images at the first level, [N,H,W,C]; they stay the caller's
 * @throws RangeError for levels that are none, or if what a step gives has another shape; the signal's reason.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { diffusion, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const denoise: diffusion.Denoise = (x) => tf.zerosLike(x);
 * const levels = diffusion.levels(diffusion.ve(), 3, { spacing: "karras" });
 * const σ: number[] = [];
 * for await (const step of diffusion.walk(denoise, tf.ones([1, 2, 2, 1]), { levels })) σ.push(step.level.σ);
 * assertEquals(σ, levels.slice(1).map((level) => level.σ));
 * ```
 */
export async function* walk(denoise: Denoise, x: Tensor, options: WalkOptions): AsyncGenerator<Walked, void> {
  const { levels, clip, signal } = options;
  const sampler: Sampler = options.sampler ?? dpmSolver();
  requireLevels(levels);
  const [generator, giveBack] = branch(options.generator ?? defaultGenerator);
  const shape = x.shape, nSteps = levels.length - 1;
  let drawn = 0;
  // A stream for each draw, in which an image's noise has its place: the others do not change it.
  const { noise = () => generator.fork().normal(shape) } = options;
  const inputs = { nSteps, denoise: clip ? clamped(denoise, clip) : denoise, noise: () => noise(drawn++) };
  let now: Stepped<unknown> = { x: tf.clone(x), x̂0: x };
  const release = (next: unknown) => {
    const kept = new Set([x, ...tensorsIn(next)]);
    for (const tensor of tensorsIn(now)) if (!kept.has(tensor)) tensor.dispose();
  };
  try {
    for (let i = 0; i < nSteps; i++) {
      signal?.throwIfAborted();
      const step = { ...inputs, x: now.x, memory: now.memory, at: levels[i], to: levels[i + 1], i };
      const next = noGrad(() => tf.tidy(() => sampler(step) as never)) as Stepped<unknown>;
      release(next);
      now = next;
      if (String(now.x.shape) !== String(shape)) {
        throw new RangeError(`walk: a step gives the shape [${now.x.shape}] for images of [${shape}]`);
      }
      yield { i, level: levels[i + 1], x: now.x, x̂0: now.x̂0 };
      await breathe();
    }
  } finally {
    release([]);
    giveBack();
  }
}

/**
 * Draws images by a denoiser. An image depends on where the generator stands when this is called and on its index alone, not
 * on how many are drawn, nor on what draws from the generator beside this.
 * @param denoise x̂₀ of noisy images, as {@link denoiser} makes it of a network
 * @param size [N,H,W,C]
 * @returns the images at the last level, on the host
 * @throws RangeError if the size has no images, `xT` has another, or as {@link walk}; Error if the images are not finite.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, pretrained, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const { model, schedule, size } = await pretrained();
 * const images = await diffusion.sample(diffusion.denoiser(model), [2, size, size, 1], {
 *   levels: diffusion.levels(diffusion.vp(schedule), 4),
 *   sampler: diffusion.heun(),
 *   clip: [0, 1],
 * });
 * assert(images.shape.join() === "2,32,32,1");
 * ```
 */
export async function sample(
  denoise: Denoise,
  size: readonly [number, number, number, number],
  options: DiffusionSampleOptions,
): Promise<HostArray> {
  const { levels, xT, onStep } = options;
  if (size.length !== 4 || !size.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new RangeError(`sample: size is [N,H,W,C], each a whole number of at least 1, not [${size}]`);
  }
  if (xT && String(xT.shape) !== String(size)) {
    throw new RangeError(`sample: xT has the shape [${xT.shape}], not [${size}] as asked`);
  }
  requireLevels(levels);
  const [generator, giveBack] = branch(options.generator ?? defaultGenerator);
  const x = xT ?? tf.tidy(() => tf.mul(generator.fork().normal([...size]), levels[0].σ));
  let images: HostArray | undefined;
  try {
    for await (const step of walk(denoise, x, { ...options, generator })) {
      await onStep?.(step);
      if (step.i === levels.length - 2) images = await HostArray.from(step.x);
    }
  } finally {
    if (!xT) x.dispose();
    giveBack();
  }
  return finite(images!);
}

/** @throws Error if a number is NaN or infinite. */
function finite(x: HostArray): HostArray {
  if (x.data.every(Number.isFinite)) return x;
  throw new Error("sample: the images are not finite; the model has diverged, or its input was not finite");
}
