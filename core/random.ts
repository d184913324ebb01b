/** Seeded random numbers: one generator object behind data order, noise, timesteps, dropout and initial weights. */
import { contextVariable } from "./context.ts";
import { Random, run, threefry, threefryBlock } from "./ops/mod.ts";
import { type Tensor, tf } from "./tf.ts";

/** Where a {@link Generator} stands; plain data, so that a checkpoint can hold it. */
export interface GeneratorState {
  /** Of the stream: a whole number from 0 to 2⁵³ − 1. */
  seed: number;
  /** Blocks of two numbers drawn so far, a whole number from 0 on; a draw begins a block of its own. */
  counter: number;
}

/** What the default generator draws from in work that has draws of its own. */
const ownDraws = contextVariable<Generator>();
/** The default generator, once it is made. */
let shared: Generator | undefined;

/** Numbers that a draw of 24 bits tells apart. */
const MAX_NARROW_RANGE = 2 ** 24;

/** @throws RangeError unless n is a whole number from 0 on. */
function requireCount(name: string, n: number): void {
  if (Number.isInteger(n) && n >= 0) return;
  throw new RangeError(`Generator.${name}: n is a whole number from 0 on, not ${n}`);
}

/** @throws RangeError unless [low, high) is a range of int32's whole numbers, and not empty. */
function requireRange(low: number, high: number): void {
  if (!(high > low)) throw new RangeError(`No whole number lies in [${low}, ${high})`);
  if (!Number.isInteger(low) || !Number.isInteger(high) || low < -(2 ** 31) || high > 2 ** 31) {
    throw new RangeError(`A range lies between whole numbers from -2^31 to 2^31, not [${low}, ${high})`);
  }
}

/**
 * A stream of random numbers. The same seed gives the same numbers on a device whatever its threads, and the same up
 * to float rounding across devices.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Generator } from "./random.ts";
 * const a = new Generator(42), b = new Generator(42);
 * assert(a.permutation(10).join() === b.permutation(10).join());
 * ```
 */
export class Generator {
  #own: GeneratorState = { seed: 0, counter: 0 };

