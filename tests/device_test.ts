/** Choosing a device, and the same training on both. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Adam, currentDevice, F, Generator, setSeed, Tape, tf, UNet2DModel, useDevice } from "../mod.ts";
import { assertClose, device, numbers, wasmOnly } from "./support.ts";

Deno.test("the device in use is told; asking again gives it; an unknown name is an error", async () => {
  assertEquals(currentDevice(), device);
  assertEquals(await useDevice("auto", { log: null }), device);
  await assertRejects(
    () => useDevice("cuda" as never),
    RangeError,
    'Unknown device "cuda": one of auto, webgpu, wasm',
  );
});

/** Runs a script on its own and gives what it printed. */
async function script(source: string, env: Record<string, string>, args: string[] = []): Promise<string> {
  const text = source.replace("MOD", new URL("../mod.ts", import.meta.url).href);
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, text);
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-env", ...args, path],
    env: { NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(60_000),
  }).output();
  await Deno.remove(path);
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

const NAME = `import { useDevice } from "MOD"; console.log((await useDevice()).name);`;
const FAKE = (info: string) =>
  `Object.defineProperty(navigator, "gpu", { value: { requestAdapter: () => Promise.resolve(${info}) } });`;

Deno.test({
  name: "auto leaves software adapters alone and says why; DENOISE_DEVICE overrides it",
  ...wasmOnly,
  async fn() {
    const software = FAKE(`{ info: { description: "llvmpipe", isFallbackAdapter: false } }`);
    const out = await script(software + NAME, { DENOISE_DEVICE: "" });
    assert(/^wasm$/m.test(out) && out.includes("the only WebGPU adapter is software (llvmpipe)"), out);
    const none = FAKE("null");
    const auto = await script(none + NAME, { DENOISE_DEVICE: "" });
    assert(auto.includes("no WebGPU adapter"), auto);
    const named = await script(none + NAME, { DENOISE_DEVICE: "webgpu" });
    assert(named.includes("Device webgpu was asked for, but there is no WebGPU adapter here"), named);
    assert(!/^wasm$/m.test(named), "a device that was named must not be switched");
  },
});

Deno.test({
  name: "three steps of training on this device give WASM's losses",
  ignore: device.name === "wasm",
  async fn() {
    const losses = async () => {
      setSeed(3);
      const model = new UNet2DModel({
        ...{ in_channels: 1, out_channels: 1, block_out_channels: [8, 16], layers_per_block: 1 },
        down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
        up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
        ...{ attention_head_dim: 4, norm_num_groups: 4 },
      });
      const opt = new Adam(model.parameters(), { lr: 1e-2, eps: 1e-5 });
      const g = new Generator(4);
      const x = g.normal([4, 16, 16, 1]), ε = g.normal([4, 16, 16, 1]);
      const seen: number[] = [];
      for (let i = 0; i < 3; i++) {
        const tape = new Tape();
        tape.start();
        const loss = F.mseLoss(model.call(x, tf.tensor1d([1, 50, 300, 999], "int32")).sample, ε);
        tape.stop();
        tape.backward(loss);
        opt.step();
        opt.zeroGrad();
        seen.push(...await numbers(loss));
      }
      return seen;
    };
    const here = await losses();
    await useDevice("wasm", { log: null });
    const there = await losses();
    await useDevice("webgpu", { log: null });
    await assertClose(here, there, 1e-3);
    assert(here[2] < here[0], `losses ${here}`);
  },
});
