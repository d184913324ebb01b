/** Pipelines as directories: what Diffusers writes and draws (tests/golden/pipeline.json), round trips, what is refused. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  diffusion,
  encodeSafetensors,
  HostArray,
  linearSchedule,
  tf,
  toTorch,
  UNet,
  unet,
  UNet2DModel,
} from "../../../../mod.ts";
import { sha256 } from "../../../../core/mod.ts";
import { serveFiles } from "../../../files_server.ts";
import { type Hub, withHub } from "../../../hub.ts";
import { assertClose, wasmOnly } from "../../../support.ts";
import { TINY } from "../../../tiny.ts";
import { formula, formulaState } from "../../unet/formula.ts";

interface Golden {
  files: Record<string, Record<string, unknown>>;
  steps: number;
  images: number[];
}

const golden: Record<string, Golden> = JSON.parse(
  await Deno.readTextFile(new URL("../../../golden/pipeline.json", import.meta.url)),
);

const WEIGHTS = "unet/diffusion_pytorch_model";
const NCHW = [2, 3, 8, 8];

/** Runs with a directory that is removed afterwards. */
async function inDirectory(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Writes the files of a golden pipeline, with weights by the formula. */
async function writeGolden(dir: string, files: Golden["files"]): Promise<Record<string, HostArray>> {
  for (const part of ["unet", "scheduler"]) await Deno.mkdir(`${dir}/${part}`, { recursive: true });
  for (const [path, json] of Object.entries(files)) {
    await Deno.writeTextFile(`${dir}/${path}`, JSON.stringify(json));
  }
  const model = new UNet2DModel(files["unet/config.json"]);
  model.loadStateDict(await formulaState(model));
  const arrays = await toTorch(model.stateDict());
  model.dispose();
  await Deno.writeFile(`${dir}/${WEIGHTS}.safetensors`, encodeSafetensors(arrays));
  return arrays;
}

const noise = (n: number) => tf.transpose(formula(`noise ${n}`, NCHW, 3).toTensor(), [0, 2, 3, 1]);

for (const [name, { files, steps, images }] of Object.entries(golden)) {
  Deno.test({
    name: `golden: ${name}: Diffusers' files are read, draw what it draws, and are written again`,
    ...wasmOnly,
    fn: () =>
      inDirectory(async (dir) => {
        await writeGolden(dir, files);
        const { kind, model, scheduler, denoise } = await diffusion.loadPipeline(dir);
        assert(!model.training);
        assertEquals(kind, files["model_index.json"]._class_name);
        const sampling = scheduler.sampling(steps), shape: [number, number, number, number] = [2, 8, 8, 3];
        const drawn = await diffusion.sample(denoise, shape, {
          ...sampling,
          xT: noise(0),
          noise: (n) => noise(n + 1),
        });
        await assertClose(tf.transpose(drawn.toTensor(), [0, 3, 1, 2]), images, 1e-4, name);

        const back = `${dir}/back`;
        await diffusion.savePipeline(back, { model, scheduler: scheduler.config });
        for (const [path, { _use_default_values: _, ...json }] of Object.entries(files)) {
          const ours = JSON.parse(await Deno.readTextFile(`${back}/${path}`));
          assertEquals(ours, { ...json, ...path === "unet/config.json" ? { sample_size: 8 } : {} });
        }
        const [a, b] = await Promise.all(
          [dir, back].map((dir) => Deno.readFile(`${dir}/${WEIGHTS}.safetensors`)),
        );
        assertEquals(a, b);
      }),
  });
}

/** Numbers that 16 bits hold: those with few digits. */
const coarse = ({ data, shape }: HostArray): HostArray =>
  new HostArray(Float32Array.from(data, (x) => Math.round(x * 64) / 64), shape);

Deno.test({
  name: "weights in shards, in half precision and under a variant's name are the same network",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      const { files } = golden.DDIM, whole = await writeGolden(dir, files);
      const arrays = Object.fromEntries(Object.entries(whole).map(([k, a]) => [k, coarse(a)]));
      const read = async (options?: diffusion.LoadPipelineOptions) => {
        const { model } = await diffusion.loadPipeline(dir, options);
        const state = await toTorch(model.stateDict());
        return Object.fromEntries(Object.entries(state).map(([k, { data }]) => [k, Array.from(data)]));
      };
      const expected = Object.fromEntries(
        Object.entries(arrays).map(([k, { data }]) => [k, Array.from(data)]),
      );
      const half = encodeSafetensors(arrays, {}, { floats: "F16" });
      await Deno.writeFile(`${dir}/${WEIGHTS}.fp16.safetensors`, half);
      assertEquals(await read({ variant: "fp16" }), expected);
      await Deno.remove(`${dir}/${WEIGHTS}.safetensors`);
      await assertRejects(() => read(), Error, "diffusion_pytorch_model.safetensors is not there");

      const names = Object.keys(arrays), shards = [names.slice(0, 50), names.slice(50)];
      const weight_map: Record<string, string> = {};
      for (const [i, shard] of shards.entries()) {
        const file = `diffusion_pytorch_model-0000${i + 1}-of-00002.safetensors`;
        for (const name of shard) weight_map[name] = file;
        const bytes = encodeSafetensors(Object.fromEntries(shard.map((name) => [name, arrays[name]])));
        await Deno.writeFile(`${dir}/unet/${file}`, bytes);
      }
      const index = `${dir}/${WEIGHTS}.safetensors.index.json`;
      await Deno.writeTextFile(index, JSON.stringify({ metadata: { total_size: 0 }, weight_map }));
      assertEquals(await read(), expected);
    }),
});

