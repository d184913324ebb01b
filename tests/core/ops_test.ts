/** Every op against plain TypeScript on random odd shapes, and its gradient against differences, on either device. */
import { assertEquals, assertThrows } from "@std/assert";
import { F, tf } from "../../mod.ts";
import type { Tensor } from "../../mod.ts";
import { assertTensor, checkGradients, numbers, random } from "../support.ts";

const total = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

/** The definition of a convolution, one product at a time. */
async function slowConv(x: Tensor, w: Tensor, b: Tensor | null, stride: number, padding: number) {
  const [n, h, wd, ci] = x.shape, [kh, kw, , co] = w.shape;
  const ho = Math.floor((h! + 2 * padding - kh) / stride) + 1;
  const wo = Math.floor((wd! + 2 * padding - kw!) / stride) + 1;
  const [xs, ws, bs] = [await numbers(x), await numbers(w), b ? await numbers(b) : null];
  const out: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let y = 0; y < ho; y++) {
      for (let z = 0; z < wo; z++) {
        for (let o = 0; o < co!; o++) {
          let sum = bs ? bs[o] : 0;
          for (let ky = 0; ky < kh; ky++) {
            for (let kx = 0; kx < kw!; kx++) {
              const iy = y * stride + ky - padding, ix = z * stride + kx - padding;
              if (iy < 0 || iy >= h! || ix < 0 || ix >= wd!) continue;
              for (let c = 0; c < ci!; c++) {
                sum += xs[((i * h! + iy) * wd! + ix) * ci! + c] * ws[((ky * kw! + kx) * ci! + c) * co! + o];
              }
            }
          }
          out.push(sum);
        }
      }
    }
  }
  return { shape: [n, ho, wo, co!], out };
}

const CONVS: [name: string, x: number[], k: number, co: number, stride: number, padding: number][] = [
  ["3×3", [2, 7, 9, 6], 3, 5, 1, 1],
  ["3×3 of 16 channels", [3, 8, 8, 16], 3, 16, 1, 1],
  ["3×3 from one channel", [2, 9, 6, 1], 3, 8, 1, 1],
  ["3×3 to one channel", [2, 5, 5, 9], 3, 1, 1, 1],
  ["3×3 from three channels, stride 2", [3, 9, 7, 3], 3, 10, 2, 1],
  ["3×3 to two channels", [2, 7, 6, 10], 3, 2, 1, 1],
  ["3×3 to three channels, stride 2", [2, 9, 3, 5], 3, 3, 2, 1],
  ["3×3 of one channel", [3, 6, 5, 1], 3, 1, 1, 1],
  ["5×5 from one channel", [5, 8, 9, 1], 5, 16, 1, 2],
  ["3×3 to one channel of many", [2, 12, 10, 20], 3, 1, 1, 1],
  ["3×3 without padding", [1, 8, 5, 3], 3, 4, 1, 0],
  ["3×3 stride 2", [2, 8, 8, 7], 3, 12, 2, 1],
  ["3×3 stride 2, odd size", [2, 9, 7, 4], 3, 3, 2, 1],
  ["1×1", [2, 5, 6, 13], 1, 10, 1, 0],
  ["1×1 stride 2", [2, 6, 7, 5], 1, 4, 2, 0],
  ["5×5", [1, 9, 8, 2], 5, 3, 1, 2],
  ["5×5 stride 2", [2, 11, 10, 3], 5, 6, 2, 2],
  ["3×3 stride 3", [1, 10, 11, 2], 3, 3, 3, 1],
  ["many images of few pixels", [17, 2, 2, 3], 3, 9, 1, 1],
  ["a filter larger than the image", [5, 2, 3, 9], 3, 17, 1, 1],
  ["a filter larger than the image, stride 2", [9, 2, 2, 16], 3, 8, 2, 1],
  ["5×5 filter larger than the image", [4, 3, 4, 2], 5, 3, 1, 2],
  ["5×5 filter larger than the image, stride 2", [3, 4, 5, 3], 5, 5, 2, 2],
  ["small images, stride 2, odd size", [14, 7, 5, 20], 3, 11, 2, 1],
  ["small images of many channels, stride 2", [13, 4, 4, 50], 3, 9, 2, 1],
  ["small images, more than a block of them", [150, 2, 3, 6], 3, 8, 1, 1],
  ["small images, stride 3", [12, 4, 5, 7], 5, 9, 3, 2],
  ["a filter for one pixel", [7, 1, 1, 6], 3, 11, 1, 1],
  ["large image", [1, 40, 33, 4], 3, 9, 1, 1],
  ["3×3 in tiles", [4, 16, 16, 8], 3, 16, 1, 1],
  ["3×3 in tiles, odd size", [4, 14, 15, 16], 3, 8, 1, 1],
  ["3×3 in tiles without padding", [6, 15, 13, 8], 3, 8, 1, 0],
  ["5×5 in tiles", [2, 10, 12, 8], 5, 16, 1, 2],
  ["5×5 in tiles, odd size", [3, 9, 7, 16], 5, 8, 1, 2],
  ["5×5 in tiles without padding", [2, 13, 11, 8], 5, 8, 1, 0],
];

