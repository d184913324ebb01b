/** Learners that are quick to train and leave nothing out; a module of its own so that other processes can have them. */
import {
  Accuracy,
  Adam,
  AdamW,
  BatchNorm1d,
  BatchSchedCB,
  type Callback,
  DataLoaders,
  DDPMCB,
  DeviceCB,
  type DeviceChoice,
  diffusion,
  Dropout,
  Dropout2d,
  EMACB,
  F,
  Flatten,
  Generator,
  GradientClipCB,
  HostArray,
  imageGrid,
  initDdpm,
  InverseSqrtLR,
  Linear,
  linearSchedule,
  MetricsCB,
  MixedPrecision,
  OneCycleLR,
  PatchUNet,
  PowerEMACB,
  pretrained,
  ProgressCB,
  RecorderCB,
  resnet,
  respace,
  sample,
  Sequential,
  setSeed,
  tf,
  TrainLearner,
  UNet,
  type UNet2DConfig,
  useDevice,
} from "../mod.ts";

/** A U-Net that is quick to run, with attention. */
export const TINY: Partial<UNet2DConfig> = {
  in_channels: 1,
  out_channels: 1,
  block_out_channels: [8, 16],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
  up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
  attention_head_dim: 4,
  norm_num_groups: 4,
};

/** A U-Net that is told one of two classes or none, without attention. */
export const TINY_OF_CLASSES: Partial<UNet2DConfig> = {
  in_channels: 1,
  out_channels: 1,
  block_out_channels: [8, 8],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "DownBlock2D"],
  up_block_types: ["UpBlock2D", "UpBlock2D"],
  norm_num_groups: 4,
  num_class_embeds: 3,
};

/** A learner of a tiny DDPM, with everything that `deno task train` uses. */
export function tinyDdpm(cbs: Callback[] = [], batches = 4) {
  setSeed(5);
  const images = Float32Array.from({ length: batches * 4 * 64 }, (_, i) => (i * 7919 % 64) / 64);
  const set = {
    images: new HostArray(images, [batches * 4, 8, 8, 1]),
    labels: new HostArray(new Int32Array(batches * 4), [batches * 4]),
  };
  const model = new UNet(TINY);
  initDdpm(model);
  return new TrainLearner(model, DataLoaders.from(set, set, { batchSize: 4 }), {
    optFunc: (params, lr) => new Adam(params, { lr, eps: 1e-5 }),
    lr: 1e-3,
    cbs: [
      new DeviceCB(),
      new DDPMCB({ schedule: linearSchedule({ nSteps: 50 }) }),
      new BatchSchedCB((opt, totalSteps) => new OneCycleLR(opt, { maxLr: 1e-3, totalSteps })),
      Object.assign(new MetricsCB(), { log: () => {} }),
      new RecorderCB({ loss: (l) => l.loss }),
      new ProgressCB(() => {}),
      ...cbs,
    ],
  });
}

/** A learner of a tiny classifier, with every kind of layer and what bends a step. */
export function tinyClassifier(cbs: Callback[] = [], batches = 4) {
  setSeed(5);
  const n = batches * 4;
  const set = {
    images: new HostArray(Float32Array.from({ length: n * 64 }, (_, i) => (i * 7919 % 64) / 64), [
      n,
      8,
      8,
      1,
    ]),
    labels: new HostArray(Int32Array.from({ length: n }, (_, i) => i % 10), [n]),
  };
  const model = new Sequential(
    new resnet.ResBlock(1, 8, { norm: resnet.normBn }),
    new Dropout2d(0.2),
    new resnet.ResBlock(8, 8, { stride: 2, norm: resnet.normBn }),
    new Flatten(),
    new Dropout(0.1),
    new Linear(8 * 16, 10),
    new BatchNorm1d(10),
  );
  return new TrainLearner(model, DataLoaders.from(set, set, { batchSize: 4 }), {
    lossFunc: F.crossEntropy,
    optFunc: (params, lr) => new AdamW(params, { lr }),
    lr: 1e-3,
    cbs: [
      new DeviceCB(),
      new MixedPrecision({ log: () => {} }),
      new GradientClipCB(1),
      new EMACB(0.9),
      Object.assign(new MetricsCB({ accuracy: new Accuracy() }), { log: () => {} }),
      ...cbs,
    ],
  });
}