/** What is changed in a good directory, and what the error says. */
const HOSTILE: [what: string, change: (dir: string) => Promise<void>, says: string[]][] = [];
const json = (path: string, change: (value: Record<string, unknown>) => unknown) => async (dir: string) => {
  const value = JSON.parse(await Deno.readTextFile(`${dir}/${path}`));
  await Deno.writeTextFile(`${dir}/${path}`, JSON.stringify(change(value)));
};
const index = (file: string) => async (dir: string) => {
  await Deno.remove(`${dir}/${WEIGHTS}.safetensors`);
  const weight_map = { "conv_in.bias": file };
  await Deno.writeTextFile(`${dir}/${WEIGHTS}.safetensors.index.json`, JSON.stringify({ weight_map }));
};
for (
  const file of [
    "../../secret.safetensors",
    "/etc/passwd",
    "..\\x.safetensors",
    "a.bin",
    ".safetensors/..",
    "",
  ]
) {
  HOSTILE.push([`an index that names ${file}`, index(file), [
    "index.json",
    "no name of a .safetensors file",
  ]]);
}
HOSTILE.push(
  ["an index that names no file that is there", index("a.safetensors"), ["which is not there"]],
  ["pickled weights", async (dir) => {
    await Deno.rename(`${dir}/${WEIGHTS}.safetensors`, `${dir}/${WEIGHTS}.bin`);
  }, ["is pickled", "save_pretrained"]],
  ["weights of another size", json("unet/config.json", (c) => ({ ...c, block_out_channels: [8, 8] })), [
    "diffusion_pytorch_model.safetensors",
    "has shape",
  ]],
  [
    "a network too large for its file",
    json("unet/config.json", (c) => ({ ...c, block_out_channels: [8, 1e9] })),
    [
      "unet/config.json is of a network of over",
    ],
  ],
  ["a table too large for the file", json("unet/config.json", (c) => ({ ...c, num_class_embeds: 1e12 })), [
    "is of a network of over",
  ]],
  ["a file too large for the network", async (dir) => {
    await Deno.truncate(`${dir}/${WEIGHTS}.safetensors`, 1e9);
  }, ["1000000000 bytes; the model's"]],
  ["a field that is not known", json("unet/config.json", (c) => ({ ...c, addition_embed_type: "text" })), [
    "unet/config.json",
    '"addition_embed_type" ("text")',
  ]],
  ["another network", json("unet/config.json", (c) => ({ ...c, _class_name: "UNet1DModel" })), [
    "UNet1DModel",
  ]],
  ["a config that is none", json("unet/config.json", () => [1]), ["a config is an object, not [1]"]],
  ["another pipeline", json("model_index.json", (c) => ({ ...c, _class_name: "StableDiffusionPipeline" })), [
    '"_class_name" is "StableDiffusionPipeline", not "DDPMPipeline" or "DDIMPipeline"',
  ]],
  ["code of a repository", json("model_index.json", (c) => ({ ...c, unet: ["my_unet", "UNet2DModel"] })), [
    '"my_unet"',
    "no code of a repository is run",
  ]],
  [
    "another scheduler",
    json("scheduler/scheduler_config.json", (c) => ({ ...c, _class_name: "ScoreSdeVeScheduler" })),
    ["scheduler_config.json", "ScoreSdeVeScheduler"],
  ],
  ["no index", (dir) => Deno.remove(`${dir}/model_index.json`), ["Could not read", "model_index.json"]],
  ["an index that is no JSON", (dir) => Deno.writeTextFile(`${dir}/model_index.json`, "import os"), [
    "Could not read",
    "model_index.json",
  ]],
  ["an index of 20 MB", (dir) => Deno.writeTextFile(`${dir}/model_index.json`, " ".repeat(2e7)), [
    "20000000 bytes, over the limit",
  ]],
);