  /** Where it stands for whoever asks. */
  get #place(): GeneratorState {
    return this.forWork().#own;
  }

  /**
   * The generator behind this one in the work that asks: itself, but for the default one, see {@link drawFrom}.
   * @internal
   */
  forWork(): Generator {
    return this === shared && ownDraws.get() || this;
  }

  /**
   * Begins a stream.
   * @param seed a whole number from 0 to 2⁵³−1; default 0
   * @throws RangeError for any other.
   */
  constructor(seed = 0) {
    this.seed = seed;
  }

  /**
   * The seed; setting it starts the stream again.
   * @throws RangeError when it is set to another than a whole number from 0 to 2⁵³ − 1.
   */
  get seed(): number {
    return this.#place.seed;
  }
  set seed(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`A seed is a whole number from 0 to 2^53 - 1, not ${seed}`);
    }
    Object.assign(this.#place, { seed, counter: 0 });
  }

  /**
   * Seed and place in the stream, to save and to set back.
   * @throws RangeError when it is set to a seed or counter that is no whole number from 0 to 2⁵³ − 1.
   */
  get state(): GeneratorState {
    return { ...this.#place };
  }
  set state({ seed, counter }: GeneratorState) {
    if (!Number.isSafeInteger(counter) || counter < 0) {
      throw new RangeError(`A generator's counter is a whole number from 0 to 2^53 - 1, not ${counter}`);
    }
    this.seed = seed;
    this.#place.counter = counter;
  }

  /** A new generator with a stream of its own, fixed by this one's seed and place, which moves on by a block. */
  fork(): Generator {
    const [a, b] = this.#words();
    return new Generator((a & 0x1fffff) * 2 ** 32 + b);
  }

  get #key(): [number, number] {
    const { seed } = this.#place;
    return [seed >>> 0, Math.floor(seed / 2 ** 32)];
  }

  /** Takes the counters of n numbers and returns the first. */
  #take(n: number): number {
    const place = this.#place, first = place.counter, next = first + Math.ceil(n / 2);
    if (next > Number.MAX_SAFE_INTEGER) {
      throw new RangeError("The generator's stream of 2^53 counters is at its end");
    }
    place.counter = next;
    return first;
  }

  /** Two words of 32 bits from the next counter. */
  #words(): [number, number] {
    const c = this.#take(2);
    return threefryBlock(...this.#key, c >>> 0, Math.floor(c / 2 ** 32));
  }

  #device(shape: number[], normal: boolean): Tensor {
    const n = shape.reduce((a, b) => a * b, 1);
    return run(Random, {}, { shape, key: this.#key, counter: this.#take(n), normal }).y;
  }

  /**
   * Standard normal numbers, float32, made on the device; the caller owns the tensor.
   * @param shape of whole numbers from 0 on
   * @throws RangeError for another shape.
   */
  normal(shape: number[]): Tensor {
    return this.#device(shape, true);
  }

  /**
   * Uniform numbers in [0, 1), float32, made on the device; the caller owns the tensor.
   * @param shape of whole numbers from 0 on
   * @throws RangeError for another shape.
   */
  uniform(shape: number[]): Tensor {
    return this.#device(shape, false);
  }

  /**
   * Whole numbers in [low, high), int32, each as likely as another; the caller owns the tensor. Made on the device, or
   * on the host where float32 does not hold all of the range.
   * @param shape of whole numbers from 0 on
   * @param low the least, from −2³¹ on
   * @param high above the largest, at most 2³¹
   * @throws RangeError if there is no such number, a bound is no whole number in this range, or for another shape.
   */
  randint(shape: number[], low: number, high: number): Tensor {
    requireRange(low, high);
    const range = high - low;
    if (Math.max(range, -low, high) > MAX_NARROW_RANGE) {
      return tf.tensor(this.randintArray(tf.util.sizeFromShape(shape), low, high), shape, "int32");
    }
    return tf.tidy(() => {
      // u·n may round up to n
      const below = tf.minimum(tf.floor(tf.mul(this.uniform(shape), range)), range - 1);
      return tf.cast(low ? tf.add(below, low) : below, "int32");
    });
  }

  /**
   * n uniform numbers in [0, 1) on the host, those that {@link uniform} gives.
   * @throws RangeError unless n is a whole number from 0 on.
   */
  uniformArray(n: number): Float32Array {
    requireCount("uniformArray", n);
    return threefry(n, this.#key, this.#take(n), false);
  }

  /**
   * n standard normal numbers on the host, those that {@link normal} gives up to float rounding.
   * @throws RangeError unless n is a whole number from 0 on.
   */
  normalArray(n: number): Float32Array {
    requireCount("normalArray", n);
    return threefry(n, this.#key, this.#take(n), true);
  }

  /**
   * n whole numbers in [low, high) on the host, those that {@link randint} gives.
   * @throws RangeError unless n is a whole number from 0 on, and for bounds as {@link randint}.
   */
  randintArray(n: number, low: number, high: number): Int32Array {
    requireCount("randintArray", n);
    requireRange(low, high);
    const range = high - low;
    if (range > MAX_NARROW_RANGE) {
      return Int32Array.from({ length: n }, () => low + Math.floor(this.#fraction() * range));
    }
    // Rounded as on the device.
    const below = (u: number) => Math.min(range - 1, Math.floor(Math.fround(u * range)));
    return Int32Array.from(this.uniformArray(n), (u) => low + below(u));
  }

  /**
   * The name that {@link randintArray} had before.
   * @deprecated
   */
  integers(n: number, low: number, high: number): Int32Array {
    return this.randintArray(n, low, high);
  }

  /** A number in [0, 1) of 53 bits. */
  #fraction(): number {
    const [a, b] = this.#words();
    return ((a >>> 5) * 2 ** 26 + (b >>> 6)) * 2 ** -53;
  }

  /**
   * A random order of 0…n−1 (Fisher–Yates).
   * @throws RangeError unless n is a whole number from 0 on.
   */
  permutation(n: number): Int32Array {
    requireCount("permutation", n);
    const order = Int32Array.from({ length: n }, (_, i) => i);
    const draws = n > MAX_NARROW_RANGE ? undefined : this.uniformArray(n);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.min(i, Math.floor((draws?.[i] ?? this.#fraction()) * (i + 1)));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}

/**
 * The generator that everything draws from unless it is given another. A fit draws from a stream of its own under this
 * name, so that it is the same whatever draws beside it; see {@link branch}.
 */
export const defaultGenerator: Generator = shared = new Generator(0);

/** Runs `body` as work in which the default generator's draws come from another one, also after an `await`. */
export function drawFrom<T>(generator: Generator, body: () => T): T {
  return ownDraws.run(generator, body);
}

/** A generator that goes on from where another stands, which stays there. */
export function copyOfGenerator(generator: Generator): Generator {
  const copy = new Generator();
  copy.state = generator.state;
  return copy;
}

/**
 * Lets a piece of work draw from a generator as if nothing else did: it goes on where the generator stands, which others
 * find at another stream meanwhile.
 * @returns a generator for the work; and what is to be called when the work is over: the generator goes on from there,
 * unless something else has drawn from it
 */
export function branch(generator: Generator): [own: Generator, giveBack: () => void] {
  const own = copyOfGenerator(generator), behind = generator.forWork();
  const { seed } = behind.fork();
  behind.seed = seed;
  return [own, () => {
    const { state } = behind;
    if (state.seed === seed && state.counter === 0) behind.state = own.state;
  }];
}

/**
 * Seeds {@link defaultGenerator}, which starts its stream again.
 * @throws RangeError unless it is a whole number from 0 to 2⁵³ − 1.
 */
export function setSeed(seed: number): void {
  defaultGenerator.seed = seed;
}
