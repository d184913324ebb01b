/** What only WebGPU can promise or break: uploads, waits, small limits, a device that fails. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Callback, currentGpu, type Learner, tf } from "../mod.ts";
import { TINY, tinyClassifier, tinyDdpm, tinyEct, tinyEdm } from "./tiny.ts";
import type { Case } from "../bench/cases.ts";
import { stepCost, whole } from "../bench/webgpu.ts";
import { device, numbers } from "./support.ts";

const onGpu = { ignore: device.name !== "webgpu" };
const MOD = new URL("../mod.ts", import.meta.url).href;

/** Runs a program on its own, and gives its exit code and what it printed. */
async function program(source: string, env: Record<string, string> = {}) {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(path, source.replaceAll("MOD", MOD));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", path],
    env: { NO_COLOR: "1", DENOISE_DEVICE: "webgpu", ...env },
    signal: AbortSignal.timeout(120_000),
  }).output();
  await Deno.remove(path);
  const [out, err] = [stdout, stderr].map((b) => new TextDecoder().decode(b));
  return { out, err };
}

/** Calls a function at the beginning and the end of each training batch. */
class Watch extends Callback {
  constructor(override readonly order: number, readonly at: (learn: Learner) => void) {
    super();
  }
  override beforeBatch(learn: Learner) {
    if (learn.training && this.order < 0) this.at(learn);
  }
  override afterBatch(learn: Learner) {
    if (learn.training && this.order > 0) this.at(learn);
  }
}

const IMAGES = [4, 8, 8, 1];
for (
  const [name, make, batch] of [
    ["DDPM", tinyDdpm, [IMAGES]],
    ["classifier", tinyClassifier, [IMAGES, [4]]],
    ["network of classes by EDM", tinyEdm, [IMAGES, [4]]],
    ["consistency model", tinyEct, [[4], IMAGES]],
  ] as const
) {
  Deno.test(
    `a training step of a ${name} uploads the batch and nothing else, and reads nothing back`,
    onGpu,
    async () => {
      const { backend } = currentGpu()!;
      const shapes: number[][][] = [];
      let inside = false, reads = 0;
      const { uploadToGPU, read } = backend;
      backend.uploadToGPU = (id: object) => {
        const data = backend.tensorMap.get(id);
        if (inside && data.values && !data.resource) shapes.at(-1)!.push(data.shape);
        return uploadToGPU.call(backend, id);
      };
      backend.read = (id: object) => {
        if (inside && backend.tensorMap.get(id).values === null) reads++;
        return read.call(backend, id);
      };
      backend.readSync = () => {
        throw new Error("a blocking read");
      };
      const begin = new Watch(-1000, () => {
        shapes.push([]);
        inside = true;
      });
      const end = new Watch(1000, () => inside = false);
      try {
        await make([begin, end], 8).fit(2, { valid: false });
      } finally {
        Object.assign(backend, { uploadToGPU, read });
        delete backend.readSync;
      }
      assertEquals(shapes.length, 16);
      // The first step makes weights' moments and constants.
      for (const list of shapes.slice(1)) assertEquals(list as unknown, batch);
      // The progress bar begins to read a loss now and then; no step waits for it.
      assert(reads <= 16, `${reads} reads`);
    },
  );
}

Deno.test(
  "the number of shaders does not grow with steps, nor memory, and steps are submitted in batches",
  onGpu,
  async () => {
    const gpu = currentGpu()!, seen: number[][] = [];
    const { submit } = GPUQueue.prototype, submits: number[] = [];
    let count = 0;
    GPUQueue.prototype.submit = function (buffers) {
      count++;
      return submit.call(this, buffers);
    };
    const watch = new Watch(1000, () => {
      seen.push([gpu.pipelines.size, gpu.backend.numDataIds()]);
      submits.push(count);
      count = 0;
    });
    try {
      await tinyDdpm([watch], 8).fit(2);
    } finally {
      GPUQueue.prototype.submit = submit;
    }
    // Kernels and buffers are known by now: none is submitted alone.
    assert(submits.slice(4, 8).every((n) => n < 40), `${submits}`);
    assertEquals(seen.at(-1)![0], seen[0][0]);
    assert(seen.at(-1)![1] <= seen[2][1] + 20, `${seen.map(([, ids]) => ids)}`);
  },
);

Deno.test("a key that lacks what its shader depends on is found where runs are compared", onGpu, async () => {
  const gpu = currentGpu()!;
  const fill = (value: number, key: number[]) => {
    const y = gpu.output([3]);
    gpu.run("Fill", {
      key,
      write: { y },
      groups: [1],
      shader: () => ({ threads: 3, body: `y[t] = f32(${value});` }),
    });
    return tf.engine().makeTensorFromTensorInfo(y);
  };
  assertEquals(await numbers(fill(2, [0])), [2, 2, 2]);
  assertEquals(await numbers(fill(3, [3])), [3, 3, 3]);
  assertThrows(() => fill(4, [0]), Error, 'have the key "Fill 0"; it lacks what this line depends on');
});

