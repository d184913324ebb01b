/** Counter-based random numbers (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). */
import { tf } from "../tf.ts";
import type { Tensor } from "../tf.ts";
import * as abi from "../device/wasm/assembly/abi.ts";
import { requireWhole } from "./check.ts";
import type { None, Op } from "./op.ts";

const UNIT = 2 ** -24;
/** By how many bits the words of a round are rotated. */
export const ROTATIONS: number[][] = [
  [abi.EVEN_ROTATION_0, abi.EVEN_ROTATION_1, abi.EVEN_ROTATION_2, abi.EVEN_ROTATION_3],
  [abi.ODD_ROTATION_0, abi.ODD_ROTATION_1, abi.ODD_ROTATION_2, abi.ODD_ROTATION_3],
];

/** Two words of Threefry-2x32 with 20 rounds from a key and a counter of two words each. */
export function threefryBlock(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const ks = [k0, k1, k0 ^ k1 ^ abi.THREEFRY_PARITY];
  let x0 = (c0 + k0) | 0, x1 = (c1 + k1) | 0;
  for (let g = 0; g < 5; g++) {
    for (const r of ROTATIONS[g & 1]) {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
    }
    x0 = (x0 + ks[(g + 1) % 3]) | 0;
    x1 = (x1 + ks[(g + 2) % 3] + g + 1) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

/**
 * n numbers from a counter on, two a counter: uniform in [0, 1), or standard normal by Box–Muller.
 * @param key two words
 * @param counter a whole number below 2⁵³; it goes on past that, as 64 bits
 */
export function threefry(n: number, key: [number, number], counter: number, normal: boolean): Float32Array {
  const out = new Float32Array(n), high = Math.floor(counter / 2 ** 32);
  for (let i = 0; i < n; i += 2) {
    const low = (counter >>> 0) + i / 2;
    const [a, b] = threefryBlock(key[0], key[1], low >>> 0, high + Math.floor(low / 2 ** 32));
    const u = a >>> 8, w = (b >>> 8) * UNIT;
    const r = Math.sqrt(Math.max(0, -2 * Math.log((u + 1) * UNIT)));
    out[i] = normal ? r * Math.cos(2 * Math.PI * w) : u * UNIT;
    if (i + 1 < n) out[i + 1] = normal ? r * Math.sin(2 * Math.PI * w) : w;
  }
  return out;
}

/** Random numbers of a shape: {@link threefry} on the device. */
export const Random: Op<
  None,
  { shape: number[]; key: [number, number]; counter: number; normal: boolean },
  { y: Tensor }
> = {
  name: "Random",
  outputs: ["y"],
  check(_, { shape, counter }) {
    shape.forEach((n) => requireWhole("Random", "a side of the shape", n, 0));
    if (!Number.isSafeInteger(counter) || counter < 0) {
      throw new RangeError(`Random: the counter is a whole number below 2^53, not ${counter}`);
    }
  },
  reference: (_, { shape, key, counter, normal }) => ({
    y: tf.tensor(threefry(tf.util.sizeFromShape(shape), key, counter, normal), shape),
  }),
  gradient: null,
};
