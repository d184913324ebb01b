/** What WASM's kernels owe beside the table of ops: precision, NaN, other types, memory to its limit. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { F, Generator, grad, ops, type Tensor, tf } from "../mod.ts";
import { threefryBlock } from "../core/ops/random.ts";
import { assertClose, assertTensor, numbers, random, script, wasmOnly } from "./support.ts";

const test = (name: string, fn: () => void | Promise<void>) => Deno.test({ name, ...wasmOnly, fn });

/** Σ x in double precision over axes, and Σ |x|. */
function slowSums(x: number[], shape: number[], axes: number[]): { sums: number[]; sizes: number[] } {
  const kept = shape.map((n, i) => axes.includes(i) ? 1 : n);
  const sums = Array(kept.reduce((a, b) => a * b, 1)).fill(0), sizes = sums.slice();
  const at = shape.map(() => 0);
  for (const v of x) {
    const o = kept.reduce((index, n, i) => index * n + (n === 1 ? 0 : at[i]), 0);
    sums[o] += v;
    sizes[o] += Math.abs(v);
    for (let i = shape.length - 1; i >= 0 && ++at[i] === shape[i]; i--) at[i] = 0;
  }
  return { sums, sizes };
}

test("sum and mean over any axes of 200 random shapes are float64's to 1e-6", async () => {
  const g = new Generator(5), whole = (most: number) => 1 + g.randintArray(1, 0, most)[0];
  for (let count = 0; count < 200; count++) {
    const shape = Array.from({ length: whole(5) }, (_, i) => whole(i === 0 ? 60 : 12));
    const axes = shape.map((_, i) => i).filter(() => g.uniformArray(1)[0] < 0.5);
    const all = axes.length > 0 ? axes : shape.map((_, i) => i), keepDims = count % 2 === 0;
    const x = tf.add(random(shape, count), 1), { sums, sizes } = slowSums(await numbers(x), shape, all);
    const n = all.reduce((size, i) => size * shape[i], 1);
    const kept = keepDims
      ? shape.map((side, i) => all.includes(i) ? 1 : side)
      : shape.filter((_, i) => !all.includes(i));
    for (const [y, divisor] of [[tf.sum(x, axes, keepDims), 1], [tf.mean(x, axes, keepDims), n]] as const) {
      const wanted = axes.length > 0 ? kept : keepDims ? shape.map(() => 1) : [];
      if (axes.length === 0) continue;
      assertEquals(y.shape, wanted);
      (await numbers(y)).forEach((v, i) => {
        assert(Math.abs(v - sums[i] / divisor) <= 1e-6 * sizes[i] / divisor, `[${shape}] over ${all}: ${v}`);
      });
    }
  }
});

test("sum, mean, moments and norm of 10⁶ and 10⁷ numbers, along every axis", async () => {
  const near = async (x: Tensor, wanted: number) => {
    for (const v of (await numbers(x)).slice(0, 3)) {
      assert(Math.abs(v / wanted - 1) < 1e-6, `${v}, not ${wanted}`);
    }
  };
  const tenth = Math.fround(0.1);
  for (const n of [1e6, 1e7]) {
    const x = tf.fill([n], 0.1);
    await near(tf.sum(x), n * tenth);
    await near(tf.mean(x), tenth);
    await near(tf.norm(x), Math.sqrt(n) * tenth);
    await near(F.mseLoss(x, tf.zerosLike(x)), tenth ** 2);
    for (const [shape, axis] of [[[n / 10, 10], 0], [[10, n / 10], 1], [[5, n / 10, 2], 1]] as const) {
      await near(tf.sum(tf.reshape(x, [...shape]), axis), n / 10 * tenth);
      await near(tf.mean(tf.reshape(x, [...shape]), axis), tenth);
    }
    const many = random([n], 3), { mean, variance } = tf.moments(many), host = await numbers(many);
    const wanted = host.reduce((s, v) => s + v, 0) / n;
    assert(Math.abs((await numbers(mean))[0] - wanted) < 1e-6);
    await near(variance, host.reduce((s, v) => s + (v - wanted) ** 2, 0) / n);
    tf.dispose([x, many]);
  }
});

