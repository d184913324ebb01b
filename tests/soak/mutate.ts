/** Damage to files, from a seed. */

/** Numbers in [0, 1) from a seed (mulberry32). */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seeded source of choices. */
export class Chance {
  readonly random: () => number;
  constructor(seed: number) {
    this.random = makeRandom(seed);
  }
  /** A whole number from 0 to n − 1. */
  below(n: number): number {
    return Math.floor(this.random() * n);
  }
  /** One of these. */
  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

/** The bytes without a range, with others in its place. */
function splice(bytes: Uint8Array, from: number, to: number, put: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - (to - from) + put.length);
  out.set(bytes.subarray(0, from));
  out.set(put, from);
  out.set(bytes.subarray(to), from + put.length);
  return out;
}

/** Sizes and offsets that break readers. */
const EXTREMES = [0n, 1n, 8n, 127n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

/** Damages bytes in one to three places. */
export function mutateBytes(bytes: Uint8Array, chance: Chance): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let n = 1 + chance.below(3); n > 0; n--) {
    // Half of the damage is near the beginning, where the headers are.
    const reach = chance.below(2) ? out.length : Math.min(out.length, 64);
    const at = chance.below(reach + 1), end = Math.min(out.length, at + 1 + chance.below(16));
    const noise = () => Uint8Array.from({ length: 1 + chance.below(16) }, () => chance.below(256));
    switch (chance.below(9)) {
      case 0:
        if (at < out.length) out[at] ^= 1 << chance.below(8);
        break;
      case 1:
        if (at < out.length) out[at] = chance.below(256);
        break;
      case 2:
        out = splice(out, at, end, new Uint8Array(0));
        break;
      case 3:
        out = splice(out, at, at, noise());
        break;
      case 4:
        out = out.slice(0, at);
        break;
      case 5:
        out = splice(out, out.length, out.length, noise());
        break;
      case 6:
        out.fill(chance.of([0, 255, 32, 34]), at, end);
        break;
      case 7:
        out = splice(out, at, at, out.slice(at, end)); // twice
        break;
      default:
        if (at + 8 <= out.length) new DataView(out.buffer).setBigUint64(at, chance.of(EXTREMES), true);
    }
  }
  return out;
}

/** Values that do not belong where they are put, as JSON. */
const STRANGE = [
  "null",
  "true",
  "-1",
  "0",
  "1.5",
  "1e308",
  "-0",
  "9007199254740993",
  "18446744073709551616",
  '""',
  '"x"',
  '"F32"',
  '"constructor"',
  '"\\ud800"',
  "[]",
  "[[]]",
  "[0]",
  "{}",
  '{"__proto__":null}',
  '{"$number":"NaN"}',
  '{"$number":"Infinity"}',
  "[".repeat(200) + "]".repeat(200),
  "[".repeat(20_000) + "]".repeat(20_000),
];
const KEYS = ["__proto__", "constructor", "toString", "", "x", "epoch", "shape", "__metadata__", "\ud800"];

/** JSON with one of its values or keys changed, from a walk along a path of chance. */
export function mutateJson(value: unknown, chance: Chance): string {
  const write = (x: unknown): string => JSON.stringify(x) ?? "null";
  const isNested = typeof value === "object" && value !== null && Object.keys(value).length > 0;
  if (!isNested || chance.below(6) === 0) return chance.of(STRANGE);
  const place = chance.below(Object.keys(value).length);
  if (Array.isArray(value)) {
    const items = value.map((x, i) => i === place ? mutateJson(x, chance) : write(x));
    const turn = chance.below(8);
    if (turn === 0) items.splice(place, 1);
    if (turn === 1) items.push(chance.of(STRANGE));
    return `[${items}]`;
  }
  const fields = Object.entries(value).map(([key, x]) => [write(key), write(x)]);
  const field = fields[place];
  switch (chance.below(7)) {
    case 0:
      fields.splice(place, 1);
      break;
    case 1:
      fields.push([field[0], chance.below(2) ? field[1] : chance.of(STRANGE)]); // twice
      break;
    case 2:
      field[0] = write(chance.of(KEYS));
      break;
    case 3:
      fields.push([write(chance.of(KEYS)), chance.of(STRANGE)]);
      break;
    case 4:
      field[1] = fields[chance.below(fields.length)][1]; // another's
      break;
    default:
      field[1] = mutateJson(Object.values(value)[place], chance);
  }
  return `{${fields.map((pair) => pair.join(":"))}}`;
}
