/** Choosing a device, and the same training on both. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  Adam,
  currentDevice,
  type DeviceOptions,
  F,
  Generator,
  setSeed,
  Tape,
  tf,
  UNet2DModel,
  useDevice,
} from "../mod.ts";
import { assertClose, device, numbers, wasmOnly } from "./support.ts";
import { TINY } from "./tiny.ts";

Deno.test("the device in use is told; asking again gives it; an unknown name is an error", async () => {
  assertEquals(currentDevice(), device);
  assertEquals(await useDevice("auto", { log: null }), device);
  await assertRejects(
    () => useDevice("cuda" as never),
    RangeError,
    'Unknown device "cuda": one of auto, webgpu, wasm',
  );
});

Deno.test("options out of range or without an effect are refused by name", async () => {
  const refused: [choice: "wasm" | "webgpu", options: DeviceOptions, message: string][] = [
    ["wasm", { threads: "2" as never }, 'useDevice: threads is a whole number from 1 to 64, not "2"'],
    ["wasm", { threads: 0 }, "useDevice: threads is a whole number from 1 to 64, not 0"],
    ["wasm", { threads: 65 }, "useDevice: threads is a whole number from 1 to 64, not 65"],
    ["wasm", { threads: 2, shared: false }, "with shared: false there is one"],
    ["webgpu", { threads: 2 }, 'threads: 2 is an option of "wasm"'],
    ["webgpu", { shared: false }, 'shared: false is an option of "wasm"'],
  ];
  for (const [choice, options, message] of refused) {
    await assertRejects(() => useDevice(choice, { ...options, log: null }), RangeError, message);
  }
});

Deno.test("calls at once start one device, and all wait for it", async () => {
  const out = await script(
    `import { tf, useDevice } from "MOD";
const log = (line) => console.log(line.split(" ")[0]);
const ask = async () => {
  await useDevice(undefined, { log });
  return (await tf.add(tf.scalar(1), 1).data())[0];
};
console.log(...await Promise.all([ask(), ask(), ask()]));
Deno.exit(0);`,
    { DENOISE_DEVICE: device.name },
    ["--allow-read", "--allow-sys"],
  );
  assertEquals(out, "Device:\n2 2 2\n");
});

Deno.test(
  "a start that fails leaves nothing behind: another device can be used, and the same one tried again",
  {
    ...wasmOnly,
  },
  async () => {
    const out = await script(
      `import { tf, useDevice } from "MOD";
let left = 1;
const adapter = {
  info: { description: "a card" },
  features: new Set(),
  limits: {},
  requestDevice: () => Promise.reject(new Error("no " + left++)),
};
Object.defineProperty(navigator, "gpu", { value: { requestAdapter: () => Promise.resolve(adapter) } });
for (let i = 0; i < 2; i++) await useDevice("webgpu").catch((error) => console.log(error.message));
await useDevice("wasm", { log: null });
console.log((await tf.add(tf.scalar(1), 1).data())[0]);`,
      {},
      ["--allow-read", "--allow-sys"],
    );
    assertEquals(out, "no 1\nno 2\n2\n");
  },
);

Deno.test("a WASM device that does not start is an error, and can be tried again", wasmOnly, async () => {
  const out = await script(
    `import { tf, useDevice } from "MOD";
const { instantiate } = WebAssembly;
WebAssembly.instantiate = () => Promise.reject(new Error("not today"));
await useDevice("wasm", { threads: 2, log: null }).catch((error) => console.log(error.message));
WebAssembly.instantiate = instantiate;
await useDevice("wasm", { threads: 2, log: null });
console.log((await tf.add(tf.scalar(1), 1).data())[0]);
Deno.exit(0);`,
    {},
    ["--allow-read", "--allow-sys"],
  );
  assertEquals(out, "The WASM backend did not start: Error: not today\n2\n");
});

Deno.test("a constant is made once, and freed when its owner is garbage", async () => {
  const out = await script(
    `import { tf, useDevice } from "MOD";
import { constant } from "CONSTANTS";
await useDevice(undefined, { log: null });
const make = (owner) => constant("a test", () => tf.scalar(7), owner);
const owner = {}, tensor = make(owner), before = tf.memory().numTensors;
for (let i = 0; i < 10; i++) make({});
console.log(make(owner) === tensor, tf.memory().numTensors - before);
for (let i = 0; i < 100 && tf.memory().numTensors > before; i++) {
  gc();
  await new Promise((resolve) => setTimeout(resolve, 10));
}
console.log(make(owner) === tensor, tf.memory().numTensors - before);
Deno.exit(0);`,
    { DENOISE_DEVICE: device.name },
    ["--allow-read", "--allow-sys", "--v8-flags=--expose-gc"],
  );
  assertEquals(out, "true 10\ntrue 0\n");
});

/** Runs a script on its own and gives what it printed. */
async function script(source: string, env: Record<string, string>, args: string[] = []): Promise<string> {
  const text = source.replace("MOD", new URL("../mod.ts", import.meta.url).href)
    .replace("CONSTANTS", new URL("../core/device/constants.ts", import.meta.url).href);
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
    assert(named.includes('or use "wasm"'), named);
    assert(!/^wasm$/m.test(named), "a device that was named must not be switched");
  },
});

Deno.test({
  name: "three steps of training on this device give WASM's losses",
  ignore: device.name === "wasm",
  async fn() {
    const losses = async () => {
      setSeed(3);
      const model = new UNet2DModel(TINY);
      const opt = new Adam(model.parameters(), { lr: 1e-2, eps: 1e-5 });
      const g = new Generator(4);
      const x = g.normal([4, 16, 16, 1]), ε = g.normal([4, 16, 16, 1]);
      const t = tf.tensor1d([1, 50, 300, 999], "int32");
      const seen: number[] = [];
      for (let i = 0; i < 3; i++) {
        const tape = new Tape();
        tape.start();
        const loss = tf.tidy(() => F.mseLoss(model.call(x, t).sample, ε));
        tape.stop();
        tf.tidy(() => void tape.backward(loss));
        opt.step();
        opt.zeroGrad();
        seen.push(...await numbers(loss));
        loss.dispose();
      }
      tf.dispose([x, ε, t]);
      opt.dispose();
      model.dispose();
      return seen;
    };
    const here = await losses();
    const one = tf.scalar(1);
    await assertRejects(() => useDevice("wasm", { log: null }), Error, "1 tensor lives on webgpu");
    one.dispose();
    await useDevice("wasm", { log: null });
    const there = await losses();
    await useDevice("webgpu", { log: null });
    await assertClose(here, there, 1e-3);
    assert(here[2] < here[0], `losses ${here}`);
  },
});