/** Numbers with NaN and infinities among them; more than a vector. */
const ODD = [NaN, 1, -1, Infinity, -Infinity, 0, 7, NaN, -9, NaN, 3.5];

test("NaN goes through maximum, minimum, clipByValue and every activation", async () => {
  const x = tf.tensor1d(ODD),
    clip = (v: number, low: number, high: number) => v < low ? low : v > high ? high : v;
  const cases: Record<string, [Tensor, (v: number) => number]> = {
    clipByValue: [tf.clipByValue(x, -2, 5), (v) => clip(v, -2, 5)],
    relu: [tf.relu(x), (v) => Math.max(v, 0)],
    relu6: [tf.relu6(x), (v) => clip(v, 0, 6)],
    leakyRelu: [tf.leakyRelu(x, 0.1), (v) => v < 0 ? 0.1 * v : v],
    elu: [tf.elu(x), (v) => v < 0 ? Math.expm1(v) : v],
    sigmoid: [tf.sigmoid(x), (v) => 1 / (1 + Math.exp(-v))],
    tanh: [tf.tanh(x), Math.tanh],
    generalRelu: [F.generalRelu(x, 0.1, 0.5), (v) => (v > 0 ? v : 0.1 * v) - 0.5],
    abs: [tf.abs(x), Math.abs],
  };
  const same = (got: number[], wanted: number[], what: string) =>
    got.forEach((v, i) => {
      const off = Math.abs(v - Math.fround(wanted[i])) > 1e-5;
      assert(Object.is(Number.isNaN(v), Number.isNaN(wanted[i])) && !off, `${what}: ${v}, not ${wanted[i]}`);
    });
  for (const [name, [y, f]] of Object.entries(cases)) same(await numbers(y), ODD.map(f), name);
  assertEquals((await numbers(F.silu(x))).map(Number.isNaN)[0], true);
  for (const number of [2, NaN, -Infinity]) {
    const others = [
      tf.scalar(number),
      tf.fill([ODD.length], number),
      tf.fill([1, 1], number),
      tf.fill([3, 1], number),
    ];
    for (const other of others) {
      for (
        const [name, op, f] of [["maximum", tf.maximum, Math.max], ["minimum", tf.minimum, Math.min]] as const
      ) {
        const wanted = Array(other.shape[0] === 3 ? 3 : 1).fill(ODD.map((v) => f(v, number))).flat();
        same(await numbers(op(x, other)), wanted, `${name}(x, [${other.shape}])`);
        same(await numbers(op(other, x)), wanted, `${name}([${other.shape}], x)`);
      }
    }
  }
  for (const at of [0, 5, 10]) {
    const row = tf.reshape(tf.tensor1d(Array(11).fill(0).with(at, NaN)), [1, 11]),
      labels = tf.zeros([1], "int32");
    const rows = { softmax: tf.softmax(row as tf.Tensor2D), logSoftmax: tf.logSoftmax(row as tf.Tensor2D) };
    for (const [name, y] of Object.entries(rows)) {
      assertEquals((await numbers(y)).every(Number.isNaN), true, `${name} of NaN at ${at}`);
    }
    assertEquals(await numbers(F.crossEntropy(row, labels)), [NaN]);
    assertEquals(await numbers(F.mseLoss(row, tf.zerosLike(row))), [NaN]);
    assertEquals(await numbers(tf.sum(row)), [NaN]);
  }
});

