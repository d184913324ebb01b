/** Processes that turn images into noise: each is a level of noise at each time. */
import { constant, type Tensor, tf } from "../../core/mod.ts";
import type { Schedule } from "../ddpm/mod.ts";
import type { Denoise } from "./denoiser.ts";
import { fixed, type Mix, type NoiseLevel } from "./parametrisation.ts";

/** Levels of a batch in training. */
export interface BatchLevel extends Mix {
  /** Share of the image, [N,1,1,1]. */
  readonly α: Tensor;
  /** Standard deviation of the noise, [N,1,1,1]. */
  readonly σ: Tensor;
  /** What the network is told, [N]. */
  readonly t: Tensor;
}

/** A way from images to noise. Noise grows with time; at time 0, or a step before it, there is none. */
export interface Process {
  /** How many steps it has, whose times are 0 to this less 1; undefined for one of every time. */
  readonly steps?: number;
  /** The times between which a network is trained: of the least noise, and of the most. */
  readonly times: readonly [least: number, most: number];
  /**
   * The level at a time.
   * @throws RangeError for a time that the process has not.
   */
  at(time: number): NoiseLevel;
  /**
   * The time at which σ/α is this: the other way round.
   * @throws RangeError for a ratio that the process never has.
   */
  timeOf(ratio: number): number;
  /** The levels of images at times [N], made on the device for training. Whole steps, int32, of a process that has them. */
  batch(times: Tensor): BatchLevel;
}

/** The level of a process at which σ/α is this. */
export function levelOf(process: Process, ratio: number): NoiseLevel {
  return process.at(process.timeOf(ratio));
}

/** A number for each image, so that it broadcasts over images. */
const column = (x: Tensor): Tensor => tf.reshape(x, [-1, 1, 1, 1]);

/** @throws RangeError unless a time is one of a process. */
function requireTime(name: string, time: number, low: number, high: number): void {
  if (time >= low && time <= high) return;
  throw new RangeError(`${name}: a time lies between ${low} and ${high}, not ${time}`);
}

/** @throws RangeError unless a process has such a share of noise. */
function requireRatio(name: string, ratio: number, low: number, high: number): void {
  if (ratio >= low && ratio <= high) return;
  throw new RangeError(`${name}: σ/α lies between ${low} and ${high}, not ${ratio}`);
}

/** Share by which a σ/α may miss a schedule's least or most, where it was computed from it. */
const ROUNDING = 1e-9;

/**
 * The process of a schedule, which preserves variance (VP): α = √ᾱ and σ = √(1−ᾱ) at its steps (Ho et al. 2020, eq. 4);
 * between two steps log(σ/α) and what the network is told go straight from one to the other.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule } from "../../mod.ts";
 * const process = diffusion.vp(linearSchedule());
 * const { α, σ, t } = process.at(500.5);
 * assert(t === 500.5 && Math.abs(α * α + σ * σ - 1) < 1e-12);
 * assert(Math.abs(process.timeOf(σ / α) - 500.5) < 1e-9);
 * ```
 */
export function vp(schedule: Schedule): Process {
  const { nSteps, ᾱ, timesteps } = schedule;
  const ratios = ᾱ.map((share, t) => schedule.α[t] === 0 ? Infinity : Math.sqrt((1 - share) / share));
  const logs = ratios.map(Math.log), last = nSteps - 1;
  const at = (time: number): NoiseLevel => {
    requireTime("vp", time, 0, last);
    const i = Math.floor(time), part = time - i;
    const along = (of: ArrayLike<number>) => part === 0 ? of[i] : of[i] + part * (of[i + 1] - of[i]);
    const ratio = part === 0 ? ratios[i] : Math.exp(along(logs)), t = along(timesteps);
    if (ratio === Infinity) return { α: 0, σ: 1, t };
    return { α: 1 / Math.hypot(1, ratio), σ: ratio / Math.hypot(1, ratio), t };
  };
  return {
    steps: nSteps,
    times: [0, last],
    at,
    timeOf(ratio) {
      requireRatio("vp", ratio, ratios[0] * (1 - ROUNDING), ratios[last] * (1 + ROUNDING));
      const above = ratios.findIndex((r) => r >= ratio);
      if (above <= 0) return above < 0 ? last : 0;
      const [low, high] = [logs[above - 1], logs[above]];
      if (high === Infinity) return above;
      return above - (high - Math.log(ratio)) / (high - low);
    },
    batch(times) {
      const table = (name: string, of: (t: number) => number) =>
        tf.gather(
          constant(name, () => tf.tensor1d(Float32Array.from({ length: nSteps }, (_, t) => of(t))), schedule),
          times,
        );
      return tf.tidy(() => ({
        α: column(table("alpha", (t) => at(t).α)),
        σ: column(table("sigma", (t) => at(t).σ)),
        t: table("told", (t) => timesteps[t]),
      }));
    },
  };
}

/** Options of {@link ve}. */
export interface VeOptions {
  /** Least σ that a network is trained with, over 0; default 0.002. */
  sigmaMin?: number;
  /** Largest σ that a network is trained with; default 80. */
  sigmaMax?: number;
}

