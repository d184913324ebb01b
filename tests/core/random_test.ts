/** The random generator: known answers, the same numbers everywhere, moments. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Generator } from "../../core/mod.ts";
import { threefry } from "../../core/ops/mod.ts";
import { assertClose, numbers } from "../support.ts";

Deno.test("randint: whole numbers of the range, all of them, the same again, and from the stream's next place", async () => {
  const generator = new Generator(9);
  const t = generator.randint([4000], 3, 10), again = new Generator(9);
  assertEquals([t.dtype, t.shape], ["int32", [4000]]);
  assertEquals([...new Set(await numbers(t))].sort((a, b) => a - b), [3, 4, 5, 6, 7, 8, 9]);
  assertEquals(await numbers(again.randint([4000], 3, 10)), await numbers(t));
  assertEquals(generator.state.counter, 2000);
  assertEquals(await numbers(new Generator(9).randint([4000], 0, 7)), (await numbers(t)).map((v) => v - 3));
  const expected = Array.from(new Generator(9).randintArray(4000, 3, 10)), drawn = await numbers(t);
  assertEquals(drawn, expected);
  assertThrows(() => generator.randint([1], 2, 2), RangeError, "No whole number lies in [2, 2)");
});

Deno.test("threefry: the known answer of Salmon et al.'s test vectors", () => {
  // Threefry-2x32, 20 rounds, key and counter 0: 6b200159 99ba4efe
  const [u, w] = threefry(2, [0, 0], 0, false);
  assertEquals(u, (0x6b200159 >>> 8) * 2 ** -24);
  assertEquals(w, (0x99ba4efe >>> 8) * 2 ** -24);
});

Deno.test("the device draws the host's numbers, whatever the length", async () => {
  for (const n of [1, 2, 3, 5, 8, 17, 16384, 16391]) {
    await assertClose(new Generator(7).uniform([n]), new Generator(7).uniformArray(n), 1e-6);
    await assertClose(new Generator(7).normal([n]), new Generator(7).normalArray(n), 1e-5);
  }
});

Deno.test("a stream goes on where it stopped, and state brings it back", async () => {
  const a = new Generator(2 ** 40 + 5);
  await numbers(a.normal([5]));
  const state = a.state;
  const next = await numbers(a.normal([6]));
  const b = new Generator();
  b.state = JSON.parse(JSON.stringify(state));
  assertEquals(await numbers(b.normal([6])), next);
  assert(
    (await numbers(new Generator(1).normal([4]))).join() !==
      (await numbers(new Generator(2).normal([4]))).join(),
  );
});

Deno.test("moments and independence of neighbours", async () => {
  const n = 200_000;
  const moment = (xs: number[], k: number) => xs.reduce((s, x) => s + x ** k, 0) / xs.length;
  const z = await numbers(new Generator(3).normal([n]));
  const u = await numbers(new Generator(4).uniform([n]));
  for (
    const [value, expected] of [[moment(z, 1), 0], [moment(z, 2), 1], [moment(z, 3), 0], [moment(z, 4), 3]]
  ) {
    assert(Math.abs(value - expected) < 0.05, `${value} is not ${expected}`);
  }
  assert(Math.abs(moment(u, 1) - 0.5) < 0.005 && Math.abs(moment(u, 2) - 1 / 3) < 0.005);
  assert(Math.min(...u.slice(0, 1e5)) >= 0 && Math.max(...u.slice(0, 1e5)) < 1);
  const product = z.slice(1).reduce((s, x, i) => s + x * z[i], 0) / n;
  assert(Math.abs(product) < 0.02, `neighbours correlate by ${product}`);
});

Deno.test("integers cover their range evenly; a permutation is one", () => {
  const draws = new Generator(5).randintArray(60_000, 3, 9);
  for (let v = 3; v < 9; v++) {
    const share = draws.filter((d) => d === v).length / 60_000;
    assert(Math.abs(share - 1 / 6) < 0.01, `${v} came ${share} of the time`);
  }
  assertEquals(
    [...new Generator(6).permutation(1000)].sort((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i),
  );
});

Deno.test("forks differ from each other and from their parent, and repeat", () => {
  const draw = (g: Generator) => g.uniformArray(4).join();
  const a = new Generator(1), b = new Generator(1);
  const [x, y] = [draw(a.fork()), draw(a.fork())];
  assert(x !== y && x !== draw(a));
  assertEquals(draw(b.fork()), x);
});

Deno.test("wrong seeds and empty ranges are named", () => {
  for (const seed of [-1, 1.5, NaN, 2 ** 53]) {
    assertThrows(() => new Generator(seed), RangeError, String(seed));
  }
  assertThrows(() => new Generator().randintArray(1, 5, 5), RangeError, "[5, 5)");
});

Deno.test("over the whole 64 bits of the counter the device draws the host's numbers, and none twice", async () => {
  const counters = [
    2 ** 31 - 2,
    2 ** 31,
    2 ** 32 - 2,
    2 ** 32,
    2 ** 32 + 2 ** 31,
    2 ** 45 + 2 ** 32 - 1,
    2 ** 53 - 20,
  ];
  const seen = new Set<number>();
  for (const counter of counters) {
    const at = (seed: number) => {
      const generator = new Generator(seed);
      generator.state = { seed, counter };
      return generator;
    };
    for (const seed of [0, 7, 2 ** 53 - 1]) {
      await assertClose(at(seed).uniform([33]), at(seed).uniformArray(33), 1e-6);
      await assertClose(at(seed).normal([33]), at(seed).normalArray(33), 1e-5);
      assertEquals(await numbers(at(seed).randint([33], -5, 1000)), [...at(seed).randintArray(33, -5, 1000)]);
    }
    seen.add(at(7).uniformArray(1)[0]);
    assertEquals([...at(7).permutation(20)].sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i));
  }
  assertEquals(seen.size, counters.length);
  // The counter's high word carries where the low one ends.
  const across = threefry(8, [1, 2], 2 ** 32 - 2, false), after = threefry(4, [1, 2], 2 ** 32, false);
  assertEquals([...across.slice(4)], [...after]);
  const last = new Generator(1);
  last.state = { seed: 1, counter: Number.MAX_SAFE_INTEGER };
  assertThrows(() => last.uniform([1]), RangeError, "is at its end");
  assertThrows(() => last.state = { seed: 1, counter: 2 ** 53 }, RangeError, "not 9007199254740992");
});

Deno.test("wide and high ranges of integers are even, ranges outside of int32 are refused", async () => {
  const high = await numbers(new Generator(1).randint([2000], 2 ** 24, 2 ** 24 + 5));
  assertEquals(new Set(high), new Set([0, 1, 2, 3, 4].map((v) => 2 ** 24 + v)));
  for (const [low, top] of [[0, 2 ** 25], [-(2 ** 31), 2 ** 31], [2 ** 30, 2 ** 31]]) {
    const draws = new Generator(2).randintArray(20_000, low, top);
    assertEquals(await numbers(new Generator(2).randint([20_000], low, top)), [...draws]);
    const odd = draws.reduce((n, v) => n + Math.abs(v % 2), 0) / draws.length;
    const mean = draws.reduce((sum, v) => sum + (v - low) / (top - low), 0) / draws.length;
    assert(Math.abs(odd - 0.5) < 0.02 && Math.abs(mean - 0.5) < 0.01, `${low}…${top}: ${odd}, ${mean}`);
    assert(draws.every((v) => v >= low && v < top));
  }
  const generator = new Generator();
  for (const [low, top] of [[0, 2 ** 31 + 1], [-(2 ** 31) - 1, 0], [0.5, 3], [0, 2.5], [NaN, 2]]) {
    assertThrows(() => generator.randintArray(1, low, top), RangeError);
    assertThrows(() => generator.randint([1], low, top), RangeError);
  }
});