for (const [name, shape, k, co, stride, padding] of CONVS) {
  const inputs = () => [random(shape, 1), random([k, k, shape[3], co], 2), random([co], 3)];
  Deno.test(`conv2d ${name}: definition`, async () => {
    const [x, w, b] = inputs();
    for (const bias of [b, null]) {
      const { shape, out } = await slowConv(x, w, bias, stride, padding);
      await assertTensor(F.conv2d(x, w, bias, { stride, padding }), shape, out);
    }
  });
  Deno.test(`conv2d ${name}: gradients`, async () => {
    await checkGradients((x, w, b) => F.conv2d(x, w, b, { stride, padding }), inputs());
  });
}

Deno.test("conv2d and linear with a residual: the sum, gradients, and its shape is asked for", async () => {
  // Direct, of few pixels, by tiles, and of 1×1, each with what is added in its own epilogue.
  for (
    const [shape, k, co, padding] of [[[2, 5, 6, 7], 3, 5, 1], [[3, 2, 2, 7], 3, 9, 1], [
      [4, 16, 16, 8],
      3,
      16,
      1,
    ], [
      [2, 5, 6, 13],
      1,
      10,
      0,
    ]] as const
  ) {
    const [x, w, b] = [random([...shape], 1), random([k, k, shape[3], co], 2), random([co], 3)];
    const residual = random([...shape.slice(0, 3), co], 4);
    const sum = await numbers(tf.add(F.conv2d(x, w, b, { padding }), residual));
    await assertTensor(F.conv2d(x, w, b, { padding, residual }), residual.shape, sum);
    const f = (x: Tensor, w: Tensor, b: Tensor, residual: Tensor) => F.conv2d(x, w, b, { padding, residual });
    await checkGradients(f, [x, w, b, residual]);
    assertThrows(() => F.conv2d(x, w, b, { padding, residual: x }), Error, "the residual has shape");
  }
  const [x, w, b, r] = [random([2, 5, 7], 1), random([3, 7], 2), random([3], 3), random([2, 5, 3], 4)];
  await assertTensor(F.linear(x, w, b, r), [2, 5, 3], await numbers(tf.add(F.linear(x, w, b), r)));
  await checkGradients((x, w, b, r) => F.linear(x, w, b, r), [x, w, b, r]);
  await checkGradients((x, w, r) => F.linear(x, w, null, r), [x, w, r]);
});

