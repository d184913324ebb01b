/** The ways to train that `--preset` of `deno task train` and `deno task classify` knows. */
import { resnet, transforms, type unet, type Variance } from "../mod.ts";

/** What every run has; a run's whole config is kept in its `config.json`. */
export interface RunConfig {
  /** The task that makes such runs. */
  task: "train" | "classify";
  preset: string;
  /** Training and test images at most; 0 for all. */
  limit: number;
  testLimit: number;
  batch: number;
  epochs: number;
  lr: number;
  eps: number;
  /** How the optimiser and its one-cycle policy differ from PyTorch's defaults, which runs of before they were kept have. */
  weightDecay?: number;
  beta2?: number;
  pctStart?: number;
  divFactor?: number;
  finalDivFactor?: number;
  baseMomentum?: number;
  maxMomentum?: number;
  /** Training batches between checkpoints; 200 in runs of before it was kept. */
  checkpointEvery?: number;
  /** Whether to multiply in f16 where the device can. */
  mixedPrecision: boolean;
  seed: number;
  /** Where the data came from, and the SHA-256 of its arrays; runs of before it was kept do not tell. */
  dataSource?: string;
  dataHash?: string;
}

/** Everything that decides a DDPM's run. */
export interface TrainConfig extends RunConfig {
  /** Height and width of the model's images. */
  size: number;
  /** How images of 28×28 reach that size: resized, or with a margin of zeros. */
  fit: "resize" | "pad";
  channels: number[];
  layers: number;
  groups: number;
  headDim: number;
  /** Levels with attention, from the largest image down. */
  attention: boolean[];
  initDdpm: boolean;
  steps: number;
  betaMin: number;
  betaMax: number;
  /** The variance of sampling in all the steps; `fixed_large` in runs of before it was kept. */
  variance?: Variance;
  /** Images in `samples.png`; 16 in runs of before it was kept. */
  samples?: number;
  /** The file whose weights the run begins with, empty for none as before it was kept; its SHA-256. */
  begin?: string;
  beginHash?: string;
}

/** PyTorch's defaults of Adam and OneCycleLR, and how often there is a checkpoint. */
const CYCLE = {
  beta2: 0.999,
  pctStart: 0.3,
  divFactor: 25,
  finalDivFactor: 1e4,
  baseMomentum: 0.85,
  maxMomentum: 0.95,
  checkpointEvery: 200,
};

const LESSON: TrainConfig = {
  ...CYCLE,
  task: "train",
  preset: "lesson",
  limit: 0,
  testLimit: 0,
  size: 32,
  fit: "resize",
  channels: [16, 32, 64, 64],
  layers: 2,
  groups: 8,
  headDim: 8,
  attention: [false, true, true, true],
  initDdpm: true,
  steps: 1000,
  betaMin: 1e-4,
  betaMax: 0.02,
  variance: "fixed_large",
  samples: 16,
  begin: "",
  batch: 128,
  epochs: 5,
  lr: 5e-3,
  eps: 1e-5,
  weightDecay: 0,
  mixedPrecision: false,
  seed: 42,
};

/** By name. `lesson` is notebook 17, `lesson-v1` notebook 15; `quick` is minutes on two cores. */
export const PRESETS: Record<string, TrainConfig> = {
  quick: {
    ...LESSON,
    preset: "quick",
    limit: 5000,
    testLimit: 500,
    layers: 1,
    attention: [false, false, true, true],
    batch: 32,
    epochs: 6,
  },
  lesson: LESSON,
  "lesson-v1": {
    ...LESSON,
    preset: "lesson-v1",
    channels: [32, 64, 128, 128],
    groups: 32,
    initDdpm: false,
    lr: 4e-3,
    eps: 1e-8,
  },
};

/** What a run says of the pictures that `--images` names. */
export interface PictureConfig {
  /** Where they are: an absolute path, an address, or {@link EMOJI}; empty in a preset that names none. */
  images: string;
  /** Height and width of the images, in pixels. */
  size: number;
  /** Whether they are grey, in place of RGB. */
  grey: boolean;
  /** Whether the network is told their classes; null: where all pictures have one. */
  classes: boolean | null;
  crop: "centre" | "random";
  /** Whether they are mirrored at random in training. */
  flip: boolean;
  /** Whether a picture that cannot be read is an error. */
  strict: boolean;
  /** Names of the classes that the network is told, none where it is told none; known once the pictures are read. */
  classNames?: string[];
}