for (const [what, change, says] of HOSTILE) {
  Deno.test({
    name: `loadPipeline refuses ${what}, and leaves no tensor`,
    ...wasmOnly,
    fn: () =>
      inDirectory(async (dir) => {
        await writeGolden(dir, golden.DDIM.files);
        await change(dir);
        const before = tf.memory().numTensors;
        const { message } = await assertRejects(() => diffusion.loadPipeline(dir), Error);
        for (const part of says) assert(message.includes(part), message);
        assertEquals(tf.memory().numTensors, before);
      }),
  });
}

Deno.test({
  name: "DDIMPipeline draws by DDIM with a DDPMScheduler, as Diffusers makes one of it",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      const { files } = golden["DDPM, fixed_large, linspace"];
      await writeGolden(dir, { ...files, "model_index.json": golden.DDIM.files["model_index.json"] });
      await assertRejects(() => diffusion.loadPipeline(dir), Error, '"timestep_spacing" is "linspace"');
      await json("scheduler/scheduler_config.json", (c) => ({ ...c, timestep_spacing: "leading" }))(dir);
      const { scheduler } = await diffusion.loadPipeline(dir);
      assertEquals(scheduler.config._class_name, "DDIMScheduler");
    }),
});

Deno.test({
  name: "a DPM-Solver's config is read as Python writes it, with -Infinity, and written without",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      await writeGolden(dir, golden.DDPM.files);
      const path = `${dir}/scheduler/scheduler_config.json`;
      const fields = '"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3, "variance_type": null';
      const note = '"_note": "a \\"-Infinity\\", NaN"';
      await Deno.writeTextFile(path, `{${fields}, ${note}, "lambda_min_clipped": -Infinity}`);
      const { model, scheduler: { config } } = await diffusion.loadPipeline(dir);
      assertEquals(config.solver_order, 3);
      await diffusion.savePipeline(dir, { model, scheduler: config });
      const written = JSON.parse(await Deno.readTextFile(path));
      assertEquals([written.solver_order, written.variance_type], [3, null]);
      assert(!("lambda_min_clipped" in written || "clip_sample" in written));
      assertEquals((await diffusion.loadPipeline(dir)).scheduler.config, config);
      await assertRejects(
        () => diffusion.savePipeline(dir, { model, scheduler: { _class_name: "EulerDiscreteScheduler" } }),
        Error,
        "not EulerDiscreteScheduler",
      );
    }),
});