for (const ta of [false, true]) {
  for (const tb of [false, true]) {
    const named = `${ta ? "aᵀ" : "a"}·${tb ? "bᵀ" : "b"}`;
    const operands = (batch: number[], m: number, k: number, n: number) => [
      random([...batch, ...(ta ? [k, m] : [m, k])], 1),
      random([...batch, ...(tb ? [n, k] : [k, n])], 2),
    ];
    Deno.test(`matmul ${named}: definition`, async () => {
      for (
        const [batch, m, k, n] of [[[], 7, 5, 9], [[3], 13, 4, 17], [[2], 1, 1, 1], [
          [],
          101,
          33,
          50,
        ]] as const
      ) {
        const [a, b] = operands([...batch], m, k, n);
        const [x, y] = [await numbers(a), await numbers(b)];
        const out: number[] = [];
        for (let q = 0; q < total([...batch]); q++) {
          for (let i = 0; i < m; i++) {
            for (let j = 0; j < n; j++) {
              let sum = 0;
              for (let l = 0; l < k; l++) {
                sum += x[q * m * k + (ta ? l * m + i : i * k + l)] *
                  y[q * k * n + (tb ? j * k + l : l * n + j)];
              }
              out.push(sum);
            }
          }
        }
        await assertTensor(tf.matMul(a, b, ta, tb), [...batch, m, n], out);
      }
    });
    Deno.test(`matmul ${named}: gradients`, async () => {
      await checkGradients((a, b) => tf.matMul(a, b, ta, tb), operands([3], 5, 7, 9));
    });
  }
}

Deno.test("matmul with one operand shared by the batch: value and gradients", async () => {
  const a = random([4, 5, 6], 1), b = random([6, 3], 2);
  const whole = tf.reshape(tf.matMul(tf.reshape(a, [20, 6]), b), [4, 5, 3]);
  await assertTensor(tf.matMul(a, b), [4, 5, 3], await numbers(whole));
  await checkGradients((a, b) => tf.matMul(a, b), [a, b]);
});

Deno.test("linear: definition and gradients, two and three axes", async () => {
  const w = random([4, 7], 2), b = random([4], 3);
  for (const shape of [[5, 7], [2, 3, 7]]) {
    const x = random(shape, 1);
    const [xs, ws, bs] = [await numbers(x), await numbers(w), await numbers(b)];
    const rows = xs.length / 7;
    const out = Array.from({ length: rows * 4 }, (_, i) => {
      const r = Math.floor(i / 4), o = i % 4;
      return bs[o] + ws.slice(o * 7, o * 7 + 7).reduce((s, v, j) => s + v * xs[r * 7 + j], 0);
    });
    await assertTensor(F.linear(x, w, b), [...shape.slice(0, -1), 4], out);
    await checkGradients((x, w, b) => F.linear(x, w, b), [x, w, b]);
    await checkGradients((x, w) => F.linear(x, w), [x, w]);
  }
});

/** Group norm by its definition, in float64. */
function slowGroupNorm(
  x: number[],
  [n, p, c]: number[],
  groups: number,
  g: number[],
  b: number[],
  silu: boolean,
) {
  const out = new Array(x.length), per = c / groups;
  for (let i = 0; i < n; i++) {
    for (let q = 0; q < groups; q++) {
      const at: number[] = [];
      for (let y = 0; y < p; y++) for (let k = 0; k < per; k++) at.push((i * p + y) * c + q * per + k);
      const mean = at.reduce((s, j) => s + x[j], 0) / at.length;
      const variance = at.reduce((s, j) => s + (x[j] - mean) ** 2, 0) / at.length;
      for (const j of at) {
        const z = (x[j] - mean) / Math.sqrt(variance + 1e-5) * g[j % c] + b[j % c];
        out[j] = silu ? z / (1 + Math.exp(-z)) : z;
      }
    }
  }
  return out;
}

for (const silu of [false, true]) {
  for (
    const [shape, groups] of [[[2, 5, 7, 6], 3], [[3, 4, 4, 16], 8], [[1, 3, 3, 5], 1], [
      [2, 2, 3, 7],
      7,
    ]] as const
  ) {
    Deno.test(`groupNorm${silu ? " + SiLU" : ""} [${shape}] in ${groups}: definition and gradients`, async () => {
      const c = shape[3];
      const x = random([...shape], 1), g = random([c], 2), b = random([c], 3);
      const [xs, gs, bs] = [await numbers(x), await numbers(g), await numbers(b)];
      const out = slowGroupNorm(xs, [shape[0], shape[1] * shape[2], c], groups, gs, bs, silu);
      await assertTensor(F.groupNorm(x, groups, g, b, { silu }), [...shape], out);
      await checkGradients((x, g, b) => F.groupNorm(x, groups, g, b, { silu }), [x, g, b]);
    });
  }
}