/** The pictures that the project draws, as `--images` names them. */
export const EMOJI = "drawn:emoji";

/** Everything that decides a run of EDM's training, or of consistency tuning; without `images` it is of Fashion-MNIST. */
export interface EdmConfig extends RunConfig, Partial<PictureConfig> {
  /** EDM's training (Karras et al. 2022), or consistency tuning of its network (ECT; Geng et al. 2024). */
  method: "edm" | "ect";
  /** Height and width of the patches of pixels that the network sees as one. */
  patch: number;
  channels: number[];
  layers: number;
  groups: number;
  headDim: number;
  /** Levels with attention, from the largest image down. */
  attention: boolean[];
  /** Share of the images whose class is not told. */
  classDropout: number;
  /** Levels of noise that training draws: ln σ is normal. */
  meanLogSigma: number;
  stdLogSigma: number;
  /** Batches in which the learning rate rises; from which it falls as 1/√t. */
  warmup: number;
  flat: number;
  /** Largest norm of the gradients. */
  clip: number;
  /** Lengths of the averages of the weights that are kept; pictures are drawn with the last one. */
  averages: number[];
  /** Training batches in a stage of consistency tuning. */
  stageBatches?: number;
  /** The file whose weights the run begins with, empty for none; its SHA-256, and the images that they have seen. */
  begin: string;
  beginHash?: string;
  imagesBefore?: number;
  /** Standard deviation of the pixels, which is measured when the run begins. */
  sigmaData?: number;
  /** Images in `samples.png`. */
  samples: number;
  /** Epochs from one scoring of what it draws to the next, and images that are scored; 0 for none, as before it was kept. */
  scoreEvery?: number;
  scoreN?: number;
  /** Epochs from one picture of what it draws to the next; 0 for none, as before it was kept. */
  sampleEvery?: number;
  /** Batches whose gradients are averaged for a step; 1 in runs of before it was kept. */
  accumulate?: number;
}

const EDM: EdmConfig = {
  task: "train",
  method: "edm",
  preset: "edm",
  limit: 0,
  testLimit: 2000,
  patch: 2,
  channels: [64, 96],
  layers: 1,
  groups: 8,
  headDim: 16,
  attention: [false, true],
  classDropout: 0.1,
  meanLogSigma: -0.9,
  stdLogSigma: 1.3,
  batch: 64,
  epochs: 60,
  lr: 2e-3,
  warmup: 300,
  flat: 4000,
  clip: 1,
  averages: [0.05, 0.1],
  begin: "",
  samples: 64,
  sampleEvery: 0,
  accumulate: 1,
  scoreEvery: 0,
  scoreN: 1000,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  checkpointEvery: 100,
  mixedPrecision: false,
  seed: 42,
};

const { scoreEvery: _, scoreN: __, ...OF_ANY_PICTURES } = EDM;

/** Pictures of 32×32, of which the network sees 16×16 and 8×8 patches of 2×2; EDM's own noise (paper, table 1). */
const PICTURES_32: EdmConfig & PictureConfig = {
  ...OF_ANY_PICTURES,
  preset: "pictures32",
  images: "",
  size: 32,
  grey: false,
  classes: null,
  crop: "random",
  flip: true,
  strict: false,
  sampleEvery: 5,
  testLimit: 500,
  channels: [64, 128],
  attention: [true, true],
  meanLogSigma: -1.2,
  stdLogSigma: 1.2,
  batch: 32,
  epochs: 100,
  lr: 1e-3,
  warmup: 500,
  flat: 10_000,
};

/** The presets of pictures that `--images` takes by the size: the first that is as large. */
export const PICTURE_PRESETS: Record<"pictures32" | "pictures64" | "pictures128", EdmConfig & PictureConfig> =
  {
    pictures32: PICTURES_32,
    pictures64: {
      ...PICTURES_32,
      preset: "pictures64",
      size: 64,
      channels: [64, 96, 128],
      attention: [false, true, true],
      batch: 16,
      lr: 5e-4,
    },
    // Noise that hides as much of a picture of twice the size is twice as large (Hoogeboom et al. 2023): ln 2 more than above.
    pictures128: {
      ...PICTURES_32,
      preset: "pictures128",
      size: 128,
      channels: [32, 64, 96, 128],
      attention: [false, false, true, true],
      meanLogSigma: -0.5,
      batch: 16,
      lr: 5e-4,
    },
  };

