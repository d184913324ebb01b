/** The U-Nets from scratch of notebook 28. */
import { assertEquals, assertThrows } from "@std/assert";
import { CondUNetModel, EmbUNetModel, F, Tape, tf, timestepEmbedding } from "../../../mod.ts";
import { assertClose, random } from "../../support.ts";

const SMALL = { in_channels: 1, out_channels: 1, nfs: [8, 16] };

Deno.test("the notebook's parameter counts", () => {
  // Counted by the notebook's definitions, layer by layer.
  const notebook = { in_channels: 1, out_channels: 1, nfs: [32, 64, 128, 256], num_layers: 2 };
  assertEquals(new EmbUNetModel(notebook).parameterCount(), 14_755_552);
  assertEquals(new CondUNetModel(10, notebook).parameterCount(), 13_023_072);
  assertEquals(new EmbUNetModel(SMALL).parameterCount(), 41_536);
  assertEquals(new CondUNetModel(3, SMALL).parameterCount(), 38_272);
});

Deno.test("parameters have PyTorch's names", () => {
  const names = Object.keys(new CondUNetModel(3, SMALL).stateDict());
  for (
    const name of [
      "conv_in.weight",
      "emb_mlp.0.0.running_mean",
      "emb_mlp.0.2.weight",
      "emb_mlp.1.1.bias",
      "cond_emb.weight",
      "downs.0.resnets.0.emb_proj.weight",
      "downs.0.resnets.0.conv1.0.weight",
      "downs.0.resnets.0.conv1.2.weight",
      "downs.0.down.weight",
      "mid_block.conv2.2.bias",
      "ups.0.resnets.1.idconv.weight",
      "ups.0.up.1.weight",
      "conv_out.2.weight",
    ]
  ) assertEquals(names.includes(name), true, name);
  assertEquals(names.includes("conv_out.2.bias"), false);
  const attention = Object.keys(new EmbUNetModel(SMALL).stateDict()).filter((name) => name.includes("attn"));
  assertEquals(attention.filter((name) => name.endsWith("qkv.weight")), [
    "downs.1.resnets.0.attn.qkv.weight",
    "ups.0.resnets.0.attn.qkv.weight",
    "ups.0.resnets.1.attn.qkv.weight",
  ]);
});

Deno.test("the forward by hand, from its blocks", async () => {
  const model = new CondUNetModel(3, SMALL), x = random([2, 8, 8, 1], 1);
  const t = tf.tensor1d([0.2, 0.7]), classes = tf.tensor1d([2, 0], "int32");
  const emb = tf.add(model.emb_mlp.call(timestepEmbedding(t, 8)), model.cond_emb.call(classes));
  const first = model.conv_in.call(x);
  const [a, halved] = model.downs[0].call(first, emb as never);
  const [b] = model.downs[1].call(halved, emb as never);
  const middle = model.mid_block.call(b, emb as never);
  const up = model.ups[0].call(middle, emb as never, [halved, b]);
  const expected = model.conv_out.call(model.ups[1].call(up, emb as never, [first, a]));
  const y = model.call([x, t, classes]);
  assertEquals(y.shape, [2, 8, 8, 1]);
  await assertClose(y, expected, 1e-4);
  await assertClose(model.call(x, t, classes), expected, 1e-4);
});

Deno.test("gradients reach every parameter, and one timestep is for all", async () => {
  const emb = new EmbUNetModel(SMALL), cond = new CondUNetModel(3, SMALL), x = random([2, 8, 8, 1], 1);
  const outputs = [() => emb.call([x, 0.3]), () => cond.call([x, 0.3, tf.tensor1d([0, 2], "int32")])];
  for (const [i, model] of [emb, cond].entries()) {
    const tape = new Tape();
    tape.start();
    const loss = F.mseLoss(outputs[i](), x);
    tape.stop();
    tape.backward(loss);
    assertEquals(Array.from(model.namedParameters()).filter(([, p]) => !p.grad).map(([name]) => name), []);
  }
  await assertClose(emb.call(x, 0.3), emb.call(x, tf.tensor1d([0.3, 0.3])), 1e-5);
});

Deno.test("what does not fit is refused", () => {
  const emb = new EmbUNetModel(SMALL), cond = new CondUNetModel(3, SMALL), x = tf.zeros([2, 8, 8, 1]);
  assertThrows(() => emb.call(x), Error, "there is no t");
  assertThrows(() => cond.call(x, 0.3), Error, "there are no classes");
  assertThrows(() => cond.call(x, 0.3, tf.zeros([3], "int32")), Error, "classes are [2], not [3]");
  assertThrows(() => emb.call([tf.zeros([2, 8, 8, 3]), 0]), Error, "EmbUNetModel takes images [N,H,W,1]");
  assertThrows(() => emb.call([tf.zeros([2, 7, 8, 1]), 0]), Error, "7×8 does not halve 1 times");
  assertThrows(() => emb.call([x, tf.zeros([3])]), Error, "t has the shape [3]; 2 images");
  assertThrows(() => new EmbUNetModel({ nfs: [] }), RangeError, "at least one level");
  assertThrows(() => new EmbUNetModel({ ...SMALL, attn_chans: 5 }), RangeError, "16 channels do not divide");
  assertThrows(() => new CondUNetModel(0, SMALL), RangeError, "count must be");
});
