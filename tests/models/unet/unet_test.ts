/** UNet2DModel against Diffusers' output, gradients and training (tests/golden/unet-tiny.safetensors). */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Adam,
  decodeSafetensors,
  encodeSafetensors,
  F,
  fromTorch,
  type HostArray,
  loadWeights,
  Tape,
  tf,
  toTorch,
  type UNet2DConfig,
  UNet2DModel,
} from "../../../mod.ts";
import { assertClose, device, numbers, random } from "../../support.ts";

const { tensors } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/unet-tiny.safetensors", import.meta.url)),
);
/** The golden tensors whose name begins so, without that beginning. */
const golden = (prefix: string): Record<string, HostArray> =>
  Object.fromEntries(
    Object.entries(tensors).filter(([k]) => k.startsWith(prefix)).map((
      [k, v],
    ) => [k.slice(prefix.length), v]),
  );
const nhwc = (name: string) => tf.transpose(tensors[name].toTensor(), [0, 2, 3, 1]);

const TINY: Partial<UNet2DConfig> = {
  in_channels: 1,
  out_channels: 1,
  block_out_channels: [16, 32],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
  up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
  attention_head_dim: 8,
  norm_num_groups: 8,
};

function tiny(): UNet2DModel {
  const model = new UNet2DModel(TINY);
  model.loadStateDict(fromTorch(golden("param.")));
  return model;
}

/** WASM must be within 1e-4 of the largest; WebGPU's shaders may round more. */
const TOLERANCE = device.name === "wasm" ? 1e-4 : 1e-3;

Deno.test("golden: parameter names and shapes are Diffusers'", () => {
  const ours = new UNet2DModel(TINY).stateDict();
  assertEquals(Object.keys(ours).sort(), Object.keys(golden("param.")).sort());
});

Deno.test("golden: output, loss and every gradient", async () => {
  const model = tiny(), tape = new Tape();
  tape.start();
  const y = model.call(nhwc("x"), tensors.t.toTensor()).sample;
  const loss = F.mseLoss(y, nhwc("target"));
  tape.stop();
  await assertClose(tf.transpose(y, [0, 3, 1, 2]), tensors.y.data, TOLERANCE, "y");
  await assertClose(loss, tensors.loss.data, TOLERANCE, "loss");
  tape.backward(loss);
  const expected = golden("grad.");
  const largestOf = (g: HostArray) => Array.from(g.data).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const largest = Math.max(...Object.values(expected).map(largestOf));
  for (const [name, p] of model.namedParameters()) {
    const { grad } = await toTorch({ grad: p.grad! });
    // A key's bias shifts all scores of a row alike: its gradient is 0 but for rounding.
    if (largestOf(expected[name]) < 1e-6 * largest) continue;
    await assertClose(grad.data, expected[name].data, TOLERANCE, name);
  }
});

Deno.test("golden: ten steps of Adam", async () => {
  const model = tiny();
  const opt = new Adam(model.parameters(), { lr: 1e-3, eps: 1e-5 });
  const losses: number[] = [];
  const [x, t, target] = [nhwc("x"), tensors.t.toTensor(), nhwc("target")];
  for (let i = 0; i < 10; i++) {
    const tape = new Tape();
    tape.start();
    const loss = F.mseLoss(model.call(x, t).sample, target);
    tape.stop();
    tape.backward(loss);
    opt.step();
    opt.zeroGrad();
    losses.push((await numbers(loss))[0]);
  }
  losses.forEach((l, i) => {
    const expected = tensors.trajectory.data[i];
    assert(Math.abs(l / expected - 1) < 1e-3, `step ${i}: ${l} is not ${expected}`);
  });
});

Deno.test("one timestep for all equals the same for each; the lesson's parameter counts", async () => {
  const model = tiny(), x = nhwc("x");
  const one = model.call(x, 7).sample, each = model.call(x, tf.tensor1d([7, 7])).sample;
  await assertClose(one, each, 1e-6);
  await assertClose(model.call(x, tf.scalar(7)).sample, each, 1e-6);
  await assertClose(model.call(x, tf.tensor1d([7], "int32")).sample, each, 1e-6);
  const lesson = new UNet2DModel({
    in_channels: 1,
    out_channels: 1,
    block_out_channels: [16, 32, 64, 64],
    norm_num_groups: 8,
  });
  assertEquals(lesson.parameterCount(), 1_695_457);
});

