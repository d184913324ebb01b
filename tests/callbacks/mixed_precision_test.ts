/** Mixed precision on WebGPU, and what it says elsewhere. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AccumulateGradCB,
  Adam,
  ArrayDataset,
  Callback,
  currentGpu,
  DataLoaders,
  DeviceCB,
  GradientClipCB,
  HostArray,
  initDdpm,
  type Learner,
  Linear,
  MixedPrecision,
  noGrad,
  Parameter,
  setSeed,
  SGD,
  tf,
  TrainLearner,
  UNet,
} from "../../mod.ts";
import { assertClose, device, numbers, random } from "../support.ts";
import { TINY } from "../tiny.ts";

const half = !!currentGpu()?.hasF16;
const withF16 = { ignore: !half };

/** Keeps each batch's loss. */
class Losses extends Callback {
  readonly values: number[] = [];
  override async afterLoss(learn: Learner) {
    if (learn.training) this.values.push((await learn.loss.data())[0]);
  }
}

async function line(cbs: Callback[], lr = 0.01) {
  setSeed(3);
  const x = Float32Array.from(await numbers(random([16, 3])));
  const first = x.filter((_, i) => i % 3 === 0);
  const set = new ArrayDataset(new HostArray(x, [16, 3]), new HostArray(first, [16, 1]));
  return new TrainLearner(new Linear(3, 1), DataLoaders.from(set, set, { batchSize: 8 }), {
    lr,
    optFunc: (params, lr) => new Adam(params, { lr }),
    cbs: [new DeviceCB(), ...cbs],
  });
}

Deno.test("MixedPrecision without f16 says so once, and trains in f32", { ignore: half }, async () => {
  const said: string[] = [], [a, b] = [new Losses(), new Losses()];
  const learn = await line([new MixedPrecision({ log: (text) => said.push(text) }), a]);
  await learn.fit(2);
  assertEquals(said, ["MixedPrecision: no WebGPU device with shader-f16 here, training in f32"]);
  await (await line([b])).fit(2);
  assertEquals(a.values, b.values);
});

Deno.test("MixedPrecision: numbers that make no sense are named", () => {
  assertThrows(() => new MixedPrecision({ scale: 0 }), RangeError, "scale is a positive number, not 0");
  assertThrows(() => new MixedPrecision({ every: NaN }), RangeError, "every is a positive number, not NaN");
});

for (const [name, make] of [["Adam", Adam], ["SGD with momentum", SGD]] as const) {
  Deno.test(`${name} with overflow set changes nothing, without it does`, async () => {
    const p = new Parameter(random([5, 7]));
    const opt = name === "Adam"
      ? new Adam([p], { lr: 0.1 })
      : new (make as typeof SGD)([p], { lr: 0.1, momentum: 0.9 });
    const step = async (g: number, skip: number | null) => {
      p.setGrad(tf.fill(p.shape, g));
      opt.overflow = skip === null ? null : tf.scalar(skip);
      opt.step();
      return await numbers(p);
    };
    await step(1, 0);
    const before = await numbers(p),
      slots = Object.values(opt.state().tensors).map((t) => tf.clone(tf.add(t, 0)));
    assertEquals(await step(NaN, 1), before);
    for (const [i, t] of Object.values(opt.state().tensors).entries()) await assertClose(t, slots[i], 0);
    assert((await step(1, null)).every((v, i) => v < before[i]));
    opt.dispose();
  });
}

Deno.test("f16 operands: near the f32 product, and not the same", withF16, async () => {
  const [a, b] = [random([40, 70], 1), random([70, 30], 2)];
  const full = await numbers(tf.matMul(a, b));
  const gpu = currentGpu()!;
  gpu.half = true;
  const rounded = await numbers(tf.matMul(a, b)).finally(() => gpu.half = false);
  await assertClose(rounded, full, 2e-3);
  assert(rounded.some((v, i) => v !== full[i]));
  // Sums stay f32: 70,000 does not fit f16.
  gpu.half = true;
  const sum = await numbers(tf.matMul(tf.fill([1, 700], 10), tf.fill([700, 1], 10))).finally(() =>
    gpu.half = false
  );
  assertEquals(sum, [70_000]);
});

Deno.test(
  "MixedPrecision: the scale doubles after good steps; an overflow halves it and skips the step",
  withF16,
  async () => {
    const good = new MixedPrecision({ scale: 8, every: 2 });
    const learn = await line([good]);
    await learn.fit(2); // four steps
    assertEquals(await good.scale(), 32);
    assertEquals([learn.opt!.overflow, currentGpu()!.half], [null, false]);
    assert(!Object.hasOwn(learn, "step"));

    const over = new MixedPrecision({ scale: 3e38 });
    const stuck = await line([over]);
    const before = await numbers(stuck.model.parameters()[0]);
    await stuck.fit(1); // two steps
    assertEquals(await numbers(stuck.model.parameters()[0]), before);
    assertEquals(await over.scale(), Math.fround(3e38) / 4);
    for (const cb of [good, over]) cb.dispose();
  },
);

Deno.test(
  "MixedPrecision with clipping and accumulation: the gradient is unscaled before it is clipped",
  withF16,
  async () => {
    const clip = new GradientClipCB(1e-3), [a, b] = [new Losses(), new Losses()];
    await (await line([new MixedPrecision({ scale: 1024 }), clip, new AccumulateGradCB(2), a])).fit(3);
    const plain = new GradientClipCB(1e-3);
    await (await line([plain, new AccumulateGradCB(2), b])).fit(3);
    const [scaled, norm] = [await clip.norm(), await plain.norm()];
    assert(Math.abs(scaled / norm - 1) < 0.02, `${scaled}, ${norm}`);
    await assertClose(a.values, b.values, 1e-2);
  },
);

Deno.test("mixed precision follows f32 within 2% over 50 steps of the tiny U-Net", withF16, async () => {
  const images = Float32Array.from(await numbers(noGrad(() => tf.mul(random([40, 8, 8, 1], 5), 0.5))));
  const set = new ArrayDataset(new HostArray(images, [40, 8, 8, 1]), new HostArray(images, [40, 8, 8, 1]));
  const run = async (cbs: Callback[]) => {
    setSeed(7);
    const model = new UNet(TINY);
    initDdpm(model);
    const losses = new Losses();
    class Steps extends Callback {
      override afterPredict() {}
      override beforeBatch(learn: Learner) {
        const [x, y] = learn.batch;
        learn.batch = [[x, tf.fill([x.shape[0]], 3, "int32")], y];
      }
    }
    const learn = new TrainLearner(model, DataLoaders.from(set, set, { batchSize: 8 }), {
      lr: 2e-3,
      optFunc: (params, lr) => new Adam(params, { lr, eps: 1e-5 }),
      cbs: [new DeviceCB(), new Steps(), losses, ...cbs],
    });
    await learn.fit(10, { valid: false });
    return losses.values;
  };
  const mixed = new MixedPrecision();
  const [full, rounded] = [await run([]), await run([mixed])];
  assertEquals(full.length, 50);
  assert(full.at(-1)! < 0.7 * full[0], `${full[0]} → ${full.at(-1)}`);
  full.forEach((v, i) => assert(Math.abs(rounded[i] / v - 1) < 0.02, `step ${i}: ${rounded[i]}, ${v}`));
  assert(rounded.some((v, i) => v !== full[i]));
  mixed.dispose();
});

// Otherwise nothing here would show that the suite ran with f16.
Deno.test("software Vulkan has shader-f16", {
  ignore: device.name !== "webgpu" || !/llvmpipe/.test(device.detail),
}, () => {
  assert(half);
});