Deno.test("groupNorm keeps its precision when the mean is far from 0", async () => {
  const x = tf.add(random([2, 6, 6, 4], 1), 1000), g = tf.ones([4]), b = tf.zeros([4]);
  const out = slowGroupNorm(await numbers(x), [2, 36, 4], 2, [1, 1, 1, 1], [0, 0, 0, 0], false);
  await assertTensor(F.groupNorm(x, 2, g, b), [2, 6, 6, 4], out, 2e-3);
});

for (const [b, t, heads, d] of [[2, 9, 2, 3], [1, 25, 1, 8], [3, 4, 4, 5], [1, 64, 2, 8], [2, 1, 1, 2]]) {
  Deno.test(`attention [${b},${t},${heads}×${d}]: definition and gradients`, async () => {
    const c = heads * d;
    const [q, k, v] = [1, 2, 3].map((seed) => random([b, t, c], seed));
    const [qs, ks, vs] = [await numbers(q), await numbers(k), await numbers(v)];
    const out = new Array(b * t * c).fill(0);
    for (let i = 0; i < b; i++) {
      for (let h = 0; h < heads; h++) {
        const at = (row: number, e: number) => (i * t + row) * c + h * d + e;
        for (let r = 0; r < t; r++) {
          const scores = Array.from({ length: t }, (_, s) => {
            let sum = 0;
            for (let e = 0; e < d; e++) sum += qs[at(r, e)] * ks[at(s, e)];
            return sum / Math.sqrt(d);
          });
          const max = Math.max(...scores);
          const weights = scores.map((s) => Math.exp(s - max));
          const sum = weights.reduce((a, w) => a + w, 0);
          for (let e = 0; e < d; e++) {
            out[at(r, e)] = weights.reduce((a, w, s) => a + w * vs[at(s, e)], 0) / sum;
          }
        }
      }
    }
    await assertTensor(F.attention(q, k, v, heads), [b, t, c], out);
    await checkGradients((q, k, v) => F.attention(q, k, v, heads), [q, k, v]);
  });
}

Deno.test("attention with large scores does not overflow", async () => {
  const q = tf.mul(random([1, 6, 4], 1), 100);
  const out = await numbers(F.attention(q, q, random([1, 6, 4], 2), 1));
  if (!out.every(Number.isFinite)) throw new Error(`not finite: ${out}`);
});

Deno.test("silu: definition, far ends, gradients", async () => {
  const x = tf.concat([random([37], 1), tf.tensor1d([-100, 100, 0, -30, 30])]);
  const out = (await numbers(x)).map((v) => v / (1 + Math.exp(-v)));
  await assertTensor(F.silu(x), [42], out);
  await checkGradients(F.silu, [random([3, 5], 2)]);
});

Deno.test("relu: definition and gradient", async () => {
  const x = random([5, 11], 4);
  await assertTensor(F.relu(x), [5, 11], (await numbers(x)).map((v) => Math.max(0, v)));
  await checkGradients(F.relu, [tf.add(x, tf.mul(0.2, tf.sign(x)))]);
});

Deno.test("generalRelu: definition and gradient", async () => {
  const x = random([5, 11], 4);
  const out = (await numbers(x)).map((v) => (v > 0 ? v : 0.1 * v) - 0.4);
  await assertTensor(F.generalRelu(x, 0.1, 0.4), [5, 11], out);
  await checkGradients((x) => F.generalRelu(x, 0.1, 0.4), [tf.add(x, tf.mul(0.2, tf.sign(x)))]);
});