/** Learners of a tiny network of classes, by EDM and by consistency tuning, with what their presets have. */
function tinyOfClasses(method: "edm" | "ect") {
  return (cbs: Callback[] = [], batches = 4) => {
    setSeed(5);
    const n = batches * 4, options = { sigmaData: 0.7, conditions: { classes: 10 } };
    const set = {
      images: new HostArray(Float32Array.from({ length: n * 64 }, (_, i) => (i % 4) / 3), [n, 8, 8, 1]),
      labels: new HostArray(Int32Array.from({ length: n }, (_, i) => i % 10), [n]),
    };
    const model = new PatchUNet({ ...TINY, patch_size: 2, num_class_embeds: 11 });
    return new TrainLearner(model, DataLoaders.from(set, set, { batchSize: 4 }), {
      lossFunc: method === "edm" ? F.mseLoss : diffusion.consistencyLoss(),
      optFunc: (params, lr) => new Adam(params, { lr }),
      lr: 1e-3,
      cbs: [
        new DeviceCB(),
        method === "edm"
          ? new diffusion.EDMCB(options)
          : new diffusion.ConsistencyCB({ ...options, stageBatches: 100 }),
        new PowerEMACB(0.1),
        new GradientClipCB(1),
        new BatchSchedCB((opt) => new InverseSqrtLR(opt, { maxLr: 1e-3, warmup: 2 })),
        ...cbs,
      ],
    });
  };
}
export const tinyEdm = tinyOfClasses("edm"), tinyEct = tinyOfClasses("ect");

/** Losses of the first batches of both on a device. */
export async function tinyLosses(device: DeviceChoice): Promise<number[]> {
  await useDevice(device, { log: null });
  const losses: number[] = [];
  for (const make of [tinyDdpm, tinyClassifier]) {
    const recorder = new RecorderCB({ loss: (learn) => learn.loss });
    await make([recorder], 3).fit(1, { valid: false });
    await recorder.flush();
    losses.push(...recorder.values.loss);
  }
  return losses;
}

/** The pixels of n images that the lesson's shipped model draws on the device in use, after each step. */
export async function drawPretrained(n: number, steps: number, seed: number): Promise<number[][]> {
  const { model, schedule, size } = await pretrained();
  const pictures: number[][] = [];
  await sample(model, [n, size, size, 1], {
    schedule: respace(schedule, steps),
    generator: new Generator(seed),
    keep: () => false,
    async onStep(_, x) {
      pictures.push(Array.from(imageGrid(await HostArray.from(x), { scale: 2, invert: true }).data));
    },
  });
  model.dispose();
  return pictures;
}

/** What {@link drawOfClasses} draws. */
interface OfClasses {
  n: number;
  steps: number;
  seed: number;
  /** The number of the class; default one a column. */
  class?: number;
  guidance?: number;
}

/** The pixels of images that the shipped model of classes draws, as the page does: what each step expects of them. */
export async function drawOfClasses(
  { n, steps, seed, guidance = 1, ...one }: OfClasses,
): Promise<number[][]> {
  const { model, denoise, classes, size, range, inSteps } = await diffusion.pretrained();
  const columns = one.class === undefined ? classes.length : Math.ceil(Math.sqrt(n));
  const labels = tf.tensor1d(Array.from({ length: n }, (_, i) => one.class ?? i % classes.length), "int32");
  const told = diffusion.guided(denoise, labels, { scale: guidance, none: classes.length });
  const pictures: number[][] = [];
  await diffusion.sample(told, [n, size, size, 1], {
    ...inSteps(steps),
    generator: new Generator(seed),
    async onStep({ x̂0 }) {
      const images = await HostArray.from(x̂0);
      pictures.push(Array.from(imageGrid(images, { columns, scale: 2, range, invert: true }).data));
    },
  });
  model.dispose();
  labels.dispose();
  return pictures;
}
