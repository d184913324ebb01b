/** Networks of EDM as files. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { decodeSafetensors, diffusion, encodeSafetensors, tf, toTorch, unet } from "../../../mod.ts";
import { assertClose, random, wasmOnly } from "../../support.ts";
import { TINY_OF_CLASSES } from "../../tiny.ts";

const { decodeEDMModel, encodeEDMModel } = diffusion;
const FACTS: diffusion.EDMFacts = {
  sigmaData: 0.7,
  classes: ["Bag", "Coat"],
  imagesSeen: 12_800,
  averageLength: 0.1,
};

const network = () => new unet.PatchUNet(TINY_OF_CLASSES);

Deno.test("a file brings the network, what is known of it, and a denoiser back", async () => {
  const model = network(), bytes = await encodeEDMModel(model, FACTS);
  const { denoise, model: loaded, ...facts } = await decodeEDMModel(bytes);
  assertEquals(facts, FACTS);
  assertEquals(loaded.config, model.config);
  const x = random([2, 8, 8, 1], 1), at = { α: 1, σ: 0.5, t: 0.5 }, classes = tf.tensor1d([0, 2], "int32");
  const own = diffusion.denoiser(model, { prediction: "edm", sigmaData: 0.7 });
  await assertClose(denoise(x, at, classes), own(x, at, classes), 1e-6);
});

Deno.test("an average's weights are written in place of the network's", async () => {
  const model = network(), weights = network().stateDict();
  const { model: loaded } = await decodeEDMModel(await encodeEDMModel(model, FACTS, { weights }));
  await assertClose(loaded.conv_in.weight, weights["conv_in.weight"], 0);
});

Deno.test("in F16 it takes half as many bytes, and gives nearly the same images", async () => {
  const model = network(), bytes = await encodeEDMModel(model, FACTS, { floats: "F16" });
  assert(bytes.length < 0.6 * (await encodeEDMModel(model, FACTS)).length);
  const { denoise } = await decodeEDMModel(bytes);
  const x = random([2, 8, 8, 1], 1), at = { α: 1, σ: 0.5, t: 0.5 }, classes = tf.tensor1d([0, 2], "int32");
  const own = diffusion.denoiser(model, { prediction: "edm", sigmaData: 0.7 });
  await assertClose(denoise(x, at, classes), own(x, at, classes), 1e-2);
});

Deno.test("files that are none are refused, naming what is wrong", async () => {
  const model = network(), bytes = await encodeEDMModel(model, FACTS);
  const { metadata } = decodeSafetensors(bytes), weights = await toTorch(model.stateDict());
  const refused = async (change: Record<string, string>, message: string, tensors = weights) => {
    const changed = encodeSafetensors(tensors, { ...metadata, ...change });
    await assertRejects(() => decodeEDMModel(changed, "m.safetensors"), Error, message);
  };
  const facts = (change: object) => ({ edm: JSON.stringify({ ...FACTS, ...change }) });
  await refused(facts({ sigmaData: 0 }), 'm.safetensors: "edm" of its metadata: "sigmaData" is 0');
  await refused(facts({ imagesSeen: -1 }), '"imagesSeen" is -1');
  await refused(facts({ classes: "Bag" }), '"classes" is "Bag"');
  await refused(facts({ averageLength: undefined }), '"averageLength" is missing');
  await refused({ edm: "{" }, 'm.safetensors: "edm" of its metadata');
  await refused(
    { config: JSON.stringify({ ...model.config, num_class_embeds: 4 }) },
    "class_embedding.weight",
  );
  await refused({ config: JSON.stringify({ ...model.config, patch_size: 0 }) }, "patch_size");
  const { "conv_in.weight": _, ...rest } = weights;
  await refused({}, "missing: conv_in.weight", rest);
  const plain = encodeSafetensors(weights);
  await assertRejects(() => decodeEDMModel(plain), Error, 'The file: its metadata lacks "edm"');
});

Deno.test(
  "edmSteps: as many levels as steps and one, of Karras et al., or a consistency model's",
  wasmOnly,
  () => {
    const { edmSteps, EDM_DRAWING: { sigmaMin, sigmaMax, steps, fewSteps } } = diffusion;
    for (const [few, n] of [[false, steps], [true, fewSteps]] as const) {
      const { levels, clip } = edmSteps(undefined, few);
      assertEquals([levels.length, levels.at(-1)!.σ, clip], [n + 1, 0, [-1, 1]]);
      assert(Math.abs(levels[0].σ / sigmaMax - 1) < 1e-9);
    }
    assert(Math.abs(edmSteps(5).levels[4].σ / sigmaMin - 1) < 1e-9);
    assertEquals(edmSteps(4, true).levels, diffusion.consistencyLevels(4, sigmaMax));
    for (const few of [false, true]) assertThrows(() => edmSteps(0, few), RangeError, "not 0");
  },
);