Deno.test("averagePool: definition, ragged ends, gradient", async () => {
  for (
    const [shape, factor] of [[[2, 6, 4, 3], 2], [[2, 7, 5, 9], 2], [[1, 7, 8, 2], 3], [
      [1, 1, 3, 5],
      2,
    ]] as const
  ) {
    const [n, h, w, c] = shape;
    const x = random([...shape], 1), xs = await numbers(x);
    const [ho, wo] = [Math.ceil(h / factor), Math.ceil(w / factor)];
    const out: number[] = [];
    for (let i = 0; i < n * ho * wo * c; i++) {
      const k = i % c,
        z = Math.floor(i / c) % wo,
        y = Math.floor(i / c / wo) % ho,
        b = Math.floor(i / c / wo / ho);
      let sum = 0, count = 0;
      for (let p = y * factor; p < Math.min(h, (y + 1) * factor); p++) {
        for (let q = z * factor; q < Math.min(w, (z + 1) * factor); q++, count++) {
          sum += xs[((b * h + p) * w + q) * c + k];
        }
      }
      out.push(sum / count);
    }
    await assertTensor(F.averagePool(x, factor), [n, ho, wo, c], out);
    await checkGradients((x) => F.averagePool(x, factor), [x]);
  }
});

Deno.test("addChannels: definition and gradients", async () => {
  const x = random([3, 4, 5, 6], 1), b = random([3, 6], 2);
  await assertTensor(
    F.addChannels(x, b),
    [3, 4, 5, 6],
    await numbers(tf.add(x, tf.reshape(b, [3, 1, 1, 6]))),
  );
  await checkGradients(F.addChannels, [x, b]);
});

Deno.test("upsampleNearest: definition and gradients", async () => {
  for (const factor of [2, 3]) {
    const x = random([2, 3, 5, 7], 1), xs = await numbers(x);
    const out: number[] = [];
    for (let n = 0; n < 2; n++) {
      for (let y = 0; y < 3 * factor; y++) {
        for (let z = 0; z < 5 * factor; z++) {
          const at = ((n * 3 + Math.floor(y / factor)) * 5 + Math.floor(z / factor)) * 7;
          out.push(...xs.slice(at, at + 7));
        }
      }
    }
    await assertTensor(F.upsampleNearest(x, factor), [2, 3 * factor, 5 * factor, 7], out);
    await checkGradients((x) => F.upsampleNearest(x, factor), [x]);
  }
});

Deno.test("mseLoss: definition and gradients", async () => {
  const a = random([3, 7], 1), b = random([3, 7], 2);
  const [x, y] = [await numbers(a), await numbers(b)];
  const mean = x.reduce((s, v, i) => s + (v - y[i]) ** 2, 0) / x.length;
  await assertTensor(F.mseLoss(a, b), [], [mean]);
  await checkGradients(F.mseLoss, [a, b]);
});

Deno.test("crossEntropy: definition and gradient", async () => {
  const x = random([4, 5], 1), labels = tf.tensor1d([0, 4, 2, 2], "int32");
  const xs = await numbers(x);
  const losses = [0, 4, 2, 2].map((label, r) => {
    const row = xs.slice(r * 5, r * 5 + 5);
    return Math.log(row.reduce((s, v) => s + Math.exp(v), 0)) - row[label];
  });
  await assertTensor(F.crossEntropy(x, labels), [], [losses.reduce((a, b) => a + b) / 4]);
  await checkGradients((x) => F.crossEntropy(x, labels), [x]);
});

Deno.test("losses over more than one part: definition", async () => {
  const a = random([90, 401], 1), b = random([90, 401], 2);
  const [x, y] = [await numbers(a), await numbers(b)];
  await assertTensor(F.mseLoss(a, b), [], [x.reduce((s, v, i) => s + (v - y[i]) ** 2, 0) / x.length]);
  const labels = Array.from({ length: 90 }, (_, r) => r * 7 % 401);
  const losses = labels.map((label, r) => {
    const row = x.slice(r * 401, (r + 1) * 401);
    return Math.log(row.reduce((s, v) => s + Math.exp(v), 0)) - row[label];
  });
  const loss = F.crossEntropy(a, tf.tensor1d(labels, "int32"));
  await assertTensor(loss, [], [losses.reduce((s, v) => s + v) / 90]);
});

Deno.test("crossEntropy does not overflow, and says which shapes it takes", async () => {
  const x = tf.tensor2d([[1000, 0, -1000], [-500, -500, -501]]);
  const loss = F.crossEntropy(x, tf.tensor1d([0, 2], "int32"));
  await assertTensor(loss, [], [(Math.log(2 + Math.exp(-1)) + 1) / 2], 1e-4);
  assertThrows(
    () => F.crossEntropy(x, tf.tensor1d([0], "int32")),
    Error,
    "labels has shape [1], logits of [2,3] need one a row, [2]",
  );
});