Deno.test({
  name:
    "savePipeline: the lesson's network with its schedule, card and picture; what Diffusers would not read is refused",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      const model = new UNet(TINY), config = diffusion.schedulerConfig(linearSchedule({ nSteps: 50 }));
      const picture = Uint8Array.of(1, 2, 3);
      await diffusion.savePipeline(dir, { model, scheduler: config, size: 8, card: "Loss 0.02.\n", picture });
      const range = [-0.5, 1.5] as const;
      await diffusion.savePipeline(`${dir}/other`, { model, scheduler: config, size: 8, range });
      const other = await Deno.readTextFile(`${dir}/other/README.md`);
      assert(
        other.includes('pipeline(batch_size=4, num_inference_steps=50, output_type="np").images'),
        other,
      );
      assert(other.includes("they go from -0.5 to 1.5."), other);
      assert(other.includes("images = ((2 * images - 1 + 0.5) / 2).clip(0, 1)"), other);
      const card = await Deno.readTextFile(`${dir}/README.md`);
      assert(card.startsWith("---\nlibrary_name: diffusers\n"));
      assert(card.includes("\nLoss 0.02.\n\n![Samples](samples.png)\n"), card);
      assertEquals(await Deno.readFile(`${dir}/samples.png`), picture);
      const loaded = await diffusion.loadPipeline(dir);
      assertEquals(loaded.model.config, { ...model.config, sample_size: 8 });
      assertEquals(loaded.scheduler.config.variance_type, "fixed_large");
      const [a, b] = [await toTorch(model.stateDict()), await toTorch(loaded.model.stateDict())];
      assertEquals(b, a);
      await assertRejects(
        () => diffusion.savePipeline(dir, { model, scheduler: config }),
        Error,
        "give size",
      );
      const patches = new unet.PatchUNet({ ...TINY, patch_size: 2, sample_size: 8 });
      await assertRejects(
        () => diffusion.savePipeline(dir, { model: patches, scheduler: config }),
        Error,
        'no config field "patch_size"',
      );
    }),
});

const PARTS = ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"];

/** The files of a directory with a golden pipeline, by their paths. */
async function filesOf(dir: string): Promise<Record<string, Uint8Array>> {
  const paths = [...PARTS, `${WEIGHTS}.safetensors`];
  return Object.fromEntries(
    await Promise.all(paths.map(async (path) => [path, await Deno.readFile(`${dir}/${path}`)])),
  );
}

/** A pipeline's numbers, and its scheduler. */
async function loaded(where: string, options: diffusion.LoadPipelineOptions = {}): Promise<unknown> {
  const { kind, model, scheduler: { config } } = await diffusion.loadPipeline(where, options);
  const state = await toTorch(model.stateDict());
  model.dispose();
  return { kind, config, state };
}