test("softmax of infinities is the reference's", async () => {
  const rows = [[Infinity, 0, 1], [-Infinity, 0, 1], [-Infinity, -Infinity, -Infinity], [NaN, -Infinity, 2]];
  for (const row of rows) {
    const x = tf.tensor2d([row]), m = tf.max(x, -1, true), e = tf.exp(tf.sub(x, m));
    const wanted = await numbers(tf.div(e, tf.sum(e, -1, true)));
    const got = await numbers(tf.softmax(x));
    got.forEach((v, i) =>
      assert(Object.is(v, wanted[i]) || Math.abs(v - wanted[i]) < 1e-6, `${row}: ${got}`)
    );
  }
});

test("normalisations of numbers up to 10¹⁸ are finite, and right", async () => {
  const x = random([2, 16, 16, 12], 1), large = tf.mul(x, 1e18), ones = tf.ones([12]), zeros = tf.zeros([12]);
  for (
    const f of [(x: Tensor) => F.groupNorm(x, 3, ones, zeros), (x: Tensor) => F.batchNorm(x, ones, zeros).y]
  ) {
    await assertClose(f(large), f(x), 1e-4);
    const dy = random(x.shape, 2), [dx] = grad(f, [x], dy), [dLarge] = grad(f, [large], dy);
    await assertClose(tf.mul(dLarge, 1e18), dx, 1e-3);
  }
});

test("random numbers over all 64 bits of the counter are Threefry's", async () => {
  for (const first of [0, 2 ** 31 - 2, 2 ** 31, 2 ** 32 - 3, 2 ** 32, 2 ** 32 + 2 ** 31, 2 ** 53 - 1]) {
    const key: [number, number] = [0xdeadbeef, 7], n = 21;
    const words = Array.from({ length: Math.ceil(n / 2) }, (_, i) => {
      const counter = BigInt(first) + BigInt(i);
      return threefryBlock(...key, Number(counter & 0xffffffffn), Number(counter >> 32n));
    });
    const uniform = words.flatMap((pair) => pair.map((word) => (word >>> 8) * 2 ** -24)).slice(0, n);
    const normal = words.flatMap(([a, b]) => {
      const r = Math.sqrt(-2 * Math.log(((a >>> 8) + 1) * 2 ** -24)),
        angle = 2 * Math.PI * (b >>> 8) * 2 ** -24;
      return [r * Math.cos(angle), r * Math.sin(angle)];
    }).slice(0, n);
    const draw = (normal: boolean) =>
      numbers(ops.run(ops.OPS.Random, {}, { shape: [n], key, counter: first, normal }).y);
    assertEquals(await draw(false), uniform, `from ${first}`);
    await assertClose(await draw(true), normal, 1e-6, `from ${first}`);
  }
});

test("whole numbers stay whole in the kernels that replace tfjs's", async () => {
  const a = tf.tensor2d([[1, -2, 3], [4, 5, -6]], [2, 3], "int32"), b = tf.onesLike(a);
  const cases: [Tensor, number[]][] = [
    [tf.add(a, b), [2, -1, 4, 5, 6, -5]],
    [tf.sub(a, b), [0, -3, 2, 3, 4, -7]],
    [tf.mul(a, a), [1, 4, 9, 16, 25, 36]],
    [tf.maximum(a, b), [1, 1, 3, 4, 5, 1]],
    [tf.minimum(a, b), [1, -2, 1, 1, 1, -6]],
    [tf.sum(a, 0), [5, 3, -3]],
    [tf.sum(a), [5]],
    [tf.concat([a, b], 0), [1, -2, 3, 4, 5, -6, 1, 1, 1, 1, 1, 1]],
    [tf.split(a, 3, 1)[1], [-2, 5]],
    [tf.unsortedSegmentSum(a, tf.tensor1d([1, 1], "int32"), 2), [0, 0, 0, 5, 3, -3]],
  ];
  for (const [y, wanted] of cases) assertEquals([y.dtype, await numbers(y)], ["int32", wanted]);
  await assertTensor(tf.mean(a, 1), [2], [2 / 3, 1], 1e-6);
  await assertTensor(tf.relu(a), [2, 3], [1, 0, 3, 4, 5, 0]);
  await assertTensor(tf.clipByValue(a, -1, 3), [2, 3], [1, -1, 3, 3, 3, -1]);
});