for (const columns of [1, 3, 8, 13]) {
  Deno.test(`softmax and logSoftmax of ${columns} columns: definition and gradients`, async () => {
    const x = random([37, columns], 1), xs = await numbers(x);
    const e = xs.map(Math.exp);
    const sum = (i: number) => {
      const from = Math.floor(i / columns) * columns;
      return e.slice(from, from + columns).reduce((a, b) => a + b);
    };
    await assertTensor(tf.softmax(x as never), [37, columns], e.map((v, i) => v / sum(i)));
    await assertTensor(tf.logSoftmax(x as never), [37, columns], xs.map((v, i) => v - Math.log(sum(i))));
    await checkGradients((x) => tf.softmax(x as never), [random([5, columns], 2)]);
    await checkGradients((x) => tf.logSoftmax(x as never), [random([5, columns], 2)]);
  });
}

for (const shape of [[9, 5], [3, 4, 5, 6], [2, 1, 1, 3], [5, 7, 3, 16]]) {
  Deno.test(`batchNorm [${shape}]: definition and gradients`, async () => {
    const c = shape.at(-1)!, rows = total(shape) / c;
    const x = random(shape, 1), g = random([c], 2), b = random([c], 3);
    const [xs, gs, bs] = [await numbers(x), await numbers(g), await numbers(b)];
    const each = (f: (column: number[]) => number) =>
      Array.from({ length: c }, (_, k) => f(xs.filter((_, i) => i % c === k)));
    const means = each((v) => v.reduce((s, x) => s + x, 0) / rows);
    const variances = each((v) => {
      const mean = v.reduce((s, x) => s + x, 0) / rows;
      return v.reduce((s, x) => s + (x - mean) ** 2, 0) / rows;
    });
    const { y, mean, variance } = F.batchNorm(x, g, b);
    await assertTensor(mean, [c], means);
    await assertTensor(variance, [c], variances);
    const out = xs.map((v, i) =>
      (v - means[i % c]) / Math.sqrt(variances[i % c] + 1e-5) * gs[i % c] + bs[i % c]
    );
    await assertTensor(y, shape, out);
    // Two rows a channel are ±1 whatever they are: a difference quotient then finds rounding alone.
    if (rows > 2) await checkGradients((x, g, b) => F.batchNorm(x, g, b).y, [x, g, b]);
  });
}

Deno.test("batchNorm keeps its precision when the mean is far from 0, and needs two values", async () => {
  const x = random([64, 3], 1), ones = tf.ones([3]), zeros = tf.zeros([3]);
  const near = await numbers(F.batchNorm(x, ones, zeros).y);
  await assertTensor(F.batchNorm(tf.add(x, 1000), ones, zeros).y, [64, 3], near, 2e-3);
  assertThrows(() => F.batchNorm(tf.ones([1, 3]), ones, zeros), Error, "more than one value");
});

Deno.test("channelAffine: definition and gradients", async () => {
  const x = random([3, 5, 7], 1), a = random([7], 2), b = random([7], 3);
  const [xs, as, bs] = [await numbers(x), await numbers(a), await numbers(b)];
  await assertTensor(F.channelAffine(x, a, b), [3, 5, 7], xs.map((v, i) => v * as[i % 7] + bs[i % 7]));
  await checkGradients(F.channelAffine, [x, a, b]);
});

