/** The parts of the U-Net from scratch by themselves. */
import { assertEquals, assertThrows } from "@std/assert";
import { F, type Tensor, tf, unet } from "../../../mod.ts";
import { assertClose, checkGradients, numbers, random } from "../../support.ts";

const { EmbDownBlock, EmbResBlock, EmbUpBlock, SelfAttention, SelfAttention2D } = unet;

/** Batch norm of a batch by its definition, with scale 1 and shift 0. */
function normed(x: Tensor): Tensor {
  const mean = tf.mean(x, [0, 1, 2], true), variance = tf.mean(tf.square(tf.sub(x, mean)), [0, 1, 2], true);
  return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)));
}

Deno.test("EmbResBlock by hand: norm, SiLU, convolution; scale and shift; the input by a 1×1 convolution", async () => {
  const block = new EmbResBlock(3, 4, 6), x = random([2, 5, 5, 4], 1), emb = random([2, 3], 2);
  const conv = (part: unet.EmbResBlock["conv1"], y: Tensor) => part[2].call(F.silu(normed(y)));
  const both = await numbers(block.emb_proj.call(F.silu(emb)));
  const half = (from: number) =>
    tf.tensor4d([both.slice(from, from + 6), both.slice(12 + from, 18 + from)].flat(), [2, 1, 1, 6]);
  const middle = tf.add(tf.mul(conv(block.conv1, x), tf.add(half(0), 1)), half(6)) as Tensor;
  const expected = tf.add(conv(block.conv2, middle), block.idconv!.call(x)) as Tensor;
  await assertClose(block.call(x, emb), expected, 1e-4);
  assertEquals(new EmbResBlock(3, 4).idconv, null);
  await checkGradients((a, b) => block.call(a, b), [x, emb]);
});

Deno.test("SelfAttention by hand: queries, keys and values lie side by side within each head", async () => {
  const attention = new SelfAttention(6, 3), x = random([2, 4, 6], 1);
  const [norm, weight, bias, rows] = [
    await numbers(x),
    await numbers(attention.qkv.weight),
    await numbers(attention.qkv.bias!),
    8,
  ];
  // Layer norm of each token.
  for (let r = 0; r < rows; r++) {
    const token = norm.slice(6 * r, 6 * r + 6), mean = token.reduce((a, b) => a + b) / 6;
    const variance = token.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 6;
    token.forEach((v, i) => norm[6 * r + i] = (v - mean) / Math.sqrt(variance + 1e-5));
  }
  const qkv = (r: number, i: number) =>
    bias[i] + norm.slice(6 * r, 6 * r + 6).reduce((sum, v, j) => sum + v * weight[6 * i + j], 0);
  const given = new Float32Array(rows * 6);
  for (let r = 0; r < rows; r++) {
    const batch = 4 * Math.floor(r / 4);
    for (const head of [0, 1]) {
      const at = (part: number, c: number) => 9 * head + 3 * part + c;
      const scores = [0, 1, 2, 3].map((s) =>
        [0, 1, 2].reduce((sum, c) => sum + qkv(r, at(0, c)) * qkv(batch + s, at(1, c)), 0) / Math.sqrt(3)
      );
      const total = scores.reduce((sum, s) => sum + Math.exp(s), 0);
      for (const c of [0, 1, 2]) {
        given[6 * r + 3 * head + c] = scores.reduce(
          (sum, score, s) => sum + Math.exp(score) / total * qkv(batch + s, at(2, c)),
          0,
        );
      }
    }
  }
  const expected = attention.proj.call(tf.tensor3d(given, [2, 4, 6]));
  await assertClose(attention.call(x), expected, 1e-4);
  const pixels = new SelfAttention2D(6, 3);
  pixels.loadStateDict(attention.stateDict());
  await assertClose(pixels.call(tf.reshape(x, [2, 2, 2, 6])), tf.reshape(expected, [2, 2, 2, 6]), 1e-4);
  assertThrows(() => new SelfAttention(6, 4), RangeError, "6 channels do not divide into heads of 4");
});

Deno.test("attention is added to the block's output", async () => {
  const block = new EmbResBlock(3, 4, 4, 2), plain = new EmbResBlock(3, 4, 4);
  plain.loadStateDict(block.stateDict(), false);
  const x = random([2, 3, 3, 4], 1), emb = random([2, 3], 2), y = plain.call(x, emb);
  await assertClose(block.call(x, emb), tf.add(y, block.attn!.call(y)) as Tensor, 1e-4);
});

Deno.test("the way down saves each output, and the way up takes one for each block, the last first", () => {
  const shared = { embChannels: 3, inChannels: 4, outChannels: 6, attnChannels: 0 };
  const down = new EmbDownBlock({ ...shared, layers: 2, addDown: true }), emb = random([1, 3], 2);
  const saved = down.call(random([1, 4, 4, 4], 1), emb);
  assertEquals(saved.map(({ shape }) => shape.slice(1)), [[4, 4, 6], [4, 4, 6], [2, 2, 6]]);
  const level = new EmbDownBlock({ ...shared, layers: 2, addDown: false });
  assertEquals(level.call(random([1, 4, 4, 4], 1), emb).length, 2);
  const up = new EmbUpBlock({ ...shared, prevChannels: 5, layers: 3, addUp: true });
  // Channels tell which output each block took: 5 + 6, 6 + 6, 6 + 4.
  const states = [random([1, 4, 4, 4], 1), random([1, 4, 4, 6], 2), random([1, 4, 4, 6], 3)];
  assertEquals(up.call(random([1, 4, 4, 5], 4), emb, states).shape, [1, 8, 8, 6]);
});