test("gather with batches, and an index outside", async () => {
  const x = random([2, 3, 4, 5], 1), host = await numbers(x), places = [[2, 0], [3, 3]];
  const y = tf.gather(x, tf.tensor2d(places, [2, 2], "int32"), 2, 1);
  const wanted = places.flatMap((row, b) =>
    [0, 1, 2].flatMap((o) => row.flatMap((p) => host.slice(((b * 3 + o) * 4 + p) * 5).slice(0, 5)))
  );
  await assertTensor(y, [2, 3, 2, 5], wanted, 0);
  assertThrows(() => tf.gather(x, tf.tensor2d([[0], [4]], [2, 1], "int32"), 2, 1), Error, "4 is not in [0, ");
});

test("tfjs's convolution: filters that are not square, of many taps, larger than the image", async () => {
  const x = random([2, 20, 24, 3], 1) as tf.Tensor4D;
  for (const [kh, kw, pad] of [[3, 1, 0], [1, 5, 1], [19, 17, 0], [20, 24, 2]]) {
    const filter = random([kh, kw, 3, 4], 2) as tf.Tensor4D;
    const wanted = ops.OPS.Conv2d.reference({ x, filter }, { stride: 1, padding: pad }).y;
    await assertClose(tf.conv2d(x, filter, 1, pad), wanted);
  }
  const large = random([23, 3, 3, 4], 2) as tf.Tensor4D;
  assertThrows(() => tf.conv2d(x, large, 1, 1), Error, "a filter of 23×3 is larger than the padded image");
});

test("memory to its limit: every block lies inside it and beside the others, and all goes on after", async () => {
  const { out, err } = await script(
    `await d.useDevice("wasm", { log: null });
     const { module, pool } = await startWasm(2), g = new d.Generator(3), uniform = () => g.uniformArray(1)[0];
     const x = g.normal([4, 9, 9, 8]), filter = g.normal([3, 3, 8, 8]);
     const convolve = async () => (await F.conv2d(x, filter, null, { padding: 1 }).data()).join();
     const y = await convolve(), tensors = tf.memory().numTensors;
     let held: { at: number; bytes: number }[] = [];
     const messages = new Set<string>(), faults = new Set<string>();
     for (const most of [600e6, 160e6, 2.6e9, 4.2e9]) {
       for (let failed = 0; failed < 60;) {
         const bytes = 4 + Math.floor(uniform() * most);
         try {
           held.push({ at: module._malloc(bytes), bytes });
         } catch (error) {
           messages.add(error.message.replaceAll(/\\d+/g, "N"));
           failed++;
           const sorted = held.toSorted((a, b) => a.at - b.at);
           sorted.forEach(({ at, bytes }, i) => {
             if (at + bytes > pool.memory.buffer.byteLength) faults.add("past the memory");
             if (i + 1 < sorted.length && at + bytes > sorted[i + 1].at) faults.add("overlap");
           });
           held = held.filter(({ at }) => uniform() < 0.5 || void module._free(at));
         }
       }
     }
     try { tf.zeros([1e9 + 1e8]); } catch (error) { messages.add(error.message.replaceAll(/\\d+/g, "N")); }
     held.forEach(({ at }) => module._free(at));
     try { F.upsampleNearest(tf.ones([1, 1024, 1024, 16]), 10); } catch { faults.add(String(tf.memory().numTensors - tensors)); }
     console.log([...messages].join("|"), [...faults].join(), await convolve() === y);`,
    { DENOISE_THREADS: "2" },
  );
  assertEquals(out, "Out of memory: N bytes asked for with N in use; a smaller batch needs less 1 true", err);
});