const STEP = `
const { Generator, Tape, Adam, F, tf, UNet2DModel, useDevice, setSeed, currentGpu, MixedPrecision } = await import("MOD");
await useDevice("webgpu", { log: null });
async function losses() {
  setSeed(3);
  const model = new UNet2DModel(${JSON.stringify(TINY)});
  const opt = new Adam(model.parameters(), { lr: 1e-2 });
  const g = new Generator(4), x = g.normal([4, 16, 16, 1]), noise = g.normal([4, 16, 16, 1]);
  const seen = [];
  for (let i = 0; i < 3; i++) {
    const tape = new Tape();
    tape.start();
    const loss = F.mseLoss(model.call(x, tf.tensor1d([1, 50, 300, 999], "int32")).sample, noise);
    tape.stop();
    tape.backward(loss);
    // More tensors than a shader can bind.
    const norm = tf.sqrt(tf.addN(model.parameters().map((p) => tf.sum(tf.square(p.grad)))));
    opt.step();
    opt.zeroGrad();
    seen.push((await loss.data())[0], (await norm.data())[0]);
  }
  return seen;
}
`;

Deno.test("a device with WebGPU's minimum limits computes the same", onGpu, async () => {
  // An adapter that has no more than the standard promises, and no feature.
  const least = `
const limits = {
  maxComputeWorkgroupStorageSize: 16384, maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBufferBindingSize: 134217728, maxBufferSize: 268435456, maxComputeWorkgroupSizeX: 256,
  maxComputeInvocationsPerWorkgroup: 256, maxStorageBuffersPerShaderStage: 8,
};
Object.defineProperty(GPUAdapter.prototype, "limits", { get: () => limits });
Object.defineProperty(GPUAdapter.prototype, "features", { get: () => new Set() });
`;
  const print = `const { limits: { maxStorageBuffersPerShaderStage: n } } = currentGpu();
console.log(JSON.stringify([n, currentGpu().hasF16, ...await losses()])); Deno.exit(0);`;
  const { out, err } = await program(least + STEP + print);
  const [buffers, half, ...small] = JSON.parse(out || err);
  assertEquals([buffers, half], [8, false]);
  const [, , ...large] = JSON.parse((await program(STEP + print)).out);
  small.forEach((v: number, i: number) => assert(Math.abs(v / large[i] - 1) < 1e-3, `${small}, ${large}`));
});

Deno.test(
  "a device lost in a fit: a clear error, the checkpoint intact, resumed on WASM to WebGPU's numbers",
  onGpu,
  async () => {
    const dir = await Deno.makeTempDir();
    const source = `
import { CheckpointCB, Callback, currentGpu, useDevice } from "MOD";
import { tinyDdpm } from "${new URL("tiny.ts", import.meta.url).href}";
await useDevice(undefined, { log: null });
const path = "${dir}/c", resume = Deno.env.get("RESUME") === "yes";
class Lose extends Callback {
  override afterBatch(learn) { if (learn.training && learn.epoch === 1 && learn.iter === 1) currentGpu().device.destroy(); }
}
const learn = tinyDdpm([new CheckpointCB({ path, everyBatches: 1, resume }), ...(Deno.env.get("LOSE") ? [new Lose()] : [])]);
try {
  await learn.fit(3);
  console.log(JSON.stringify(learn.cbs.find((cb) => cb.values).values.loss));
} catch (error) {
  console.log(error.name + ": " + error.message);
}
Deno.exit(0);`;
    const run = (env: Record<string, string>) => program(source, env);
    const lost = await run({ LOSE: "yes" });
    assert(lost.out, lost.err);
    assertMatch(
      lost.out,
      /^DeviceError: The WebGPU device was lost \(destroyed.*a checkpoint can be resumed/s,
    );
    await Deno.copyFile(`${dir}/c`, `${dir}/lost`);
    const resumed: number[] = JSON.parse((await run({ RESUME: "yes", DENOISE_DEVICE: "wasm" })).out);
    await Deno.rename(`${dir}/lost`, `${dir}/c`);
    const back: number[] = JSON.parse((await run({ RESUME: "yes" })).out);
    await Deno.remove(`${dir}/c`);
    const whole: number[] = JSON.parse((await run({})).out);
    assertEquals([resumed.length, back.length, whole.length], [12, 12, 12]);
    whole.forEach((v, i) => assert(Math.abs(resumed[i] / v - 1) < 1e-2, `step ${i}: ${resumed[i]}, ${v}`));
    whole.forEach((v, i) => assert(Math.abs(back[i] / v - 1) < 1e-4, `step ${i}: ${back[i]}, ${v}`));
    await Deno.remove(dir, { recursive: true });
  },
);

Deno.test("an allocation that fails is an error that names it", onGpu, async () => {
  const { out, err } = await program(`
const { Generator, tf, useDevice } = await import("MOD");
await useDevice("webgpu", { log: null });
try {
  const x = new Generator(1).normal([1 << 15, 1 << 15]); // 4 GiB
  console.log((await tf.sum(x).data())[0]);
} catch (error) {
  console.log(error.name + ": " + error.message);
}
Deno.exit(0);`);
  assertMatch(out, /^DeviceError: .*(memory|size|4294967296)/i, err);
});

Deno.test(
  "a training step: a third of stock tfjs's dispatches and half of its bytes at most, no upload, no new shader",
  onGpu,
  async () => {
    const c: Case = {
      kind: "unet",
      part: "step",
      n: 2,
      config: { ...TINY, sample_size: 16, attention_head_dim: 8 },
    };
    const [ours, stock] = [await stepCost("ours", c), await stepCost("stock", c)];
    const [a, b] = [whole(ours), whole(stock)];
    assert(3 * a.dispatches <= b.dispatches, `${a.dispatches} of ${b.dispatches}`);
    assert(2 * a.bytes <= b.bytes, `${a.bytes} of ${b.bytes}`);
    assertEquals([ours.uploads, ours.compilations[1]], [0, 0]);
    assert(a.ms! > 0 && b.ms! > 0);
  },
);