Deno.test({
  name:
    "loadPipeline: a directory, its address and the Hub's model are the same pipeline, also where it has no parts",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      const { files } = golden.DDIM, downloadDir = `${dir}/downloads`;
      await writeGolden(dir, files);
      const expected = await loaded(dir), parts = await filesOf(dir);
      const name = (path: string) => path.replace(/.*\//, "");
      const flat = Object.fromEntries(Object.entries(parts).map(([path, bytes]) => [name(path), bytes]));
      await Deno.mkdir(`${dir}/flat`);
      for (const [path, bytes] of Object.entries(flat)) await Deno.writeFile(`${dir}/flat/${path}`, bytes);
      assertEquals(await loaded(`${dir}/flat`), expected);

      await using server = serveFiles(dir);
      assertEquals(await loaded(server.url, { downloadDir }), expected);
      assertEquals(await loaded(`${server.url}/flat`, { downloadDir }), expected);
      const asked = server.asked.length;
      assertEquals(await loaded(server.url, { downloadDir }), expected);
      assertEquals(server.asked.length, asked); // they are there

      const others = Object.fromEntries(
        ["README.md", `${WEIGHTS}.bin`, `${WEIGHTS}.fp16.safetensors`, "model.onnx"].map((
          path,
        ) => [path, Uint8Array.of(1)]),
      );
      const hub: Hub = {
        "models/me/ddim": { main: { ...parts, ...others }, old: flat },
        "models/me/two": { main: { "a/model_index.json": Uint8Array.of(), ...prefixed("b/", parts) } },
      };
      await withHub(hub, {}, async (seen, _, stop) => {
        assertEquals(await loaded("me/ddim"), expected);
        assertEquals(
          seen.sort(),
          [...PARTS, `${WEIGHTS}.safetensors`].map((path) => `me/ddim/${path}`).sort(),
        );
        assertEquals(await loaded("me/ddim@old"), expected);
        assertEquals(await loaded("hf://me/two/b"), expected);
        await stop();
        for (const where of ["me/ddim", "hf://me/ddim", "hf://me/ddim@old"]) {
          assertEquals(await loaded(where), expected);
        }
        const says =
          `hf://me/ddim/${WEIGHTS}.fp16.safetensors is not in the cache, and the Hub could not be asked`;
        await assertRejects(() => loaded("me/ddim", { variant: "fp16" }), Error, says);
      });
    }),
});

/** Files under a folder's name. */
const prefixed = (folder: string, files: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [folder + path, bytes]));

Deno.test({
  name: "loadPipeline: shards and a variant from an address and the Hub, by the SHA-256 that they must have",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      const arrays = await writeGolden(dir, golden.DDIM.files), names = Object.keys(arrays);
      const expected = await loaded(dir),
        whole = await filesOf(dir),
        first = `${WEIGHTS}-00001-of-00002.safetensors`;
      await Deno.remove(`${dir}/${WEIGHTS}.safetensors`);
      const weight_map: Record<string, string> = {};
      for (const [i, shard] of [names.slice(0, 50), names.slice(50)].entries()) {
        const file = first.replace("00001", `0000${i + 1}`), of = shard.map((name) => [name, arrays[name]]);
        await Deno.writeFile(`${dir}/${file}`, encodeSafetensors(Object.fromEntries(of)));
        for (const name of shard) weight_map[name] = file.replace("unet/", "");
      }
      const index = `${WEIGHTS}.safetensors.index.v2.json`;
      await Deno.writeTextFile(`${dir}/${index}`, JSON.stringify({ weight_map }));
      const read = async (paths: string[]) =>
        Object.fromEntries(
          await Promise.all(paths.map(async (path) => [path, await Deno.readFile(`${dir}/${path}`)])),
        );
      const files = await read([...PARTS, index, first, first.replace("00001", "00002")]);
      const hash = await sha256(files[first]);

      await using server = serveFiles(dir);
      await withHub(
        { "models/me/net": { main: files }, "models/me/broken": { main: whole } },
        {},
        async () => {
          for (const where of [server.url, "me/net"]) {
            const options = { variant: "v2", downloadDir: `${dir}/downloads` };
            assertEquals(
              await loaded(where, {
                ...options,
                sha256: { [first]: hash, [index]: await sha256(files[index]) },
              }),
              expected,
            );
            const wrong = { ...options, sha256: { [first]: hash.replaceAll(/\d/g, "0") } };
            await assertRejects(() => loaded(where, wrong), Error, `${first}: its SHA-256 is ${hash}, not `);
            const other = { ...options, sha256: { [`${WEIGHTS}.safetensors`]: hash } };
            const says =
              `${where}: sha256 has ${WEIGHTS}.safetensors, and what is read is model_index.json, unet/config.json`;
            await assertRejects(() => loaded(where, other), Error, says);
          }
          await assertRejects(
            () => loaded("me/broken"),
            Error,
            "the SHA-256 of unet/diffusion_pytorch_model.safetensors is ",
          );
        },
      );
    }),
});

