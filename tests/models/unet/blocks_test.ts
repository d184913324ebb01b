/** The U-Net's parts by themselves; all together are compared with Diffusers in unet_test.ts. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { F, setSeed, type Tensor, tf, unet } from "../../../mod.ts";
import { assertClose, checkGradients, numbers, random } from "../../support.ts";

const NORM = { groups: 2, eps: 1e-5 };

Deno.test("ResnetBlock2D by hand, with a shortcut and a scale", async () => {
  const block = new unet.ResnetBlock2D({
    ...NORM,
    inChannels: 4,
    outChannels: 6,
    tembChannels: 3,
    outputScaleFactor: 2,
  });
  const x = random([2, 5, 5, 4], 1), temb = random([2, 3], 2);
  const h = tf.add(
    block.conv1.call(block.norm1.call(x)),
    tf.reshape(block.time_emb_proj.call(temb), [2, 1, 1, 6]),
  );
  const sum = tf.add(block.conv2.call(block.norm2.call(h as Tensor)), block.conv_shortcut!.call(x));
  await assertClose(block.call(x, temb), tf.div(sum, 2) as Tensor, 1e-5);
  const same = new unet.ResnetBlock2D({ ...NORM, inChannels: 4, outChannels: 4, tembChannels: 3 });
  assertEquals(same.conv_shortcut, null);
});

Deno.test("AttentionBlock by hand; heads that do not divide the channels are named", async () => {
  const block = new unet.AttentionBlock({ ...NORM, channels: 4, headDim: 2, rescaleOutputFactor: 2 });
  const x = random([2, 3, 3, 4], 3), tokens = tf.reshape(block.group_norm!.call(x), [2, 9, 4]);
  const attended = F.attention(block.query.call(tokens), block.key.call(tokens), block.value.call(tokens), 2);
  const sum = tf.add(tf.reshape(block.proj_attn.call(attended), [2, 3, 3, 4]), x);
  await assertClose(block.call(x), tf.div(sum, 2) as Tensor, 1e-5);
  assertEquals(new unet.AttentionBlock({ ...NORM, channels: 4, headDim: null }).heads, 1);
  assertThrows(() => new unet.AttentionBlock({ ...NORM, channels: 4, headDim: 3 }), Error, "heads of 3");
});

Deno.test("Downsample2D with padding 0: one row and column of zeros follow the last; Upsample2D doubles", async () => {
  const down = new unet.Downsample2D(2, 0), x = random([1, 4, 6, 2], 4);
  const padded = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]]) as Tensor;
  await assertClose(down.call(x), F.conv2d(padded, down.conv.weight, down.conv.bias, { stride: 2 }), 1e-5);
  assertEquals(down.call(x).shape, [1, 2, 3, 2]);
  assertEquals(new unet.Downsample2D(2, 1).call(x).shape, [1, 2, 3, 2]);
  assertEquals(new unet.Upsample2D(2).call(x).shape, [1, 8, 12, 2]);
});

Deno.test("DownBlock gives a state a layer, and UpBlock takes one for each, the last first", () => {
  const shared = { ...NORM, tembChannels: 3, addAttention: true, headDim: 2, layers: 2 };
  const options = { ...shared, inChannels: 2, outChannels: 4 };
  const down = new unet.DownBlock({ ...options, addDownsample: true, downsamplePadding: 1 });
  const temb = random([1, 3], 6), states = down.call(random([1, 4, 4, 2], 5), temb);
  assertEquals(states.map((s) => s.shape), [[1, 4, 4, 4], [1, 4, 4, 4], [1, 2, 2, 4]]);
  const up = new unet.UpBlock({ ...options, prevOutputChannel: 6, addUpsample: true });
  const skips = [random([1, 4, 4, 2], 7), random([1, 4, 4, 4], 8)];
  assertEquals(up.call(random([1, 4, 4, 6], 9), skips, temb).shape, [1, 8, 8, 4]);
});

Deno.test("numbers of which no block is made, and inputs of other shapes, are named", () => {
  const channels = { inChannels: 2, outChannels: 4, tembChannels: 3 };
  const levels = { ...NORM, ...channels, addAttention: true, headDim: 2 };
  const down = { ...levels, addDownsample: true, downsamplePadding: 1 };
  const up = { ...levels, prevOutputChannel: 4, addUpsample: true };
  const middle = { ...NORM, channels: 4, tembChannels: 3, addAttention: true, headDim: 2 };
  const refused: [make: () => unknown, message: string][] = [
    [() => new unet.ResnetBlock2D({ ...NORM, ...channels, outputScaleFactor: 0 }), "outputScaleFactor"],
    [() => new unet.UNetMidBlock2D({ ...middle, scaleFactor: -1 }), "above 0, not -1"],
    [() => new unet.AttentionBlock({ ...NORM, channels: 4, headDim: -2 }), "heads of -2"],
    [() => new unet.AttentionBlock({ ...NORM, channels: 4, headDim: 0 }), "heads of 0"],
    [
      () => new unet.AttentionBlock({ ...NORM, channels: 4, headDim: 2, rescaleOutputFactor: NaN }),
      "not NaN",
    ],
    [() => new unet.DownBlock({ ...down, layers: 0 }), "DownBlock: layers is a positive whole number, not 0"],
    [() => new unet.UpBlock({ ...up, layers: 1.5 }), "UpBlock: layers is a positive whole number, not 1.5"],
    [() => new unet.Downsample2D(2, 2), "padding is 0 or 1, not 2"],
    [() => new unet.Downsample2D(2, 0).call(tf.ones([4, 4, 2])), "takes [N,H,W,C], not [4,4,2]"],
    [
      () => new unet.AttentionBlock({ ...NORM, channels: 4, headDim: 2 }).call(tf.ones([2, 3, 4])),
      "takes [N,H,W,C], not [2,3,4]",
    ],
    [
      () => new unet.UpBlock({ ...up, layers: 2 }).call(tf.ones([1, 4, 4, 4]), [], tf.ones([1, 3])),
      "takes 2 skip connections, not 0",
    ],
  ];
  for (const [make, message] of refused) assertThrows(make, Error, message);
  for (const [size, padding, half] of [[5, 1, 3], [5, 0, 2], [4, 1, 2], [4, 0, 2]]) {
    const { shape } = new unet.Downsample2D(1, padding).call(tf.ones([1, size, size, 1]));
    assertEquals(shape, [1, half, half, 1]);
  }
});

/** Weights of a FIR filter along one axis, on numbers with zeros around. */
function filtered(values: number[], taps: number[], first: number): number {
  return taps.reduce((sum, tap, k) => sum + tap * (values[first + k] ?? 0), 0);
}