/** By name: what ships, its twin of few steps, and those of other pictures. */
export const EDM_PRESETS: Record<string, EdmConfig> = {
  edm: EDM,
  ect: {
    ...EDM,
    preset: "ect",
    method: "ect",
    meanLogSigma: -0.8,
    stdLogSigma: 1.8,
    epochs: 8,
    lr: 2e-4,
    warmup: 100,
    stageBatches: 938,
  },
  ...PICTURE_PRESETS,
  // Learnt in a quarter of an hour on two cores. Nothing is mirrored: there are as many pictures as are drawn.
  emoji: {
    ...PICTURES_32,
    preset: "emoji",
    images: EMOJI,
    crop: "centre",
    flip: false,
    testLimit: 200,
    channels: [64, 96],
    attention: [false, true],
    epochs: 10,
    lr: 2e-3,
    warmup: 100,
    flat: 1000,
  },
};

/** Whether a run of EDM's training is of other pictures than Fashion-MNIST's. */
export function isOfPictures(config: TrainConfig | EdmConfig): config is EdmConfig & PictureConfig {
  return "images" in config;
}

/** Whether a run of `deno task train` is one of {@link EDM_PRESETS}. */
export function isEdm(config: TrainConfig | EdmConfig): config is EdmConfig {
  return "method" in config;
}

/** The classifiers by name, as in the lesson's notebook 14. */
export const CLASSIFIERS = {
  getModel: resnet.getModel,
  getModel2: resnet.getModel2,
  getModel3: resnet.getModel3,
  getModel4: resnet.getModel4,
  getDropModel: resnet.getDropModel,
} as const;

/** The changes to training images by name. */
export const AUGMENTS = {
  crop: () => transforms.randomCrop(1),
  flip: () => transforms.randomFlip(),
  erase: () => transforms.randErase(),
  copy: () => transforms.randCopy(),
};
/** A name of {@link AUGMENTS}. */
export type AugmentName = keyof typeof AUGMENTS;

/** Everything that decides a classifier's run. */
export interface ClassifyConfig extends RunConfig {
  model: keyof typeof CLASSIFIERS;
  /** Rate of the dropout layers; for `getDropModel` alone. */
  drop: number;
  augment: AugmentName[];
  /** Whether to average the predictions of each test image and its mirror image. */
  tta: boolean;
  /** Passes with dropout on in the report; 10 in runs of before it was kept. */
  passes?: number;
}

const FIVE: ClassifyConfig = {
  ...CYCLE,
  task: "classify",
  preset: "five",
  limit: 0,
  testLimit: 0,
  model: "getDropModel",
  drop: 0.1,
  augment: [],
  tta: false,
  passes: 10,
  batch: 1024,
  epochs: 5,
  lr: 1e-2,
  eps: 1e-8,
  weightDecay: 0.01,
  mixedPrecision: false,
  seed: 42,
};
const TWENTY: ClassifyConfig = {
  ...FIVE,
  preset: "twenty",
  augment: ["crop", "flip"],
  tta: true,
  epochs: 20,
};

/** By name: the lesson's 5 epochs, 20 with crop and flip, 50 with random erase besides. */
export const CLASSIFY_PRESETS: Record<string, ClassifyConfig> = {
  five: FIVE,
  twenty: TWENTY,
  fifty: { ...TWENTY, preset: "fifty", augment: ["crop", "flip", "erase"], epochs: 50, lr: 2e-2 },
};

/** What the U-Nets of both kinds of run take from a config. */
export function unetOptions(
  { attention, channels, layers, groups, headDim }: TrainConfig | EdmConfig,
  imageChannels = 1,
): Partial<unet.UNet2DConfig> {
  return {
    in_channels: imageChannels,
    out_channels: imageChannels,
    block_out_channels: channels,
    layers_per_block: layers,
    down_block_types: attention.map((a) => a ? "AttnDownBlock2D" : "DownBlock2D"),
    up_block_types: attention.map((a): unet.UpBlockType => a ? "AttnUpBlock2D" : "UpBlock2D").toReversed(),
    norm_num_groups: groups,
    attention_head_dim: headDim,
  };
}