Deno.test("images and timesteps that do not fit are refused", () => {
  assertThrows(
    () => tiny().call(tf.zeros([1, 16, 16, 3]), 0),
    Error,
    "takes images [N,H,W,1], not [1,16,16,3]",
  );
  assertThrows(() => tiny().call(tf.zeros([16, 16, 1]), 0), Error, "not [16,16,1]");
  assertThrows(
    () => tiny().call(tf.zeros([3, 16, 16, 1]), tf.zeros([2])),
    Error,
    "3 images take one timestep",
  );
  assertThrows(() => tiny().call(tf.zeros([1, 15, 16, 1]), 0), Error, "15×16 does not halve 1 times");
});

/** The golden names that begin so, in a file's tensors, without that beginning. */
const partOf = (all: Record<string, HostArray>, prefix: string): Record<string, HostArray> =>
  Object.fromEntries(
    Object.entries(all).filter(([k]) => k.startsWith(prefix)).map(([k, v]) => [k.slice(prefix.length), v]),
  );

for (const kind of ["table", "timestep"]) {
  Deno.test(`golden: classes by a ${kind}: output, loss, and the gradients of the embeddings`, async () => {
    const file = new URL(`../../golden/unet-class-${kind}.safetensors`, import.meta.url);
    const { tensors, metadata } = decodeSafetensors(await Deno.readFile(file));
    const model = new UNet2DModel(JSON.parse(metadata.config));
    await loadWeights(model, encodeSafetensors(partOf(tensors, "param.")));
    const image = (name: string) => tf.transpose(tensors[name].toTensor(), [0, 2, 3, 1]);
    const classes = tf.tensor1d([1, 7], "int32"), tape = new Tape();
    tape.start();
    const y = model.call(image("x"), tensors.t.toTensor(), classes).sample;
    const loss = F.mseLoss(y, image("target"));
    tape.stop();
    await assertClose(tf.transpose(y, [0, 3, 1, 2]), tensors.y.data, TOLERANCE, "y");
    await assertClose(loss, tensors.loss.data, TOLERANCE, "loss");
    tape.backward(loss);
    for (const [name, expected] of Object.entries(partOf(tensors, "grad."))) {
      if (!/^(class|time)_embedding/.test(name)) continue;
      const parameter = Array.from(model.namedParameters()).find(([own]) => own === name)![1];
      await assertClose(parameter.grad!, expected.data, TOLERANCE, name);
    }
  });
}

Deno.test("a class for all equals the same for each; embeddings of one's own are added to the timestep's", async () => {
  const x = random([2, 16, 16, 1], 1);
  const table = new UNet2DModel({ ...TINY, num_class_embeds: 5 });
  const each = table.call(x, 3, tf.tensor1d([4, 4], "int32")).sample;
  await assertClose(table.call(x, 3, 4).sample, each, 1e-6);
  const own = new UNet2DModel({ ...TINY, class_embed_type: "identity" });
  own.loadStateDict(table.stateDict(), false);
  const rows = tf.gather(table.stateDict()["class_embedding.weight"], tf.tensor1d([4, 4], "int32"));
  await assertClose(own.call(x, 3, rows).sample, each, 1e-6);
});

Deno.test("classes that do not fit the network are refused", () => {
  const x = tf.zeros([2, 16, 16, 1]), labels = tf.tensor1d([0, 1], "int32");
  const table = new UNet2DModel({ ...TINY, num_class_embeds: 5 });
  const own = new UNet2DModel({ ...TINY, class_embed_type: "identity" });
  assertThrows(() => tiny().call(x, 0, labels), Error, "without num_class_embeds");
  assertThrows(() => table.call(x, 0), Error, "takes classes");
  assertThrows(() => table.call(x, 0, tf.zeros([3], "int32")), Error, "classes has the shape [3]; 2 images");
  assertThrows(() => own.call(x, 0, 1), Error, "classes are [2,64], not 1");
  assertThrows(() => own.call(x, 0, tf.zeros([2, 32])), Error, "classes are [2,64], not [2,32]");
  if (device.name !== "wasm") return; // WebGPU is not waited for
  assertThrows(() => table.call(x, 0, 5), RangeError, "numbers lie in [0, 5), not 5");
  assertThrows(() => table.call(x, 0, 1.5), RangeError, "whole numbers, not 1.5");
});