Deno.test("firDown and firUp are the filter (1, 3, 3, 1) along both axes, zeros around; they train", async () => {
  const rows = [3, -1, 4, 1, -5, 9], columns = [2, 7, -1, 8], taps = [1, 3, 3, 1];
  const image = tf.tensor4d(rows.flatMap((r) => columns.map((c) => r * c)), [1, 6, 4, 1]);
  const down = (v: number[]) => v.filter((_, i) => i % 2).map((_, i) => filtered(v, taps, 2 * i - 1) / 8);
  const up = (v: number[]) => {
    const apart = v.flatMap((x) => [x, 0]);
    return apart.map((_, i) => filtered(apart, taps, i - 2) / 4);
  };
  for (const [f, along] of [[unet.firDown, down], [unet.firUp, up]] as const) {
    const expected = along(rows).flatMap((r) => along(columns).map((c) => r * c));
    await assertClose(f(image), expected, 1e-6);
    await checkGradients(f, [random([2, 4, 6, 3], 1)]);
  }
  assertThrows(() => unet.firDown(tf.ones([1, 3, 4, 1])), Error, "H and W even, not [1,3,4,1]");
  assertThrows(() => unet.firUp(tf.ones([3, 4, 1])), Error, "not [3,4,1]");
});

Deno.test("ResnetBlock2D by hand, with a scale and a shift, pooled, of another activation", async () => {
  const block = new unet.ResnetBlock2D({
    ...NORM,
    inChannels: 4,
    outChannels: 6,
    tembChannels: 3,
    groupsOut: 3,
    act: "gelu",
    timeScaleShift: "scale_shift",
    resize: F.averagePool,
  });
  const x = random([2, 4, 6, 4], 1), temb = random([2, 3], 2);
  const h = block.conv1.call(F.averagePool(F.gelu(F.groupNorm(x, 2, block.norm1.weight, block.norm1.bias))));
  const [scale, shift] = tf.split(tf.reshape(block.time_emb_proj.call(temb), [2, 1, 1, 12]), 2, 3);
  const normed = F.groupNorm(h, 3, block.norm2.weight, block.norm2.bias);
  const told = tf.add(tf.mul(normed, tf.add(scale, 1)), shift);
  const past = block.conv_shortcut!.call(F.averagePool(x));
  await assertClose(block.call(x, temb), tf.add(block.conv2.call(F.gelu(told)), past) as Tensor, 1e-5);
});

