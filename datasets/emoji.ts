/**
 * Emoji-like pictures that are drawn when they are asked for: RGB, ten classes, soft edges, each with its own colours,
 * size, place and turn. Nothing is stored or downloaded, and the same seed draws the same pixels on every machine: only
 * +, −, ×, ÷ and √ are used, which IEEE 754 fixes to the last bit, unlike `Math.sin`.
 */
import { ArrayDataset, breathe, Generator, HostArray } from "../core/mod.ts";

/** The names of the classes, by label. */
export const EMOJI_CLASSES: readonly string[] = [
  "sun",
  "house",
  "tree",
  "fish",
  "flower",
  "mushroom",
  "smiley",
  "heart",
  "star",
  "umbrella",
];

/** Options of {@link emoji}. */
export interface EmojiOptions {
  /** Pictures to train on, a whole number from 1 to 1,000,000; default 5000. */
  n?: number;
  /** Pictures to test with, others than those to train on, a whole number from 1 to 1,000,000; default 1000. */
  nTest?: number;
  /** Height and width in pixels, a whole number from 8 to 512; default 32. */
  size?: number;
  /** Fixes the pictures, a whole number from 0 to 2⁵³ − 1; default 0. */
  seed?: number;
}

/** The two parts of the data, and what they are. */
export interface Emoji {
  /** Images [N,size,size,3], bytes 0…255, and labels [N], 0…9; item i is of class i mod 10. */
  train: ArrayDataset;
  /** The same of the test images. */
  test: ArrayDataset;
  /** `drawn emoji, seed` and the seed. */
  source: string;
}

/** Red, green and blue, 0…255. */
type Colour = readonly [number, number, number];

/** How far a point is outside a shape (negative inside). A shape lies within about 1 of the origin; y points down. */
type Shape = (x: number, y: number) => number;

/** A shape filled with a colour. */
interface Layer {
  shape: Shape;
  colour: Colour;
}

/** Random choices of one picture. */
interface Dice {
  /** A number from low to high. */
  between(low: number, high: number): number;
  /** One of these. */
  of<T>(choices: readonly T[]): T;
  /** One of these colours, or one near it. */
  colour(palette: readonly Colour[]): Colour;
}

/** Uniform numbers that are set apart for a picture. */
const DRAWS = 64;

const { abs, floor, max, min, sqrt } = Math;

/** Sine of a part of a turn, from −1 to 1 turns, by its series. */
function sine(turns: number): number {
  const x = (turns - floor(turns + 0.5)) * 6.283185307179586;
  let term = x, sum = x;
  for (let k = 2; k < 26; k += 2) {
    term *= -x * x / (k * (k + 1));
    sum += term;
  }
  return sum;
}

const cosine = (turns: number): number => sine(turns + 0.25);
const length = (x: number, y: number): number => sqrt(x * x + y * y);

// Shapes. Signed distances after Quilez, "2D distance functions" (iquilezles.org).

function circle(cx: number, cy: number, r: number): Shape {
  return (x, y) => length(x - cx, y - cy) - r;
}

/** Near its edge, that is where it matters, to first order. */
function ellipse(cx: number, cy: number, rx: number, ry: number): Shape {
  return (x, y) => {
    const u = (x - cx) / rx, v = (y - cy) / ry, k = length(u, v);
    return k === 0 ? -min(rx, ry) : k * (k - 1) / length(u / rx, v / ry);
  };
}

/** Half widths a and b. */
function box(cx: number, cy: number, a: number, b: number): Shape {
  return (x, y) => {
    const dx = abs(x - cx) - a, dy = abs(y - cy) - b;
    return length(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0);
  };
}

/** A thick line. */
function line(ax: number, ay: number, bx: number, by: number, r: number): Shape {
  const ex = bx - ax, ey = by - ay, square = ex * ex + ey * ey;
  return (x, y) => {
    const t = min(1, max(0, ((x - ax) * ex + (y - ay) * ey) / square));
    return length(x - ax - t * ex, y - ay - t * ey) - r;
  };
}

/** Corners in a row, x and y of each. */
function polygon(corners: readonly (readonly [number, number])[]): Shape {
  const n = corners.length;
  return (x, y) => {
    let square = Infinity, inside = false;
    for (let i = 0, j = n - 1; i < n; j = i++) {
      const [ax, ay] = corners[i], [bx, by] = corners[j];
      const ex = bx - ax, ey = by - ay, wx = x - ax, wy = y - ay;
      const t = min(1, max(0, (wx * ex + wy * ey) / (ex * ex + ey * ey)));
      const dx = wx - t * ex, dy = wy - t * ey;
      square = min(square, dx * dx + dy * dy);
      if (ay > y !== by > y && x < ax + (y - ay) / ey * ex) inside = !inside;
    }
    return inside ? -sqrt(square) : sqrt(square);
  };
}

