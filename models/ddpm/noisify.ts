/** Noising images: the forward process. */
import { defaultGenerator, type Generator, type Tensor, tf } from "../../core/mod.ts";
import type { Schedule } from "./schedule.ts";

/** What {@link noisify} gives: the model's input and its target. */
export type Noised = [[xt: Tensor, t: Tensor], ε: Tensor];

/** Noise and steps to use in place of drawn ones. */
export interface NoiseDraw {
  /** A step for each image, 0…T−1; default drawn. */
  t?: Int32Array;
  /** Standard normal noise of x0's shape; default drawn. */
  noise?: Tensor;
  /** Draws what is not given; default the shared generator. */
  generator?: Generator;
}

/** What a schedule has on the device. */
interface Tables {
  backend: string;
  ᾱ: Float64Array;
  timesteps: Int32Array | undefined;
  /** √ᾱ, √(1−ᾱ) and, unless they are the numbers of the steps, the timesteps; each [T]. */
  tensors: Tensor[];
}

/** Schedules whose tables stay on the device. */
const MAX_TABLES = 4;
const kept: Tables[] = [];

const equal = (a: ArrayLike<number> | undefined, b: ArrayLike<number> | undefined): boolean =>
  a?.length === b?.length && (a === undefined || Array.prototype.every.call(a, (v, i) => v === b![i]));

/** √ᾱ and √(1−ᾱ) of each step, and the model's timesteps if they are given. */
function makeTables(ᾱ: ArrayLike<number>, timesteps: Int32Array | undefined): Tensor[] {
  const tensors: Tensor[] = [
    tf.tensor1d(Float32Array.from(ᾱ, Math.sqrt)),
    tf.tensor1d(Float32Array.from(ᾱ, (a) => Math.sqrt(1 - a))),
  ];
  if (timesteps) tensors.push(tf.tensor1d(timesteps, "int32"));
  return tensors.map((x) => tf.keep(x));
}

/** @throws RangeError unless each is a share. */
function requireShares(ᾱ: ArrayLike<number>): void {
  const wrong = Array.from(ᾱ).find((share) => !(share >= 0 && share <= 1));
  if (wrong !== undefined) throw new RangeError(`noisify: each ᾱ lies in [0, 1], not ${wrong}`);
}

/** The tables of a schedule with these numbers: those of a few schedules used last are kept. */
function tablesOf(ᾱ: ArrayLike<number>, timesteps: Int32Array | undefined): Tensor[] {
  const backend = tf.getBackend();
  const same = (k: Tables) => k.backend === backend && equal(k.ᾱ, ᾱ) && equal(k.timesteps, timesteps);
  const place = kept.findIndex(same);
  if (place < 0) requireShares(ᾱ);
  const tables = place >= 0 ? kept.splice(place, 1)[0] : {
    backend,
    ᾱ: Float64Array.from(ᾱ),
    timesteps: timesteps?.slice(),
    tensors: makeTables(ᾱ, timesteps),
  };
  kept.unshift(tables);
  for (const { tensors } of kept.splice(MAX_TABLES)) tf.dispose(tensors);
  return tables.tensors;
}

/**
 * Noised images at random steps, and the noise (paper, eq. 4): xₜ = √ᾱₜ·x₀ + √(1−ᾱₜ)·ε.
 * @param x0 images [N,H,W,C]
 * @param schedule of T steps, or its ᾱ alone, where step t is the model's timestep t
 * @returns `[[xₜ, t], ε]`: what the model takes and what it should say; t int32 [N], the schedule's `timesteps`
 * The tensors are the caller's, ε among them where it was given.
 * @throws RangeError for a given step outside the schedule, steps or noise of another shape, or ᾱ outside [0, 1].
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearSchedule, noisify, respace, tf, useDevice } from "../../mod.ts";
 * await useDevice("wasm", { log: null });
 * const schedule = respace(linearSchedule(), 10);
 * const [[xt, t], ε] = noisify(tf.zeros([2, 8, 8, 1]), schedule, { t: Int32Array.of(0, 9) });
 * assert(xt.shape.join() === ε.shape.join() && (await t.data()).join() === "99,999");
 * ```
 */
export function noisify(x0: Tensor, schedule: Schedule | ArrayLike<number>, draw: NoiseDraw = {}): Noised {
  const { generator = defaultGenerator } = draw;
  const { ᾱ, timesteps } = "ᾱ" in schedule ? schedule : { ᾱ: schedule, timesteps: undefined };
  const [n] = x0.shape, T = ᾱ.length;
  if (draw.t && draw.t.length !== n) {
    throw new RangeError(`noisify: ${draw.t.length} steps t for ${n} images`);
  }
  const outside = draw.t?.find((t) => !(t >= 0 && t < T));
  if (outside !== undefined) throw new RangeError(`noisify: t is from 0 to ${T - 1}, not ${outside}`);
  if (draw.noise && !equal(draw.noise.shape, x0.shape)) {
    throw new RangeError(`noisify: noise of shape [${draw.noise.shape}] for images of [${x0.shape}]`);
  }
  const told = timesteps?.some((timestep, t) => timestep !== t) ? timesteps : undefined;
  return tf.tidy((): Noised => {
    const t = draw.t ? tf.tensor1d(draw.t, "int32") : generator.randint([n], 0, T);
    const ε = draw.noise ?? generator.normal(x0.shape);
    const [signal, noise, names] = tablesOf(ᾱ, told);
    const each = (table: Tensor) => tf.reshape(tf.gather(table, t), x0.shape.map((_, axis) => axis ? 1 : n));
    const xt = tf.add(tf.mul(each(signal), x0), tf.mul(each(noise), ε));
    return [[xt, names ? tf.gather(names, t) : t], ε];
  });
}