const SKIP = { eps: 1e-5, tembChannels: 3, headDim: 8, layers: 2, inChannels: 4, outChannels: 8 };

Deno.test("SkipDownBlock halves the image beside the state and adds it; SkipUpBlock doubles one and adds to it", async () => {
  const down = new unet.SkipDownBlock({ ...SKIP, addAttention: false, addDownsample: true });
  const x = random([1, 4, 4, 4], 1), temb = random([1, 3], 2), image = random([1, 4, 4, 3], 3);
  const { states, image: half } = down.call(x, temb, image);
  assertEquals(states.map((s) => s.shape), [[1, 4, 4, 8], [1, 4, 4, 8], [1, 2, 2, 8]]);
  await assertClose(half, unet.firDown(image), 1e-6);
  const halved = down.resnet_down!.call(states[1], temb);
  await assertClose(states[2], tf.add(halved, down.skip_conv!.call(half)) as Tensor, 1e-6);
  const last = new unet.SkipDownBlock({ ...SKIP, addAttention: false, addDownsample: false });
  assertEquals(last.call(x, temb, image).states.length, 2);

  const up = new unet.SkipUpBlock({ ...SKIP, prevOutputChannel: 8, addAttention: false, addUpsample: true });
  const skips = [random([1, 2, 2, 4], 4), random([1, 2, 2, 8], 5)], y = random([1, 2, 2, 8], 6);
  const first = up.call(y, skips, temb, null), small = random([1, 1, 1, 3], 7);
  assertEquals([first.x.shape, first.image!.shape], [[1, 4, 4, 8], [1, 2, 2, 3]]);
  const second = up.call(y, skips, temb, small).image!;
  await assertClose(second, tf.add(first.image!, unet.firUp(small)) as Tensor, 1e-6);
  const top = new unet.SkipUpBlock({
    ...SKIP,
    prevOutputChannel: 8,
    addAttention: false,
    addUpsample: false,
  });
  assertEquals(top.call(y, skips, temb, null).image, null);
  assertThrows(() => up.call(y, [], temb, null), Error, "SkipUpBlock takes 2 skip connections, not 0");
});

Deno.test("blocks with a skip image and attention have 32 groups there, of channels that they divide", () => {
  const make = (outChannels: number) =>
    new unet.SkipDownBlock({ ...SKIP, outChannels, addAttention: true, addDownsample: true });
  assertEquals(make(32).attentions.map(({ group_norm }) => group_norm!.groups), [32, 32]);
  assertThrows(() => make(8), Error, "32 groups");
  const up = { ...SKIP, inChannels: 32, outChannels: 32, prevOutputChannel: 32 };
  assertEquals(new unet.SkipUpBlock({ ...up, addAttention: true, addUpsample: false }).attentions.length, 1);
});

Deno.test("dropout zeroes in training alone, by the shared generator", async () => {
  const level = { ...NORM, inChannels: 4, outChannels: 4, tembChannels: 3 };
  const make = (dropout: number) => new unet.ResnetBlock2D({ ...level, dropout });
  const block = make(0.5), plain = make(0), x = random([2, 4, 4, 4], 1), temb = random([2, 3], 2);
  plain.loadStateDict(block.stateDict());
  assertEquals([block.dropout!.p, plain.dropout], [0.5, null]);
  const draw = (seed: number) => {
    setSeed(seed);
    return numbers(block.call(x, temb));
  };
  assertEquals(await draw(1), await draw(1));
  assertNotEquals(await draw(1), await draw(2));
  block.eval();
  assertEquals(await draw(1), await numbers(plain.call(x, temb)));
  for (const p of [-0.1, 1.5, NaN]) assertThrows(() => make(p), RangeError, `not ${p}`);
  assert(make(1).call(x, temb).shape.length === 4);
});