/** A star of n points, the first of which is turned from the top by a part of a turn. */
function starOf(n: number, outer: number, inner: number, turn = 0): Shape {
  return polygon(Array.from({ length: 2 * n }, (_, i) => {
    const r = i % 2 ? inner : outer, at = turn + i / (2 * n);
    return [r * sine(at), -r * cosine(at)] as const;
  }));
}

const round = (shape: Shape, r: number): Shape => (x, y) => shape(x, y) - r;
const both = (a: Shape, b: Shape): Shape => (x, y) => max(a(x, y), b(x, y));
const union = (...shapes: Shape[]): Shape => (x, y) => {
  let d = Infinity;
  for (const shape of shapes) d = min(d, shape(x, y));
  return d;
};
const without = (a: Shape, b: Shape): Shape => (x, y) => max(a(x, y), -b(x, y));
const above = (y0: number): Shape => (_, y) => y - y0;
const below = (y0: number): Shape => (_, y) => y0 - y;

const INK: Colour = [48, 40, 52];
const WHITE: Colour = [255, 255, 255];
const BROWN: Colour = [134, 86, 52];
const GREEN: Colour = [62, 156, 74];
const SKIES: readonly Colour[] = [
  [174, 214, 241],
  [249, 209, 216],
  [200, 230, 201],
  [253, 232, 188],
  [215, 204, 240],
  [178, 228, 224],
  [226, 226, 230],
];
const BOLD: readonly Colour[] = [
  [226, 58, 62],
  [240, 128, 40],
  [46, 120, 214],
  [136, 72, 190],
  [232, 84, 150],
  [30, 158, 150],
];