/**
 * The process whose variance grows (VE): x = x₀ + σ·ε, its time being σ (Karras et al. 2022, section 3).
 * @throws RangeError unless 0 < sigmaMin < sigmaMax.
 */
export function ve({ sigmaMin = 0.002, sigmaMax = 80 }: VeOptions = {}): Process {
  if (!(sigmaMin > 0 && sigmaMin < sigmaMax && sigmaMax < Infinity)) {
    throw new RangeError(`ve: 0 < sigmaMin < sigmaMax, not ${sigmaMin} and ${sigmaMax}`);
  }
  return {
    times: [sigmaMin, sigmaMax],
    at(σ) {
      requireTime("ve", σ, 0, Number.MAX_VALUE);
      return { α: 1, σ, t: σ };
    },
    timeOf(ratio) {
      requireRatio("ve", ratio, 0, Number.MAX_VALUE);
      return ratio;
    },
    batch: (σ) => tf.tidy(() => ({ α: tf.onesLike(column(σ)), σ: column(σ), t: tf.clone(σ) })),
  };
}

/** Options of {@link flow} and {@link cosine}. */
export interface TimeOptions {
  /** The network is told the time times this; default 1000, as of a schedule of so many steps. */
  timeScale?: number;
}

/** @throws RangeError unless it is a number over 0. */
function requireTimeScale(name: string, timeScale: number): void {
  if (timeScale > 0 && timeScale < Infinity) return;
  throw new RangeError(`${name}: timeScale is a number over 0, not ${timeScale}`);
}

/** Least time of a process from 0 to 1 that a network is sampled at, as Diffusers has it. */
const LEAST_TIME = 1e-3;

/**
 * The straight path from images to noise (rectified flow): α = 1 − t, σ = t (Liu et al. 2022, eq. 1; Lipman et al.
 * 2022, section 4.1), the time t from 0 to 1.
 * @throws RangeError if timeScale is not over 0.
 */
export function flow({ timeScale = 1000 }: TimeOptions = {}): Process {
  requireTimeScale("flow", timeScale);
  return {
    times: [LEAST_TIME, 1],
    at(time) {
      requireTime("flow", time, 0, 1);
      return { α: 1 - time, σ: time, t: timeScale * time };
    },
    timeOf(ratio) {
      requireRatio("flow", ratio, 0, Infinity);
      return ratio === Infinity ? 1 : ratio / (1 + ratio);
    },
    batch: (times) =>
      tf.tidy(() => ({
        α: tf.sub(fixed(1), column(times)),
        σ: column(times),
        t: tf.mul(times, fixed(timeScale)),
      })),
  };
}

/** Most of the time of {@link cosine}: a little of the image is left, without which ε says nothing of it. */
const MOST_COSINE_TIME = 0.999;

/**
 * The continuous cosine process: ᾱ(t) = cos²(πt/2), so that α and σ go around a quarter of a circle as t goes from 0 to
 * 1 (Nichol & Dhariwal 2021, section 3.2; miniai notebook 22).
 * @throws RangeError if timeScale is not over 0.
 */
export function cosine({ timeScale = 1000 }: TimeOptions = {}): Process {
  requireTimeScale("cosine", timeScale);
  return {
    times: [LEAST_TIME, MOST_COSINE_TIME],
    at(time) {
      requireTime("cosine", time, 0, 1);
      const α = time === 1 ? 0 : Math.cos(Math.PI / 2 * time);
      return { α, σ: Math.sin(Math.PI / 2 * time), t: timeScale * time };
    },
    timeOf(ratio) {
      requireRatio("cosine", ratio, 0, Infinity);
      return 2 / Math.PI * Math.atan(ratio);
    },
    batch: (times) =>
      tf.tidy(() => {
        const angle = tf.mul(column(times), fixed(Math.PI / 2));
        return { α: tf.cos(angle), σ: tf.sin(angle), t: tf.mul(times, fixed(timeScale)) };
      }),
  };
}

/**
 * A denoiser that takes images at the levels of any process: each is scaled to the level of its own process at which
 * σ/α is the same, where the image and its noise are the same. So a network trained on one process is sampled on
 * another.
 * @param process of the network
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { diffusion, linearSchedule, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const own: diffusion.NoiseLevel[] = [];
 * const denoise: diffusion.Denoise = (x, at) => (own.push(at), tf.clone(x));
 * const process = diffusion.vp(linearSchedule());
 * diffusion.rescaled(denoise, process)(tf.zeros([1, 2, 2, 1]), { α: 1, σ: 5, t: 5 });
 * assert(Math.abs(own[0].σ / own[0].α - 5) < 1e-9 && own[0].t > 500);
 * ```
 */
export function rescaled(denoise: Denoise, process: Process): Denoise {
  return (x, at) =>
    tf.tidy(() => {
      const own = levelOf(process, at.σ / at.α);
      return denoise(tf.mul(x, own.σ / at.σ), own);
    });
}