/** Ops of tfjs whose gradients are ours, at smooth points. */
const positive = (x: Tensor) => tf.add(tf.abs(x), 0.5);
const TFJS: Record<string, [f: (...xs: Tensor[]) => Tensor, ...shapes: number[][]]> = {
  "add, broadcast": [(a, b) => tf.add(a, b), [3, 4], [4]],
  "sub, broadcast": [(a, b) => tf.sub(a, b), [2, 1, 4], [3, 1]],
  "mul, broadcast": [(a, b) => tf.mul(a, b), [2, 3, 4], [3, 1]],
  "div": [(a, b) => tf.div(a, positive(b)), [3, 5], [3, 5]],
  "maximum": [(a, b) => tf.maximum(a, b), [4, 5], [4, 5]],
  "minimum": [(a, b) => tf.minimum(a, b), [4, 5], [4, 5]],
  "squaredDifference": [(a, b) => tf.squaredDifference(a, b), [3, 2], [3, 2]],
  "pow": [(a) => tf.pow(positive(a), 1.5), [7]],
  "neg": [(a) => tf.neg(a), [5]],
  "square": [(a) => tf.square(a), [5]],
  "sqrt": [(a) => tf.sqrt(positive(a)), [5]],
  "rsqrt": [(a) => tf.rsqrt(positive(a)), [5]],
  "reciprocal": [(a) => tf.reciprocal(positive(a)), [5]],
  "exp": [(a) => tf.exp(a), [5]],
  "log": [(a) => tf.log(positive(a)), [5]],
  "sin": [(a) => tf.sin(a), [5]],
  "cos": [(a) => tf.cos(a), [5]],
  "tanh": [(a) => tf.tanh(a), [5]],
  "sigmoid": [(a) => tf.sigmoid(a), [5]],
  "leakyRelu": [(a) => tf.leakyRelu(tf.add(a, tf.mul(0.2, tf.sign(a))), 0.1), [9]],
  "clipByValue": [(a) => tf.clipByValue(a, -0.5, 0.5), [40]],
  "softmax": [(a) => tf.softmax(a as never), [3, 5]],
  "logSoftmax": [(a) => tf.logSoftmax(a as never), [3, 5]],
  "where": [(a, b) => tf.where(tf.greater(random([3, 4], 8), 0), a, b), [3, 4], [3, 4]],
  "sum, leading axes": [(a) => tf.sum(a, [0, 1]), [3, 4, 5]],
  "sum, last axis": [(a) => tf.sum(a, -1), [3, 4]],
  "sum, middle axis kept": [(a) => tf.sum(a, 1, true), [3, 4, 2]],
  "sum, all": [(a) => tf.sum(a), [3, 4]],
  "mean": [(a) => tf.mean(a, [1, 2]), [3, 4, 2]],
  "max": [(a) => tf.max(a, 1), [3, 6]],
  "min": [(a) => tf.min(a, 0), [3, 6]],
  "reshape": [(a) => tf.reshape(a, [6, 2]), [3, 4]],
  "expandDims": [(a) => tf.expandDims(a, 1), [3, 4]],
  "transpose": [(a) => tf.transpose(a, [2, 0, 1]), [2, 3, 4]],
  "pad": [(a) => tf.pad(a, [[1, 0], [2, 3]]), [2, 3]],
  "slice": [(a) => tf.slice(a, [1, 0], [2, -1]), [4, 3]],
  "tile": [(a) => tf.tile(a, [2, 3]), [2, 3]],
  "concat, last axis": [(a, b) => tf.concat([a, b], -1), [2, 3, 4], [2, 3, 5]],
  "concat, first axis": [(a, b) => tf.concat([a, b], 0), [2, 3], [1, 3]],
  "split": [(a) => tf.mul(...tf.split(a, 2, 1) as [Tensor, Tensor]), [3, 8]],
  "split, one part unused": [(a) => tf.split(a, [2, 3], 1)[1], [3, 5]],
  "gather": [(a) => tf.gather(a, tf.tensor1d([2, 0, 2], "int32")), [4, 3]],
  "cast": [(a) => tf.cast(tf.mul(a, 2), "float32"), [4]],
};
for (const [name, [f, ...shapes]] of Object.entries(TFJS)) {
  Deno.test(`gradient of ${name}`, async () => {
    await checkGradients(f, shapes.map((shape, i) => random(shape, 5 + i)), { step: 3e-3 });
  });
}