/** What each class is drawn of, from the back to the front. */
const DRAWINGS: Record<string, (dice: Dice) => Layer[]> = {
  sun(dice) {
    const rays = dice.of([8, 10, 12]), turn = dice.between(0, 1 / rays);
    const colour = dice.colour([[255, 178, 30], [250, 148, 28]]);
    return [
      { shape: starOf(rays, 1, dice.between(0.6, 0.68), turn), colour },
      { shape: circle(0, 0, dice.between(0.5, 0.58)), colour: dice.colour([[255, 224, 70]]) },
    ];
  },
  house(dice) {
    const wide = dice.between(0.58, 0.72),
      eaves = dice.between(-0.18, 0),
      door = dice.of([-1, 1]) * wide * 0.42;
    const roof = dice.colour([[208, 62, 52], [150, 80, 50], [60, 96, 168], [70, 128, 84]]);
    return [
      { shape: box(door * -1.4, -0.62, 0.13, 0.36), colour: roof },
      {
        shape: box(0, (0.9 + eaves) / 2, wide, (0.9 - eaves) / 2),
        colour: dice.colour([[250, 236, 206], [246, 206, 186], [206, 226, 246], [255, 250, 240]]),
      },
      { shape: polygon([[0, -0.95], [wide + 0.26, eaves], [-wide - 0.26, eaves]]), colour: roof },
      { shape: box(door, 0.62, 0.17, 0.28), colour: dice.colour([BROWN]) },
      { shape: box(-door, (eaves + 0.9) / 2 - 0.02, 0.19, 0.19), colour: dice.colour([[92, 170, 226]]) },
    ];
  },
  tree(dice) {
    const colour = dice.colour([GREEN, [40, 130, 84], [108, 168, 60]]);
    const trunk = { shape: box(0, 0.7, dice.between(0.12, 0.17), 0.27), colour: dice.colour([BROWN]) };
    const wide = dice.between(0.62, 0.78);
    if (dice.between(0, 1) < 0.5) {
      const tiers = [0, 1, 2].map((i) => {
        const half = wide * (0.62 + 0.19 * i), top = -0.98 + 0.42 * i;
        return polygon([[0, top], [half, top + 0.72], [-half, top + 0.72]]);
      });
      return [trunk, { shape: union(...tiers), colour }];
    }
    const crown = [
      circle(0, -0.48, 0.46),
      circle(-wide * 0.52, -0.06, 0.42),
      circle(wide * 0.52, -0.06, 0.42),
    ];
    return [trunk, { shape: union(...crown, circle(0, 0, 0.4)), colour }];
  },
  fish(dice) {
    const side = dice.of([-1, 1]), high = dice.between(0.46, 0.6);
    const colour = dice.colour(BOLD), fin = dice.colour(BOLD);
    return [
      {
        shape: round(
          polygon([[side * 0.4, 0], [side * 0.92, -0.46], [side * 0.78, 0], [side * 0.92, 0.46]]),
          0.06,
        ),
        colour: fin,
      },
      {
        shape: polygon([[side * -0.3, -high * 0.7], [side * 0.34, -high - 0.26], [side * 0.3, -high * 0.5]]),
        colour: fin,
      },
      { shape: ellipse(side * -0.2, 0, 0.76, high), colour },
      { shape: circle(side * -0.56, -0.12, 0.17), colour: WHITE },
      { shape: circle(side * -0.59, -0.12, 0.09), colour: INK },
    ];
  },
  flower(dice) {
    const petals = dice.of([5, 6]), turn = dice.between(0, 1 / petals), y = -0.28;
    const ring = Array.from({ length: petals }, (_, i) => {
      const at = turn + i / petals;
      return circle(0.41 * sine(at), y - 0.41 * cosine(at), petals === 5 ? 0.305 : 0.265);
    });
    const side = dice.of([-1, 1]), stem = dice.colour([GREEN]);
    return [
      { shape: line(0, y, 0, 0.95, 0.075), colour: stem },
      { shape: both(circle(side * 0.14, 0.46, 0.36), circle(side * 0.4, 0.82, 0.38)), colour: stem },
      {
        shape: union(...ring, circle(0, y, 0.3)),
        colour: dice.colour([[232, 84, 150], [226, 58, 62], [136, 72, 190], [70, 120, 220], [255, 255, 255]]),
      },
      { shape: circle(0, y, 0.24), colour: dice.colour([[255, 206, 56]]) },
    ];
  },
  mushroom(dice) {
    const rim = dice.between(0.02, 0.14), wide = dice.between(0.78, 0.95), stem = dice.between(0.24, 0.32);
    const cap = both(ellipse(0, rim, wide, dice.between(0.88, 1)), above(rim));
    const dots = union(
      circle(dice.between(-0.08, 0.08), rim - 0.58, 0.17),
      circle(-wide * 0.52, rim - 0.26, 0.15),
      circle(wide * 0.52, rim - 0.26, 0.15),
    );
    return [
      { shape: round(box(0, 0.42, stem - 0.06, 0.44), 0.06), colour: dice.colour([[250, 236, 210]]) },
      { shape: cap, colour: dice.colour([[220, 52, 52], [168, 98, 60], [232, 120, 50], [140, 80, 180]]) },
      { shape: both(dots, cap), colour: WHITE },
    ];
  },
  smiley(dice) {
    const apart = dice.between(0.3, 0.4), up = dice.between(0.18, 0.28), wide = dice.between(0.42, 0.54);
    const open = dice.between(0, 1) < 0.5, mouth = circle(0, 0.04, wide + 0.07);
    return [
      { shape: circle(0, 0, 0.95), colour: dice.colour([[255, 210, 52], [255, 190, 60]]) },
      {
        shape: union(ellipse(-apart, -up, 0.11, 0.18), ellipse(apart, -up, 0.11, 0.18)),
        colour: INK,
      },
      open
        ? { shape: both(mouth, below(0.16)), colour: dice.colour([[150, 40, 46]]) }
        : { shape: both(without(mouth, circle(0, 0.04, wide - 0.09)), below(0.2)), colour: INK },
    ];
  },
  heart(dice) {
    const spread = dice.between(0.42, 0.48), r = 0.49;
    const lobes = [circle(-spread, -0.33, r), circle(spread, -0.33, r)];
    const edge = spread + r * 0.72, low = -0.33 + r * 0.7;
    const colour = dice.colour([[226, 48, 60], [240, 92, 150], [186, 50, 110], [150, 84, 200]]);
    return [
      { shape: union(...lobes, polygon([[-edge, low], [0, 0.92], [edge, low], [0, -0.4]])), colour },
      { shape: circle(-spread - 0.06, -0.44, 0.15), colour: [255, 226, 232] },
    ];
  },
  star(dice) {
    const colour = dice.colour([[255, 204, 40], [250, 150, 40], [90, 150, 240], [240, 110, 170]]);
    return [{ shape: round(starOf(5, 0.92, dice.between(0.4, 0.48)), 0.07), colour }];
  },
  umbrella(dice) {
    const rim = 0.1, r = 0.92, hook = dice.of([-1, 1]) * 0.17;
    const [colour, other] = [dice.colour(BOLD), dice.colour([[255, 246, 224], [255, 214, 80]])];
    const scallops = union(circle(-0.62, 0.16, 0.3), circle(0, 0.16, 0.34), circle(0.62, 0.16, 0.3));
    const dome = without(both(circle(0, rim, r), above(rim)), scallops);
    const cane = without(circle(hook, 0.72, 0.24), circle(hook, 0.72, 0.1));
    return [
      { shape: line(0, -0.95, 0, 0.72, 0.07), colour: INK },
      { shape: both(cane, below(0.72)), colour: INK },
      { shape: dome, colour },
      { shape: both(dome, ellipse(0, rim, 0.34, r)), colour: other },
    ];
  },
};

