/** Each kind of config against Diffusers: output, loss, and the gradient of each parameter along a direction. */
import { assert, assertEquals } from "@std/assert";
import { decodeSafetensors, F, Tape, tf, toTorch, type UNet2DConfig, UNet2DModel } from "../../../mod.ts";
import { assertClose, device } from "../../support.ts";
import { formula, formulaState } from "./formula.ts";

const { tensors, metadata } = decodeSafetensors(
  await Deno.readFile(new URL("../../golden/unet-configs.safetensors", import.meta.url)),
);
const configs: Record<string, { config: Partial<UNet2DConfig>; numbers: number }> = JSON.parse(
  metadata.configs,
);

/** What software Vulkan has the time for: each kind of part once. */
const ON_WEBGPU = ["attention with resnets", "skip blocks, scale_shift"];

const nhwc = (name: string, shape: number[]) =>
  tf.transpose(formula(name, shape, 3).toTensor(), [0, 2, 3, 1]);

/** What a network is told of the classes, as make_unet.py does. */
function classesOf(model: UNet2DModel, n: number): tf.Tensor | undefined {
  const { class_embed_type, num_class_embeds } = model.config;
  if (class_embed_type === "identity") {
    return formula("classes", [n, model.time_embedding.linear_2.outFeatures]).toTensor();
  }
  return class_embed_type || num_class_embeds ? tf.tensor1d([2, 7].slice(0, n), "int32") : undefined;
}

for (const [name, { config, numbers }] of Object.entries(configs)) {
  Deno.test({
    name: `golden: ${name}: output, loss and gradients are Diffusers'`,
    ignore: device.name === "webgpu" && !ON_WEBGPU.includes(name),
    async fn() {
      const tolerance = device.name === "wasm" ? 1e-5 : 1e-3;
      const expected = (what: string) => tensors[`${name}/${what}`];
      const model = new UNet2DModel(config).eval(), shape = expected("y").shape, n = shape[0];
      model.loadStateDict(await formulaState(model));
      const state = Object.values(model.stateDict());
      assertEquals(state.reduce((sum, x) => sum + x.size, 0), numbers);
      const fourier = model.config.time_embedding_type === "fourier";
      const t = tf.tensor1d((fourier ? [0.7, 5.5] : [3, 71]).slice(0, n), fourier ? "float32" : "int32");
      const tape = new Tape();
      tape.start();
      const y = model.call(nhwc("x", shape), t, classesOf(model, n)).sample;
      const loss = F.mseLoss(y, nhwc("target", shape));
      tape.stop();
      tape.backward(loss);
      await assertClose(tf.transpose(y, [0, 3, 1, 2]), expected("y").data, tolerance, "y");
      await assertClose(loss, expected("loss").data, tolerance, "loss");
      const along: number[] = [], named = Array.from(model.namedParameters());
      for (const [name, { grad }] of named.sort(([a], [b]) => a < b ? -1 : 1)) {
        const { data, shape } = (await toTorch({ grad: grad! })).grad;
        const direction = formula(`${name} direction`, shape).data;
        along.push(Array.from(direction).reduce((sum, d, i) => sum + d * data[i], 0));
      }
      await assertClose(along, expected("grads").data, tolerance, "gradients");
    },
  });
}

Deno.test("the published networks are among the golden ones", () => {
  const published = Object.keys(configs).filter((name) => name.startsWith("ddpm-"));
  assertEquals(published, ["ddpm-cifar10-32", "ddpm-celebahq-256", "ddpm-cat-256", "ddpm-butterflies-128"]);
  assert(ON_WEBGPU.every((name) => name in configs));
});
