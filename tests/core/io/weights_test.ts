/** Weights as files. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  BatchNorm2d,
  Conv2d,
  decodeSafetensors,
  encodeSafetensors,
  HostArray,
  Linear,
  loadWeights,
  saveWeights,
  Sequential,
  toTorch,
  UNet2DModel,
} from "../../../mod.ts";
import { numbers } from "../../support.ts";
import { TINY } from "../../tiny.ts";

Deno.test("weights: PyTorch's layout in the file, ours in the model, and a misfit is named", async () => {
  const dir = await Deno.makeTempDir();
  const make = () => new Sequential(new Conv2d(2, 3, 3), new Linear(4, 5));
  const a = make(), b = make();
  await saveWeights(a, `${dir}/a.safetensors`, { made: "here" });
  const { tensors, metadata } = decodeSafetensors(await Deno.readFile(`${dir}/a.safetensors`));
  assertEquals([tensors["0.weight"].shape, tensors["1.weight"].shape, metadata], [[3, 2, 3, 3], [5, 4], {
    format: "pt",
    made: "here",
  }]);
  const ours = await numbers((a.layers[0] as Conv2d).weight);
  assertEquals(tensors["0.weight"].data[((1 * 2 + 0) * 3 + 2) * 3 + 1], ours[((2 * 3 + 1) * 2 + 0) * 3 + 1]);
  await loadWeights(b, `${dir}/a.safetensors`);
  assertEquals(await toTorch(b.stateDict()), await toTorch(a.stateDict()));
  await assertRejects(
    () => loadWeights(new Linear(1, 1), `${dir}/a.safetensors`),
    Error,
    "missing: weight, bias",
  );
  await Deno.remove(dir, { recursive: true });
});

Deno.test("weights: files that PyTorch and newer Diffusers write", async () => {
  const norm = new BatchNorm2d(2),
    { tensors } = decodeSafetensors(encodeSafetensors(await toTorch(norm.stateDict())));
  const counted = { ...tensors, num_batches_tracked: new HostArray(Int32Array.of(7), []) };
  assertEquals(await loadWeights(norm, encodeSafetensors(counted)), { missing: [], unexpected: [] });

  const make = () => new UNet2DModel(TINY);
  const [a, b] = [make(), make()];
  const newer: Record<string, string> = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" };
  const file: Record<string, HostArray> = {};
  let renamed = 0;
  for (const [name, array] of Object.entries(await toTorch(a.stateDict()))) {
    const other = name.replace(/(?<=attentions\.\d+\.)(query|key|value|proj_attn)/, (part) => newer[part]);
    if (other !== name) renamed++;
    file[other] = array;
  }
  assertEquals(renamed, 4 * 8); // an attention down, one in the middle, two up: each four weights and biases
  await loadWeights(b, encodeSafetensors(file));
  assertEquals(await toTorch(b.stateDict()), await toTorch(a.stateDict()));
});

Deno.test("weights: Fourier frequencies under the name that they had in Diffusers v0.11, alone or twice", async () => {
  const make = () => new UNet2DModel({ ...TINY, time_embedding_type: "fourier" });
  const a = make(), { "time_proj.weight": frequencies, ...others } = await toTorch(a.stateDict());
  const old: Record<string, HostArray> = { ...others, "time_proj.W": frequencies };
  for (const file of [old, { ...old, "time_proj.weight": frequencies }]) {
    const b = make();
    await loadWeights(b, encodeSafetensors(file));
    assertEquals(await toTorch(b.stateDict()), await toTorch(a.stateDict()));
  }
});

Deno.test("loadWeights names the path of a file that is missing, broken or of another model", async () => {
  const path = await Deno.makeTempFile(), model = new Linear(2, 3);
  const load = () => loadWeights(model, path);
  try {
    await assertRejects(load, Error, `Could not load ${path}: Not a valid safetensors file: 0 bytes`);
    await saveWeights(new Linear(3, 3), path);
    await assertRejects(load, Error, `Could not load ${path}: The state dict does not fit`);
    // Names that every object of JavaScript answers to are no names of the model's.
    for (const name of ["toString", "__proto__"]) {
      const tensors = {
        ...await toTorch(model.stateDict()),
        [name]: new HostArray(new Float32Array(1), [1]),
      };
      await Deno.writeFile(path, encodeSafetensors(tensors));
      await assertRejects(load, Error, `not in the model: ${name}`);
    }
  } finally {
    await Deno.remove(path);
  }
  const { cause } = await assertRejects(load, Error, `Could not load ${path}: No such file`);
  assert(cause instanceof Deno.errors.NotFound);
});

Deno.test("saveWeights names the path that it could not write; loadWeights tells what did not fit, where it may not", async () => {
  const dir = await Deno.makeTempDir(), model = new Linear(2, 3), path = `${dir}/w.safetensors`;
  await assertRejects(
    () => saveWeights(model, `${dir}/no/w`),
    Error,
    `Could not write ${dir}/no/w: No such file`,
  );
  await saveWeights(model, path, undefined);
  const { tensors, metadata } = decodeSafetensors(await Deno.readFile(path));
  assertEquals({ ...metadata }, { format: "pt" });
  const other = encodeSafetensors({ weight: tensors.weight, scale: tensors.bias });
  assertEquals(await loadWeights(model, other, false), { missing: ["bias"], unexpected: ["scale"] });
  await assertRejects(() => loadWeights(model, other, undefined), Error, "missing: bias");
  await Deno.remove(dir, { recursive: true });
});