/** Classes that any turn suits; others stand, a little askew. */
const TURNED = ["sun", "star"];
/** Most of a turn that the others are askew. */
const ASKEW = 0.04;
/** Width of the white rim, in parts of half the side. */
const RIM = 0.085;

/** The choices of a picture, made with numbers of its own. */
function diceOf(generator: Generator): Dice {
  const draws = generator.uniformArray(DRAWS);
  let used = 0;
  const between = (low: number, high: number) => low + (high - low) * draws[used++];
  const of = <T>(choices: readonly T[]): T => choices[floor(between(0, choices.length))];
  const near = (value: number) => min(255, max(0, value + between(-14, 14)));
  const colour = (palette: readonly Colour[]): Colour => {
    const [r, g, b] = of(palette);
    return [near(r), near(g), near(b)];
  };
  return { between, of, colour };
}

/** Draws one picture into [size,size,3] bytes. */
function draw(name: string, dice: Dice, size: number, out: Uint8Array): void {
  const sky = dice.colour(SKIES), scale = dice.between(0.68, 0.86);
  const turn = TURNED.includes(name) ? dice.between(-0.5, 0.5) : dice.between(-ASKEW, ASKEW);
  const room = 0.94 - scale, shiftX = dice.between(-room, room), shiftY = dice.between(-room, room);
  const layers = DRAWINGS[name](dice), c = cosine(turn), s = sine(turn), half = size / 2;
  const pixels = scale * half, distances = new Float64Array(layers.length);
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = 0; column < size; column++, at += 3) {
      const u = ((column + 0.5) / half - 1 - shiftX) / scale, v = ((row + 0.5) / half - 1 - shiftY) / scale;
      const x = c * u + s * v, y = c * v - s * u;
      let [r, g, b] = sky, nearest = Infinity;
      for (let i = 0; i < layers.length; i++) {
        distances[i] = layers[i].shape(x, y);
        nearest = min(nearest, distances[i]);
      }
      const mix = (colour: Colour, share: number) => {
        if (share <= 0) return;
        const part = min(1, share);
        r += (colour[0] - r) * part;
        g += (colour[1] - g) * part;
        b += (colour[2] - b) * part;
      };
      mix(WHITE, 0.5 + (RIM - nearest) * pixels);
      for (let i = 0; i < layers.length; i++) mix(layers[i].colour, 0.5 - distances[i] * pixels);
      out[at] = floor(r + 0.5);
      out[at + 1] = floor(g + 0.5);
      out[at + 2] = floor(b + 0.5);
    }
  }
}

/** n pictures, class by class in turn. */
async function drawAll(n: number, size: number, generator: Generator): Promise<ArrayDataset> {
  const bytes = size * size * 3, images = new Uint8Array(n * bytes), labels = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    labels[i] = i % EMOJI_CLASSES.length;
    draw(EMOJI_CLASSES[labels[i]], diceOf(generator), size, images.subarray(i * bytes, (i + 1) * bytes));
    await breathe();
  }
  return new ArrayDataset(new HostArray(images, [n, size, size, 3]), new HostArray(labels, [n]));
}

function requireWhole(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new RangeError(`emoji: ${name} is a whole number from ${low} to ${high}, not ${value}`);
}

/**
 * Draws emoji-like RGB pictures of ten classes ({@link EMOJI_CLASSES}), each class as often as another: a small data set
 * that is there without a download, for colour pictures with classes. A picture is fixed by the seed and its place, so
 * that a larger `n` begins with the pictures of a smaller one. 6,000 of 32×32 take about a second.
 *
 * @throws RangeError for an option out of its range.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { emoji } from "./emoji.ts";
 * const { train } = await emoji({ n: 20, nTest: 10 });
 * const [images, labels] = train.arrays;
 * assert(images.shape.join() === "20,32,32,3" && labels.data[13] === 3);
 * ```
 */
export async function emoji(options: EmojiOptions = {}): Promise<Emoji> {
  const { n = 5000, nTest = 1000, size = 32, seed = 0 } = options;
  requireWhole("n", n, 1, 1_000_000);
  requireWhole("nTest", nTest, 1, 1_000_000);
  requireWhole("size", size, 8, 512);
  const generator = new Generator(seed), [forTrain, forTest] = [generator.fork(), generator.fork()];
  return {
    train: await drawAll(n, size, forTrain),
    test: await drawAll(nTest, size, forTest),
    source: `drawn emoji, seed ${seed}`,
  };
}