Deno.test({
  name:
    "loadPipeline: what is missing, private, pickled, hostile or too large on the web and the Hub is not downloaded",
  ...wasmOnly,
  fn: () =>
    inDirectory(async (dir) => {
      await writeGolden(dir, golden.DDIM.files);
      const { [`${WEIGHTS}.safetensors`]: weights, ...parts } = await filesOf(dir),
        downloadDir = `${dir}/downloads`;
      const index = new TextEncoder().encode(
        JSON.stringify({ weight_map: { a: "../../../secret.safetensors" } }),
      );
      const hub: Hub = {
        "models/me/nothing": { main: { "README.md": Uint8Array.of(1) } },
        "models/me/private": { main: parts },
        "models/me/pickled": { main: { ...parts, [`${WEIGHTS}.bin`]: weights } },
        "models/me/hostile": { main: { ...parts, [`${WEIGHTS}.safetensors.index.json`]: index } },
        "models/me/large": { main: { ...parts, [`${WEIGHTS}.safetensors`]: new Uint8Array(4e6) } },
        "models/me/index": { main: { ...parts, "model_index.json": new Uint8Array(17e6) } },
        "models/me/evil": { main: { ...parts, "../../x.json": index } },
      };
      const refusals: [name: string, says: string[]][] = [
        ["nothing", ["/model_index.json", ": it is not there"]],
        ["pickled", [
          `/${WEIGHTS}.bin is pickled`,
          'M.from_pretrained("DIR")',
          "with DIR a copy of ",
          "/unet on this disk",
        ]],
        ["hostile", [`/${WEIGHTS}.safetensors.index.json: "../../../secret.safetensors" is no name`]],
        ["large", [`/${WEIGHTS}.safetensors: 4000000 bytes; the model's`]],
        ["index", ["/model_index.json: it has 17000000 bytes, over the limit"]],
      ];
      for (const [name, revisions] of Object.entries(hub)) {
        if (name.endsWith("evil")) continue;
        for (const [path, bytes] of Object.entries(revisions.main)) {
          const place = `${dir}/${name}/${path}`;
          await Deno.mkdir(place.replace(/\/[^/]*$/, ""), { recursive: true });
          await Deno.writeFile(place, bytes);
        }
      }
      await using server = serveFiles(`${dir}/models/me`);
      const before = tf.memory().numTensors;
      await withHub(hub, {}, async (seen) => {
        for (const [name, says] of refusals) {
          for (const where of [`${server.url}/${name}`, `me/${name}`]) {
            const { message } = await assertRejects(
              () => diffusion.loadPipeline(where, { downloadDir }),
              Error,
            );
            for (const part of says) assert(message.includes(part), message);
          }
        }
        const large = [...seen, ...server.asked.filter((what) => !what.endsWith(" 0-0"))];
        assertEquals(large.filter((path) => /bin$|safetensors$|index\/model_index/.test(path)), []);
        const refused = (where: string, says: string) =>
          assertRejects(() => diffusion.loadPipeline(where), Error, `hf://${where}: ${says}`);
        await refused(
          "me/none",
          "there is no such model, revision or file, or it is private: HF_TOKEN is to be",
        );
        await refused(
          "me/private",
          "there is no such model, revision or file, or it is private: HF_TOKEN is to be",
        );
        await refused("me/pickled@v9", "there is no such model, revision or file");
        await refused("me/evil", "the Hub names a file ../../x.json");
        await withHub(hub, { HF_TOKEN: "hf_wrong" }, () =>
          refused("me/private", "it may not be read with this HF_TOKEN; see http://").then(() => {}));
        await withHub(hub, { HF_TOKEN: "hf_right" }, async () => {
          await assertRejects(
            () =>
              diffusion.loadPipeline("me/private"),
            Error,
            "There are no weights: hf://me/private/unet/",
          );
        });
      });
      assertEquals(tf.memory().numTensors, before);
    }),
});