Deno.test("our versions of tfjs kernels give tfjs's values", async () => {
  const a = random([3, 5, 7], 1), b = random([3, 5, 7], 2);
  const [x, y] = [await numbers(a), await numbers(b)];
  await assertTensor(tf.add(a, b), a.shape, x.map((v, i) => v + y[i]));
  await assertTensor(tf.sub(a, b), a.shape, x.map((v, i) => v - y[i]));
  await assertTensor(tf.mul(a, b), a.shape, x.map((v, i) => v * y[i]));
  const sums = Array.from(
    { length: 7 },
    (_, c) => x.filter((_, i) => i % 7 === c).reduce((s, v) => s + v, 0),
  );
  await assertTensor(tf.sum(a, [0, 1]), [7], sums);
  await assertTensor(tf.sum(a, [0, 1], true), [1, 1, 7], sums);
  const joined = tf.concat([a, b], 1);
  await assertTensor(tf.split(joined, 2, 1)[1], a.shape, y);
  const segments = tf.unsortedSegmentSum(
    tf.tensor2d([[1, 2], [3, 4], [5, 6]]),
    tf.tensor1d([1, 0, 1], "int32"),
    3,
  );
  await assertTensor(segments, [3, 2], [3, 4, 6, 8, 0, 0]);
});

Deno.test("arithmetic with a number on either side, and its gradient", async () => {
  const x = tf.tidy(() => tf.add(tf.abs(random([3, 5, 7], 21)), 0.5)), host = await numbers(x);
  const ops: [(a: Tensor | number, b: Tensor | number) => Tensor, (a: number, b: number) => number][] = [
    [tf.add, (a, b) => a + b],
    [tf.sub, (a, b) => a - b],
    [tf.mul, (a, b) => a * b],
    [tf.div, (a, b) => a / b],
    [tf.maximum, Math.max],
    [tf.minimum, Math.min],
  ];
  for (const [op, plain] of ops) {
    for (const number of [1.25, -3]) {
      await assertTensor(op(x, number), [3, 5, 7], host.map((v) => plain(v, number)), 1e-6);
      await assertTensor(op(number, x), [3, 5, 7], host.map((v) => plain(number, v)), 1e-6);
      await assertTensor(
        op(x, tf.tensor([number], [1, 1])),
        [3, 5, 7],
        host.map((v) => plain(v, number)),
        1e-6,
      );
    }
    if (op === tf.maximum || op === tf.minimum) continue;
    await checkGradients((v) => tf.add(op(v, 1.25), op(1.25, v)), [x]);
  }
  // Whole numbers stay whole, and a number of more dimensions makes the result have them.
  const whole = tf.mul(tf.tensor1d([1, 2, 3], "int32"), tf.scalar(2, "int32"));
  assertEquals([whole.dtype, await numbers(whole)], ["int32", [2, 4, 6]]);
  assertEquals(tf.add(tf.sum(x, [0, 2]), tf.tensor([1], [1, 1, 1])).shape, [1, 1, 5]);
});

Deno.test("what was whole or true is a float after a cast, for every kernel", async () => {
  const x = random([9], 4), whole = tf.cast(tf.tensor1d([3, -2, 0, 70000], "int32"), "float32");
  await assertTensor(tf.mul(whole, 0.5), [4], [1.5, -1, 0, 35000], 1e-6);
  await assertTensor(F.silu(whole), [4], [3, -2, 0, 70000].map((v) => v / (1 + Math.exp(-v))), 1e-6);
  const positive = (await numbers(x)).map((v) => Number(v > 0));
  await assertTensor(tf.mul(tf.cast(tf.greater(x, 0), "float32"), 3), [9], positive.map((v) => 3 * v), 0);
  const some = tf.cast(tf.tensor1d([true, false, true], "bool"), "float32");
  await assertTensor(tf.sub(1, some), [3], [0, 1, 0], 0);
  await assertTensor(tf.cast(tf.scalar(2, "int32"), "float32"), [], [2], 0);
});

Deno.test("addN adds as many tensors as there are", async () => {
  for (const count of [1, 3, 40]) {
    const xs = Array.from({ length: count }, (_, i) => random([3, 5], 100 + i));
    const sums = Array(15).fill(0);
    for (const x of xs) (await numbers(x)).forEach((v, i) => sums[i] += v);
    await assertTensor(tf.addN(xs), [3, 5], sums, 1e-5);
  }
});
